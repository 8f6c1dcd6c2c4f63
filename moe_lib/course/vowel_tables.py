"""Table 1 of 1991 beside ours, and the t-tests of its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from moe_lib.course.table import Table
from moe_lib.course.vowel_race import RaceResult


def table_1(
    results: Sequence[RaceResult], paper: Mapping[str, tuple[int, int, int, int]]
) -> Table:
    """Table 1 of 1991 (train %, test %, epochs, SD) beside the runs, row by row."""
    rows = []
    for r in results:
        arrived = r.epochs[r.epochs.isfinite()]
        ours = "none" if not len(arrived) else f"{arrived.mean():.0f}"
        if len(arrived) > 1:
            ours += f" ± {arrived.std():.0f}"
        train, test, epochs, sd = paper[r.system.name]
        rows.append([
            r.system.name, train, f"{100 * r.train.mean():.0f}",
            test, f"{100 * r.test.mean():.0f}",
            f"{epochs} ± {sd}", ours, f"{len(arrived)} of {len(r.epochs)}",
        ])  # fmt: skip
    head = ["system", "train %, paper", "here", "test %, paper", "here",
            "epochs, paper", "here", "runs that arrived"]  # fmt: skip
    return Table(head, rows, f"table 1, {len(rows)} systems side by side")


def t_tests(results: Sequence[RaceResult]) -> Table:
    """Student's t with pooled variance on the epochs of all pairs, as in the paper."""
    from scipy.stats import ttest_ind

    rows = []
    for a, b in combinations(results, 2):
        x, y = (r.epochs[r.epochs.isfinite()].numpy() for r in (a, b))
        test = ttest_ind(x, y, equal_var=True)
        verdict = "none seen"
        if test.pvalue < 0.05:
            faster = a if x.mean() < y.mean() else b
            verdict = faster.system.name
        rows.append([f"{a.system.name} / {b.system.name}", f"{test.statistic:.1f}",
                     f"{test.df:.0f}", f"{test.pvalue:.1g}", verdict])  # fmt: skip
    head = ["pair", "t", "degrees of freedom", "p (two-sided)", "faster at 5 %"]
    return Table(head, rows, f"t-tests of {len(rows)} pairs")
