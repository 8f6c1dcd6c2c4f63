"""The long measurements of chapter 4's two knobs: how much room, how much pressure.

The capacity factor is one number in training and may be another in evaluation; the
balancing loss has a coefficient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from moe_lib.course.byte_runs import balance
from moe_lib.course.columns import Config, by_seed
from moe_lib.course.expert_similarity import (
    bits_of_second_best,
    expert_similarity,
    mean_of_pairs,
    only_mixture,
)
from moe_lib.course.placed import place
from moe_lib.course.stored_results import Measurement
from moe_lib.course.switch_runs import SwitchRun, train_in_turns
from moe_lib.course.switch_setup import Setup
from moe_lib.data.domain_text import DomainText
from moe_lib.data.text import load_text
from moe_lib.language_modelling import evaluate
from moe_lib.models.transformer import TransformerLM

FACTORS = (0.5, 0.75, 1, 1.25, 2, 4)
COEFFICIENTS = (0, 0.0001, 0.001, 0.01, 0.1, 1)
LIMITED = "at 1.25"  # the arms that may drop tokens in training


@contextmanager
def room(model: TransformerLM, factor: float) -> Iterator[list[Tensor]]:
    """Inside, each expert has ``factor * tokens / E`` places in evaluation.

    Yields:
        A list to which each batch adds the share of its choices that is dropped, 0-d.
    """
    router, dropped = only_mixture(model).router, []
    before = router.slots
    router.slots = replace(before, eval_capacity_factor=factor / router.top_k)
    handle = router.register_forward_hook(
        lambda _, args, routing: dropped.append(routing.drop_fraction)
    )
    try:
        yield dropped
    finally:
        handle.remove()
        router.slots = before


def judged_with(
    model: TransformerLM, setup: Setup, text: DomainText, factors: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Held-out bits per byte and the share of choices dropped, ``[factors]`` each.

    Batches have as many tokens as in training.
    """
    bits, shares = [], []
    for factor in factors:
        with room(model, factor) as dropped:
            bits.append(
                evaluate(model, text, setup.span, batch=setup.tokens).mean().item()
            )
        shares.append(torch.stack(dropped).mean().item())
    return torch.tensor(bits), torch.tensor(shares)


def capacity_columns(
    runs: Mapping[str, SwitchRun], text: DomainText, config: Config
) -> dict[str, Tensor]:
    """Of one seed and each training factor F: "F: bits" and "F: eval dropped" over the
    evaluation factors, "F: bits with room", "F: training dropped", "F: seconds"."""
    columns = {}
    for name, run in runs.items():
        bits, dropped = judged_with(run.model, run.setup, text, config["factors"])
        columns[f"{name}: bits"], columns[f"{name}: eval dropped"] = bits, dropped
        columns[f"{name}: bits with room"] = run.bits[-1]
        columns[f"{name}: training dropped"] = late_drops(run, config["last"])
        columns[f"{name}: seconds"] = run.seconds[-1]
    return columns


def late_drops(run: SwitchRun, last: int) -> Tensor:
    """The share of choices dropped in training, over the last steps, 0-d."""
    return run.history["drop_fraction"][-last:].mean()


def measure_capacity(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `capacity_columns`; all factors of a seed train in turns."""
    text, base = load_text(), Setup(**config["base"])
    setups = {f"{f:g}": base.but(capacity_factor=f) for f in config["factors"]}
    return by_seed(
        seeds,
        lambda seed: capacity_columns(train_in_turns(setups, text, seed), text, config),
    )


def balance_columns(
    runs: Mapping[str, SwitchRun], text: DomainText, config: Config
) -> dict[str, Tensor]:
    """Of one seed and each arm, on held-out text with room for all: bits, balance,
    how sure the router is, how alike the experts are, and bits of second choices."""
    columns = {}
    for name, run in runs.items():
        found = {"bits": run.bits[-1], "dropped": late_drops(run, config["last"])}
        found |= router_columns(run.model, run.setup, text)
        alike = expert_similarity(run.model, run.setup, text)
        found["similarity"] = mean_of_pairs(alike)
        found["second best"] = bits_of_second_best(run.model, run.setup, text)
        columns |= {f"{name}: {key}": torch.as_tensor(v) for key, v in found.items()}
    return columns


def router_columns(
    model: TransformerLM, setup: Setup, text: DomainText
) -> dict[str, float]:
    """On held-out text: the balance, the mean entropy of the router in nats, its mean
    largest probability, and experts with under a tenth of an even share."""
    routing = place(model, setup, text).routing
    probs, demand = routing.router_probs, routing.demand_per_expert
    nats = -(probs * probs.clamp(min=1e-12).log()).sum(dim=1)
    return {
        **balance(routing),
        "entropy": nats.mean().item(),
        "top probability": probs.max(dim=1).values.mean().item(),
        "idle": (demand < demand.float().mean() / 10).sum().item(),
    }


def measure_balance(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `balance_columns`, with "untrained: similarity"; arms train in turns."""
    text, base = load_text(), Setup(**config["base"])
    setups = {f"{w:g}": base.but(w_balance=w) for w in config["coefficients"]}
    limited = base.but(capacity_factor=config["limited factor"])
    for w in config["limited coefficients"]:
        setups[f"{w:g} {LIMITED}"] = limited.but(w_balance=w)

    def of_seed(seed: int) -> dict[str, Tensor]:
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # as the trainers start
            start = expert_similarity(base.build(), base, text)
        columns = balance_columns(train_in_turns(setups, text, seed), text, config)
        start = torch.tensor(mean_of_pairs(start))
        return {**columns, "untrained: similarity": start}

    return by_seed(seeds, of_seed)


BASE = Setup(steps=400, lr=0.01)
CAPACITY = Measurement(
    "04-capacity",
    "capacity factors in training and in evaluation",
    {"version": 1, "base": BASE.config, "factors": FACTORS, "last": 100},
    range(3), 1, measure_capacity,
)  # fmt: skip
BALANCE = Measurement(
    "04-balance",
    "coefficients of the balancing loss, with room for all and at factor 1.25",
    {
        "version": 1, "base": BASE.but(capacity_factor=None).config,
        "coefficients": COEFFICIENTS, "limited factor": 1.25,
        "limited coefficients": (0, 0.01, 1), "last": 100,
    },
    range(3), 1, measure_balance,
)  # fmt: skip
MEASUREMENTS = (CAPACITY, BALANCE)
