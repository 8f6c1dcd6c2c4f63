"""Execute chapters twice, each alone: how long it takes, what comes out differently.

    python tools/twice.py [NAME ...]

prints a table and each cell whose output differs between the runs (of a picture its
data is compared). Only what a cell measured in seconds may differ, and only in pictures
and tables: exits with 1 where a text does, which nbval compares. With all chapters, the
times are kept in book/times.json for README and the book. No notebook changes.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import date
from importlib.metadata import version

from tqdm import tqdm

from catalogue import LIMITS, TIMES
from notebook_file import ChapterError
from notebooks import executed
from sources import CHAPTERS, chapter_names
from tidy import comparable


def differences(first: dict, second: dict) -> dict[str, bool]:
    """Cells of two executed notebooks with other outputs: does their text differ?"""
    pairs = zip(first["cells"], second["cells"], strict=True)
    return {
        f"cell {number}: {one['source'].splitlines()[-1]}": (
            comparable(one["outputs"]) != comparable(two["outputs"])
        )
        for number, (one, two) in enumerate(pairs, 1)
        if one.get("outputs") != two.get("outputs")
    }


def main() -> int:
    names = sys.argv[1:] or chapter_names()
    # what one run leaves behind must not help the next, nor count as the reader's
    os.environ["MOE_LIB_PROGRESS"] = "off"
    taken, differing = {}, 0
    with tqdm(total=2 * len(names), unit="run", disable=None) as bar:
        for name in names:
            runs = []
            for _ in range(2):
                runs.append(executed(CHAPTERS / f"{name}.py", [], tqdm(disable=True)))
                bar.update()
            taken[name] = [seconds for _, seconds in runs]
            found = differences(runs[0][0], runs[1][0])
            differing += sum(found.values())
            times = "".join(f"{seconds:8.1f} s" for seconds in taken[name])
            tqdm.write(f"{name:32}{times}  {len(found)} outputs differ")
            for line, in_text in found.items():
                tqdm.write(f"    {line}{' (TEXT)' * in_text}")
    totals = [sum(column) for column in zip(*taken.values(), strict=True)]
    print(f"{'all':32}" + "".join(f"{total:8.1f} s" for total in totals))
    if names == chapter_names():
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
        content = {
            "machine": f"{cores or os.cpu_count()} cores, {platform.machine()}",
            "date": date.today().isoformat(),
            "torch": version("torch").split("+")[0],
            "seconds": {name: round(max(two), 1) for name, two in taken.items()},
        }
        TIMES.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    limit = LIMITS["course"]
    if max(totals) > limit:
        print(f"more than the {limit} s that the course may take")
    return differing > 0 or max(totals) > limit


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ChapterError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing was written")
