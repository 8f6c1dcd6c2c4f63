"""What GShard (2020) says that split experts cost, to be judged in chapter 3b."""

from __future__ import annotations

from moe_lib.course import cost_quality as table
from moe_lib.course import parallel_facts as facts
from moe_lib.course.claims import Claim
from moe_lib.course.evidence import Cited, Exact
from moe_lib.course.split_run import TRAVELS, SplitRun
from moe_lib.course.torus import mean_hops

PAPER = "GShard 2020"


def calculated_claims() -> list[Claim]:
    """On hops, bytes and the columns of table 3."""
    return [
        Claim(
            "M3.hops", "a torus of r x c has (r + c) / 4 links between two devices on"
            " average (less where a side is odd; here: walked)",
            f"{PAPER}, section 5.3", "O(√D)",
            Exact(facts.hops_off(), len(facts.TORI) + 3, "tori", 1e-9),
        ),
        Claim(
            "M3.root", "so the hops grow with the square root of D (here: even square"
            " tori)", f"{PAPER}, section 5.3", "O(√D)",
            Exact(facts.root_off(), 32, "tori", 1e-9),
        ),
        Claim(
            "M3.fixed", "at a fixed number of tokens a device sends and keeps the same"
            " bytes, whatever D is", f"{PAPER}, section 5.3", "total O(D)",
            Exact(facts.fixed_bytes_off(), 2048, "numbers of devices", 1e-6),
        ),
        Claim(
            "M3.columns", "the columns agree: core-years with days, days with steps,"
            " experts in all with those of a layer (the exceptions, with 2,048 experts:"
            " 1.4 days, where 1.3 would fit; 36,684 and 12,228 experts in all, where it"
            " would be 36,864 and 12,288)", f"{PAPER}, tables 1 and 3", "printed",
            Exact(len(facts.odd_cells()), len(table.ALL), "models"),
        ),
        Claim(
            "M3.weights", "experts are nearly all of the weights (here: theirs alone"
            " against the printed sums, which are rounded)", f"{PAPER}, table 1, A.2",
            "12.5 to 600 billion", Exact(facts.weights_off(), 6, "models", 0.05),
        ),
    ]  # fmt: skip


def split_claims(*runs: SplitRun) -> list[Claim]:
    """On layers that were split over real processes, one run for each number of them.

    Raises:
        ValueError: no run.
    """
    if not runs:
        raise ValueError("no runs: give at least one SplitRun")
    ranks = " and ".join(str(len(run.tokens)) for run in runs)
    found = [worst for run in runs for worst in run.differences.values()]
    wrong = [cell for run in runs for cell in facts.wrong_payloads(run)]
    cells = sum(len(TRAVELS) * len(run.tokens) ** 2 for run in runs)
    return [
        Claim(
            "M3.split", f"split over {ranks} processes, a layer gives the outputs and"
            " gradients of one process", f"{PAPER}, section 3.2", "the same program",
            Exact(max(found), len(found), "comparisons", 1e-5),
        ),
        Claim(
            "M3.bytes", "between two processes go rows x d_model x bytes, there and"
            " back, forward and backward", f"{PAPER}, section 3.1", "by its shapes",
            Exact(sum(map(facts.wrong_cells, runs)), cells, "cells of the matrices"),
        ),
        Claim(
            "M3.payload", "rows as bfloat16 are half the bytes, as int8 a quarter and"
            " a scale", "arithmetic of a row", "1/2, 1/4 + 1/d_model",
            Exact(sum(wrong), len(wrong), "batches"),
        ),
    ]  # fmt: skip


def cited_claims() -> list[Claim]:
    """What two cores cannot show."""
    most, dense = table.find(2048, 36), table.DENSE
    deep, flat = (
        table.step_time_ratio(table.find(2048, layers), table.find(128, layers))
        for layers in (36, 12)
    )
    return [
        Claim(
            "M3.nine", "the all-to-all takes 9 times as long over 2,048 devices as over"
            " 16", f"{PAPER}, section 5.3", "9",
            Cited(
                "no 2,048 devices here; the square root says"
                f" {(2048 / 16) ** 0.5:.1f}, hops counted"
                f" {mean_hops(2048) / mean_hops(16):g}"
            ),
        ),
        Claim(
            "M3.share", "dispatch and combine take 16 % of the layers' time with 128"
            " experts, 36 % with 2,048, and are then 3.75 times as long",
            f"{PAPER}, section 5.2", "16 and 36 %",
            Cited(
                "no TPUs here; 1.7 times the time makes it"
                f" {1.7 * 0.36 / 0.16:.2f} times, the square root says 4"
            ),
        ),
        Claim(
            "M3.step", "a step takes 1.7 times as long for 16 times the model",
            f"{PAPER}, section 5", "1.7",
            Cited(
                "no TPUs here; from table 3, per token of a core:"
                f" {deep:.1f} and {flat:.1f} times, but there the cores' batches"
                " differ by 4"
            ),
        ),
        Claim(
            "M3.roofline", "the layer runs at over 70 % of the roofline with 128"
            " experts, at 48 % with 2,048", f"{PAPER}, section 5.2", "70 and 48 %",
            Cited("no TPUs here"),
        ),
        Claim(
            "M3.bleu", "600 billion weights translate better than 96 dense layers, for"
            " a tenth of the cost", f"{PAPER}, tables 1 and 3",
            f"{most.bleu:g} against {dense.bleu:g} BLEU, {most.core_years:g} against"
            f" {dense.core_years:g} core-years",
            Cited("22 core-years; the chapter before asks the same of a small model"),
        ),
    ]  # fmt: skip
