"""Write moe_lib/data/vowels.csv from the table that ships with Praat.

    pip install -e ".[test]" && python tools/vowels_from_praat.py

Praat (through praat-parselmouth, GPL-3) is needed for this command only; the
library reads the CSV. The figures are those of G. E. Peterson and H. L. Barney
(1952), "Control methods used in a study of the vowels", JASA 24:175-184.
"""

from __future__ import annotations

import csv
from pathlib import Path

TARGET = Path(__file__).parents[1] / "moe_lib" / "data" / "vowels.csv"
COLUMNS = ["Type", "Sex", "Speaker", "Vowel", "F0", "F1", "F2", "F3"]


def praat_rows() -> list[list[str]]:
    """The table as rows of strings, header first."""
    import parselmouth

    table = parselmouth.praat.call("Create formant table (Peterson & Barney 1952)")
    text = parselmouth.praat.call(table, "List", False)
    header, *rows = [line.split("\t") for line in text.strip().split("\n")]
    picked = [header.index(name) for name in COLUMNS]
    names = [name.lower() for name in COLUMNS]
    return [names, *([row[i] for i in picked] for row in rows)]


if __name__ == "__main__":
    with TARGET.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(praat_rows())
    print(f"wrote {TARGET.name}: {len(praat_rows()) - 1} measurements")
