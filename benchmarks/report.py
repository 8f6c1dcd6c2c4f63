"""The results as text and as files."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from benchmarks.figure import figure, swept
from benchmarks.timing import median_and_spread, ratios

LEAK = 4.0  # MiB: less is the interpreter's own noise


def text(results: dict) -> str:
    """How it was measured, every candidate's time, and the targets."""
    lines = ["", "How"]
    lines += [f"  {key:9}  {value}" for key, value in results["how"].items()]
    lines += [f"  skipped    {n}: {why}" for n, why in results["skipped"].items()]
    lines += ["", "Times (ratio: to the case's first candidate)"]
    head = ["case", "thr", "candidate", "ms", "ratio", "", "peak MiB"]
    lines += table(head, times(results))
    lines += ["", "Targets"]
    head = [
        "target",
        "thr",
        "",
        "limit",
        "median",
        "quartiles",
        "verdict",
        "dense itself",
    ]
    lines += table(head, [list(row.values()) for row in verdicts(results)])
    return "\n".join(lines)


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  " + "  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True))
        for row in [head, *rows]
    ]


def times(results: dict) -> list[list[str]]:
    rows = []
    for case in measured(results):
        base = next(iter(case["seconds"].values()))
        for label, seconds in case["seconds"].items():
            middle, low, high = median_and_spread(ratios(seconds, base))
            milliseconds = 1000 * median_and_spread(seconds)[0]
            name = f"{case['name']}, {case['mode']}"
            spread = f"[{low:.2f} .. {high:.2f}]"
            peak = case["peak_bytes"].get(label)
            rows.append(
                [name, str(case["threads"]), label, f"{milliseconds:.1f}",
                 f"{middle:.2f}", spread, f"{peak / 2**20:.0f}" if peak else ""]
            )  # fmt: skip
    return rows


def measured(results: dict) -> list[dict]:
    """The cases with at least one complete round."""
    return [case for case in results["cases"] if any(case["seconds"].values())]


def verdicts(results: dict) -> list[dict[str, str]]:
    """One row per target and number of threads, of what was measured."""
    rows = [
        verdict(target, case)
        for target in results["targets"]
        for case in measured(results)
        if case["name"] == target["case"]
        and {target["over"], *target["under"]} <= set(values(target, case))
    ]
    return rows + growth(results)


def values(target: dict, case: dict) -> dict[str, list[float]]:
    """What a target compares: seconds of each round, or the one peak."""
    if target["memory"]:
        return {label: [peak] for label, peak in case["peak_bytes"].items()}
    return case["seconds"]


def verdict(target: dict, case: dict) -> dict[str, str]:
    found = values(target, case)
    base = max((found[label] for label in target["under"]), key=statistics.median)

    def compared(label: str) -> tuple[float, float, float]:
        pair = found[label], base
        return median_and_spread(ratios(*(pair[::-1] if target["faster"] else pair)))

    middle, low, high = compared(target["over"])
    limit, faster = target["limit"], target["faster"]
    met = middle >= limit if faster else middle <= limit
    bound = "dense" in found and "dense" not in target["under"]
    return {
        "target": target["text"],
        "threads": str(case["threads"]),
        "sign": ">=" if faster else "<=",
        "limit": f"{limit:.2f}",
        "median": f"{middle:.3f}",
        "spread": "" if target["memory"] else f"{low:.3f} .. {high:.3f}",
        "verdict": "met" if met else "missed",
        "dense": f"{compared('dense')[0]:.3f}" if bound else "",
    }


def growth(results: dict) -> list[dict[str, str]]:
    if "growth" not in results:
        return []
    grown = (results["growth"]["after"] - results["growth"]["before"]) / 2**20
    return [
        {
            "target": f"MiB more after {results['growth']['steps']} steps",
            "threads": "1",
            "sign": "<=",
            "limit": f"{LEAK:.2f}",
            "median": f"{grown:.3f}",
            "spread": "",
            "verdict": "met" if grown <= LEAK else "missed",
            "dense": "",
        }
    ]


def write(results: dict, folder: Path) -> list[Path]:
    """The data as JSON; and the figure, if the sweep was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    how = results["how"]
    minute = how["date"][:16].replace(":", "")
    data = folder / f"{how['device']}-{how['dtype']}-{minute}.json"
    rows = verdicts(results)
    data.write_text(json.dumps({**results, "verdicts": rows}, indent=1) + "\n")
    if not swept(results):
        return [data]
    page = data.with_suffix(".html")
    figure(results).write_html(page, include_plotlyjs=True)
    return [data, page]
