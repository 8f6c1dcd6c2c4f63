"""Make strict nbval compare only what is the same on every machine: text.

It stands at the root because nbval collects chapters/*.ipynb, where no
tests/conftest.py applies. nbval.cfg says what is replaced inside a text.
"""

from __future__ import annotations

from nbformat import from_dict
from nbval.plugin import IPyNbCell

import tidy

strict_compare = IPyNbCell.compare_outputs


def compare_stable(self, test, ref, skip_compare=None):
    """Compare a cell's new outputs with the stored ones, both without noise."""
    test, ref = (from_dict(tidy.comparable(outputs)) for outputs in (test, ref))
    return strict_compare(self, test, ref, skip_compare)


IPyNbCell.compare_outputs = compare_stable
