"""The long measurements of a router on few bits, and of the router z-loss."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor, nn

from moe_lib.course.columns import Config, by_seed
from moe_lib.course.flips import changed_since, largest_jump
from moe_lib.course.precision import (
    Bfloat16Router,
    in_bfloat16,
    probe,
    rounded_logits,
    trained_in_bfloat16,
)
from moe_lib.course.racing import Racer, race
from moe_lib.course.stored_results import Measurement
from moe_lib.course.switch_runs import SwitchRun, switch_trainer, train_in_turns
from moe_lib.course.switch_setup import Setup
from moe_lib.data.domain_text import DomainText
from moe_lib.data.text import load_text
from moe_lib.language_modelling import evaluate

ARMS = ("float32", "selective", "bfloat16")


def arithmetic(arm: str) -> AbstractContextManager:
    """What an arm of "04b-precision" computes in."""
    return nullcontext() if arm == "float32" else in_bfloat16()


def racer_on(arm: str, setup: Setup, text: DomainText, seed: int) -> Racer:
    """A model to be trained, and judged, in an arm's arithmetic."""

    def bfloat16_router() -> Bfloat16Router:
        return Bfloat16Router(
            setup.d_model,
            setup.num_experts,
            capacity_factor=setup.capacity_factor,
            eval_capacity_factor=setup.num_experts,
        )

    trainer = switch_trainer(
        setup, text, seed, label=arm,
        make_router=bfloat16_router if arm == "bfloat16" else None,
        wrap=trained_in_bfloat16 if arm != "float32" else lambda objective: objective,
    )  # fmt: skip
    return Racer(trainer, lambda: judge_arithmetic(trainer.model, text, setup, arm))


def judge_arithmetic(
    model: nn.Module, text: DomainText, setup: Setup, arm: str
) -> dict[str, Tensor]:
    """Bits held out; the largest logit; whose expert arithmetic decides.

    "flipped by the router": tokens whose expert differs from the float32 router's on
    the same input. "flipped by the model": from the one of the model, its weights as
    they are, computed in float32 throughout.
    """
    with arithmetic(arm):
        bits = evaluate(model, text, setup.span).mean()
        found = probe(model, text, setup.span)
    same_input = (found.x.float() @ found.weight.T).argmax(dim=1)
    exact = probe(model, text, setup.span)
    whole_model = (exact.x @ exact.weight.T).argmax(dim=1)
    return {
        "bits": bits,
        "max logit": found.logits.abs().max(),
        "flipped by the router": (found.choice != same_input).float().mean(),
        "flipped by the model": (found.choice != whole_model).float().mean(),
    }


def measure_precision(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """Columns ``[S]``: "ARM: seconds" of a step, "ARM: NAME" as `judge_arithmetic`."""
    text, setup = load_text(), Setup(**config["base"])

    def columns(seed: int) -> dict[str, Tensor]:
        racers = {arm: racer_on(arm, setup, text, seed) for arm in config["arms"]}
        race(racers, (setup.steps,))
        found = {
            f"{arm}: {name}": values[-1]
            for arm, racer in racers.items()
            for name, values in racer.judged.items()
        }
        for arm in racers:
            found[f"{arm}: seconds"] /= setup.steps
        return found

    return by_seed(seeds, columns)


def arm_name(lr: float, w_z: float) -> str:
    """Such as "0.1, z 0.001"."""
    return f"{lr:g}, z {w_z:g}"


def judge_logits(model: nn.Module, text: DomainText, setup: Setup) -> dict[str, Tensor]:
    """Of the router on held-out text: its logits, what bf16 would do, its choices.

    "error" is the mean over tokens of the largest change of a probability.
    """
    found = probe(model, text, setup.span)
    rounding = rounded_logits(found.logits)
    return {
        "max logit": found.logits.abs().max(),
        "mean logit": found.logits.mean(),
        "lse": found.logits.logsumexp(dim=1).mean(),
        "error": rounding.error.mean(),
        "flipped": rounding.changed.float().mean(),
        "choice": found.choice,
    }


def measure_stability(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """Columns "ARM: NAME" ``[S, C]``: "bits", "seconds", what `judge_logits` finds.

    "ARM: changed" is ``[S, C - 1]``, see `changed_since`. "ARM: jump" ``[S]`` is the
    largest rise of the training bits over the mean of the 20 steps before.
    """
    text, base = load_text(), Setup(**config["base"])
    setups = {
        arm_name(lr, w_z): base.but(lr=lr, w_z=w_z)
        for lr in config["rates"]
        for w_z in config["coefficients"]
    }

    def columns(seed: int) -> dict[str, Tensor]:
        runs = train_in_turns(
            setups, text, seed, config["checkpoints"],
            judge=lambda model: judge_logits(model, text, base),
        )  # fmt: skip
        return {
            f"{arm}: {name}": value
            for arm, run in runs.items()
            for name, value in stability_of(run).items()
        }

    return by_seed(seeds, columns)


def stability_of(run: SwitchRun) -> dict[str, Tensor]:
    """What `measure_stability` keeps of a run judged by `judge_logits`."""
    found = {"bits": run.bits, "seconds": run.seconds, **run.more}
    found["changed"] = changed_since(found.pop("choice"))
    found["jump"] = largest_jump(run.history["bits_per_byte"])
    return found


PRECISION = Measurement(
    "04b-precision",
    "Switch's table 2 in small: float32, bfloat16, and float32 in the router alone",
    {"version": 1, "base": Setup(steps=300).config, "arms": ARMS},
    range(3), 1, measure_precision,
)  # fmt: skip
STABILITY = Measurement(
    "04b-stability",
    "the router z-loss at a usual and at a high learning rate",
    {
        "version": 1, "base": Setup().config, "rates": (Setup().lr, 0.1),
        "coefficients": (0.0, 0.001, 0.01),
        "checkpoints": tuple(range(50, 401, 50)),
    },
    range(3), 1, measure_stability,
)  # fmt: skip
MEASUREMENTS = (PRECISION, STABILITY)
