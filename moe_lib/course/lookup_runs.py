"""Recall thousands of names in ten languages with a very small model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.checks import require_choice
from moe_lib.course.lookup_setup import Setup
from moe_lib.course.racing import Racer
from moe_lib.data.lookup import Facts, Lookup
from moe_lib.language_modelling import auxiliary_losses
from moe_lib.losses import load_balancing_loss
from moe_lib.models.lookup_net import LookupNet
from moe_lib.running import evaluating
from moe_lib.schedules import warmup_then_linear
from moe_lib.training import Metrics, Trainer

#: Group of languages -> the fewest facts that one of them has.
GROUPS = {"high": 800, "mid": 400, "low": 0}


@dataclass(frozen=True, eq=False)
class LookupRun:
    """What one trained model tells.

    seen, unseen: ``[N]`` bool, which facts it has right.
    curve: ``[steps]``, cross entropy of each batch in nats. seconds: processor time of
    the training.
    """

    setup: Setup
    seed: int
    data: Lookup
    model: LookupNet
    seen: Tensor
    unseen: Tensor
    curve: Tensor
    seconds: float

    def recalled(self, part: str = "seen") -> dict[str, float]:
        """Share of right facts: of "all", of each group, and of each language.

        Args:
            part: "seen" or "unseen".
        """
        require_choice("part", part, ("seen", "unseen"))
        facts, right = getattr(self.data, part), getattr(self, part).double()
        languages = self.data.languages
        of = {code: right[facts.language == i] for i, code in enumerate(languages)}
        groups = {
            group: torch.cat([of[code] for code in codes])
            for group, codes in groups_of(self.data).items()
        }
        named = {"all": right, **groups, **of}
        return {name: values.mean().item() for name, values in named.items()}


def train_lookup(setup: Setup, data: Lookup, seed: int = 0) -> LookupRun:
    """Train one model; the same seed gives the same batches, whatever the arm.

    Raises:
        ValueError: facts of another width than the setup's.
        KeyboardInterrupt: after the step in hand; so a loop of runs ends as well.
    """
    if data.seen.features.shape[1] != setup.d_model:
        raise ValueError(
            f"the facts have {data.seen.features.shape[1]} features but d_model="
            f"{setup.d_model}: call load_lookup(d_model={setup.d_model})"
        )
    model = new_model(setup, data, seed)

    def objective(
        model: nn.Module, generator: torch.Generator
    ) -> tuple[Tensor, Metrics]:
        features, language, answer = data.draw(setup.batch, generator)
        logits, routings = model(features, language)
        nats = F.cross_entropy(logits, answer)
        weights = {load_balancing_loss: setup.w_balance}
        extra, metrics = auxiliary_losses(routings, weights)
        return nats + extra, {**metrics, "nats": nats}

    optimizer = torch.optim.AdamW(
        model.parameters(), lr=setup.lr, betas=(0.9, 0.98), fused=True
    )
    run = Trainer(
        model,
        objective,
        optimizer,
        scheduler=warmup_then_linear(optimizer, setup.steps),
        clip_norm=1.0,
        seed=seed,
        label=f"{setup.arm}, seed {seed}",
    )
    racer = Racer(run)
    racer.go_on(setup.steps)
    seen, unseen = (_right(model, facts) for facts in (data.seen, data.unseen))
    curve = run.history["nats"]
    return LookupRun(setup, seed, data, model, seen, unseen, curve, racer.seconds)


def new_model(setup: Setup, data: Lookup, seed: int) -> LookupNet:
    """The untrained model that a run with this seed starts from."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return setup.build(len(data.languages), len(data.answers))


def groups_of(data: Lookup) -> dict[str, tuple[str, ...]]:
    """Group -> its languages, by their number of seen facts: see `GROUPS`."""
    counts = data.seen.language.bincount(minlength=len(data.languages)).tolist()
    members: dict[str, list[str]] = {group: [] for group in GROUPS}
    for language, count in zip(data.languages, counts, strict=True):
        group = next(name for name, fewest in GROUPS.items() if count >= fewest)
        members[group].append(language)
    return {group: tuple(codes) for group, codes in members.items() if codes}


def _right(model: LookupNet, facts: Facts) -> Tensor:
    with evaluating(model):
        logits, _ = model(facts.features, facts.language)
    return logits.argmax(dim=1) == facts.answer
