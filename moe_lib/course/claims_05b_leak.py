"""What is said of expert choice and the future, to be judged in chapter 5b."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moe_lib.course import measurements_05b_leak as long
from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.columns import Columns
from moe_lib.course.evidence import BITS, Below, Exact, Near, Share
from moe_lib.course.leak import router_leak
from moe_lib.course.measurements import stored
from moe_lib.routers import (
    ExpertChoiceRouter,
    NoisyTopKRouter,
    PredictedChoice,
    SoftmaxGate,
    SwitchRouter,
    ThresholdChoice,
    TopKRouter,
)

ZHOU, RAPOSO = "Zhou et al. 2022", "Raposo et al. 2024"
MARGIN = 0.02  # bits per byte: what counts as little
SAME = 1e-6  # bits per byte: rounding
WIDTH, EXPERTS, TOKENS = 8, 4, 24
CAUSAL = (SoftmaxGate, NoisyTopKRouter, TopKRouter, SwitchRouter, ThresholdChoice,
          PredictedChoice)  # fmt: skip


def exact_leak_claims(cases: int = 20) -> list[Claim]:
    """With drawn weights and tokens; all from one token on are replaced, from each."""
    still = sum(_largest(kind, seed) > 0 for kind in CAUSAL for seed in range(cases))
    blind = sum(_largest(ExpertChoiceRouter, seed) == 0 for seed in range(cases))
    return [
        Claim(
            "M5.leak", "to choose among all tokens uses later ones (here: other later"
            " tokens move an earlier token's weights)", f"{ZHOU}, section 6",
            "stated", Exact(float(blind), cases, "texts"),
        ),
        Claim(
            "M5.no-leak", "token choice does not (here: to the bit; softmax gate, noisy"
            " top-k, top-k, Switch, and in evaluation learned thresholds and a"
            " predictor)", f"{ZHOU}, section 6", "implied",
            Exact(float(still), cases * len(CAUSAL), "texts"),
        ),
    ]  # fmt: skip


def _largest(kind: type[nn.Module], seed: int) -> float:
    """The largest change of an earlier token's weights, over all starts."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        router = kind(WIDTH, EXPERTS)
        nn.init.normal_(router.gate.weight)
        x, other = torch.randn(2, TOKENS, WIDTH)
    starts = range(1, TOKENS)
    return max(router_leak(router, x, other, start).max().item() for start in starts)


def gap(columns: Columns, arm: str, alone: bool = False) -> Tensor:
    """``[S]``: bits that writing costs more than reading the same texts."""
    where = " alone" if alone else ""
    return columns[f"{arm}: written{where}"] - columns[f"{arm}: read{where}"]


def leak_claims(columns: Columns) -> list[Claim]:
    """On trained models, as `measure_leak` gives them; differences seed by seed."""
    none = torch.zeros_like(gap(columns, "Mixtral top-2"))
    written = {
        arm: columns[f"{arm}: written"] - columns["Mixtral top-2: written"]
        for arm in ("expert choice", "same position", "threshold", "predictor")
    }
    same = [
        gap(columns, arm, alone).abs()
        for arm in ("Mixtral top-2", "threshold", "predictor")
        for alone in (False, True)
    ]
    position = gap(columns, "same position").abs()
    return [
        Claim(
            "M5.gap", "a model that chooses among later tokens is worse when it writes"
            " (here: bits step by step more than teacher-forced, 32 texts side by side,"
            " against none)", f"{ZHOU}, section 6", "implied",
            Below(none, gap(columns, "expert choice"), BITS, 4),
        ),
        Claim(
            "M5.gap-per-text", "the same, if experts choose within each text",
            f"{ZHOU}, section 6", "implied",
            Below(none, gap(columns, "expert choice, per text"), BITS, 4),
        ),
        Claim(
            "M5.gap-alone", "the same, for one text at a time", f"{ZHOU}, section 6",
            "small batches named as a limit",
            Below(none, gap(columns, "expert choice", alone=True), BITS, 4),
        ),
        Claim(
            "M5.no-gap", "token choice, thresholds and predictor write as they read"
            " (here: to the digits stored, side by side and alone)", "this course",
            "by construction",
            Exact(torch.stack(same).max().item(), 6 * len(none), "runs", SAME),
        ),
        Claim(
            "M5.no-gap-position", "to choose among other texts at one position leaks"
            " nothing (here: to the digits stored, 32 texts side by side)",
            f"{ZHOU}, section 6", "proposed",
            Exact(position.max().item(), len(none), "runs", SAME),
        ),
        *(
            Claim(
                f"M5.written-{arm.replace(' ', '-')}", f"{arm} costs little when"
                " it writes (here: bits step by step more than top-2's;"
                f" {MARGIN:g} counts as none)", "this course", "asked",
                Near(none, more, BITS, 3, MARGIN),
            )
            for arm, more in written.items()
        ),
        Claim(
            "M5.predictor", "a small predictor tells who is taken (here: per cent of"
            " pairs of token and expert, against 97; always no gives 93.75)",
            f"{RAPOSO}, section 3.5",
            "more than 97 % (capacity 12.5 %, one block)",
            Below(none + 97, 100 * columns["predictor: accuracy"], "%", 2),
        ),
        Claim(
            "M5.predictor-chance", "the predictor knows more than that few are taken"
            " (here: right answers against those of always no)", "this course", "asked",
            Share(columns["predictor: accuracy"] > columns["predictor: always no"]),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """From the long measurement.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    found = stored(long.LEAK)
    return with_origin(found, leak_claims(found))
