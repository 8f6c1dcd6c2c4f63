"""Who may race: every router of the field, and nobody who breaks the contract."""

import re
from dataclasses import replace

import pytest
import torch

from moe_lib.course.leak_setup import Setup as LeakSetup
from moe_lib.course.leak_setup import ways_to_choose
from moe_lib.course.race_contract import entry_fault
from moe_lib.course.race_setup import Setup, choosing, field
from moe_lib.losses import load_balancing_loss
from moe_lib.routers import (
    ExpertChoiceRouter,
    HashRouter,
    SwitchRouter,
    TopKRouter,
)
from moe_lib.routers.router import Router

BASE = Setup(d_model=8, d_ff=8, num_experts=4)
SETUP = choosing(BASE, "top-k", 2)  # 8 experts, 2 of a token
LOSSES = {load_balancing_loss: 0.01}


@pytest.mark.parametrize("masked", [False, True])
def test_the_field_may_race_and_expert_choice_only_where_nothing_is_ahead(masked):
    for name, setup in field(BASE.but(masked=masked)).items():
        if setup.dense:
            continue
        torch.manual_seed(0)
        router = setup.make_router()
        before = {k: v.clone() for k, v in router.state_dict().items()}
        fault = entry_fault(router, setup, setup.losses)
        if name == "expert choice" and not masked:
            assert "it looks at the future: the weights of byte 0" in fault
        else:
            assert fault == "", name
        assert router.training
        assert all(before[k].equal(v) for k, v in router.state_dict().items())


def test_the_repairs_look_at_no_later_byte():
    faults = {}
    for name, setup in ways_to_choose(LeakSetup(d_model=8, d_ff=8)).items():
        torch.manual_seed(0)
        faults[name] = entry_fault(setup.make_router(), setup, {})
    assert [name for name, fault in faults.items() if "future" in fault] == [
        "expert choice", "expert choice, per text",
    ]  # fmt: skip


class Changed(TopKRouter):
    """Top-2 whose table is changed by a function."""

    def __init__(self, change, d_model=8, num_experts=8):
        super().__init__(d_model, num_experts, top_k=2)
        self.change = change

    def table(self, *arguments):
        return self.change(super().table(*arguments))


def columns(**changes):
    """A router with a column changed by a function of the table."""
    return Changed(lambda r: replace(r, **{k: f(r) for k, f in changes.items()}))


def half_kept(routing):
    return torch.arange(len(routing.kept)) % 2 == 0


class Ahead(Router):
    """Top-1 with a bonus for the expert that the next token likes."""

    def table(self, logits, noisy, mask):
        seen = logits + logits.roll(-1, 0)
        return TopKRouter(8, 8, top_k=1).table(seen, seen, mask)


class NextByte(HashRouter):
    """The hash of a byte and of the next one: what the model is to tell."""

    def forward(self, x, token_mask=None, token_ids=None):
        both = (token_ids + 31 * token_ids.roll(-1)) % 257
        return super().forward(x, token_mask, both)


class ByLot(Router):
    def table(self, logits, noisy, mask):
        drawn = logits + torch.randn_like(logits)
        return TopKRouter(8, 8, top_k=1).table(drawn, drawn, mask)


class Ragged(Router):
    def table(self, logits, noisy, mask):
        table = TopKRouter(8, 8, top_k=1).table(logits, logits, mask)
        some = torch.arange(len(table.kept))[logits[:, 0] > 0]
        names = ("token_index", "expert_index", "combine_weights", "kept",
                 "position_in_expert")  # fmt: skip
        return replace(table, **{name: getattr(table, name)[some] for name in names})


class Mask(Router):
    def table(self, logits, noisy, mask):
        return TopKRouter(8, 8, top_k=2).table(logits, noisy, None)


BREAKERS = {
    "no module": (lambda: 3, "a int is no torch.nn.Module"),
    "experts": (lambda: TopKRouter(8, 4, top_k=2), "num_experts is 4, asked for is 8"),
    "width": (lambda: TopKRouter(6, 8, top_k=2), "d_model is 6, asked for is 8"),
    "no table": (lambda: Changed(lambda r: r.dense()), "returns a Tensor, not a Rout"),
    "no return": (lambda: Changed(lambda r: None), "nothing: is a return missing"),
    "half weights": (
        lambda: columns(combine_weights=lambda r: r.combine_weights.double()),
        "combine_weights is torch.float64, not torch.float32",
    ),
    "small index": (
        lambda: columns(expert_index=lambda r: r.expert_index.int()),
        "expert_index is torch.int32, not torch.int64",
    ),
    "kept by numbers": (
        lambda: columns(kept=lambda r: r.kept.long()),
        "kept is torch.int64, not torch.bool",
    ),
    "short column": (
        lambda: columns(position_in_expert=lambda r: r.position_in_expert[:5]),
        r"position_in_expert is \[5\], token_index is \[512\]",
    ),
    "not a number": (
        lambda: columns(combine_weights=lambda r: r.combine_weights / 0 * 0),
        "a weight is NaN or infinite",
    ),
    "no such expert": (
        lambda: columns(expert_index=lambda r: r.expert_index + 1),
        "expert_index goes from 1 to 8",
    ),
    "twice": (
        lambda: columns(expert_index=lambda r: 0 * r.expert_index),
        "a token gets the same expert twice",
    ),
    "dropped rows weigh": (
        lambda: columns(kept=half_kept),
        "256 of 256 dropped rows have a weight: make it 0 where kept is False",
    ),
    "three experts": (
        lambda: TopKRouter(8, 8, top_k=3),
        "a token gets 3 experts, the arithmetic of the race allows 2",
    ),
    "padding": (lambda: Mask(8, 8), "it serves 40 rows of padding: mind token_mask"),
    "ragged": (lambda: Ragged(8, 8), "tables of 256 tokens differ in length"),
    "by lot": (
        lambda: ByLot(8, 8),
        "answers the same tokens twice, and not alike: draw lots while self.training",
    ),
    "a look ahead": (
        lambda: Ahead(8, 8),
        "it looks at the future: the weights of byte 0 of a text move when other bytes"
        " stand from byte 1 on",
    ),
    "the next byte's id": (
        lambda: NextByte(8, 8, 257),
        "it looks at the future: the weights of byte 0 of a text move when other bytes",
    ),
    "best first": (
        lambda: SwitchRouter(
            8, 8, capacity_factor=0.5, batch_prioritized_routing=True
        ),
        "it looks at the future",
    ),
    "tight in evaluation": (  # earlier texts' last bytes push out later texts' first
        lambda: SwitchRouter(8, 8, capacity_factor=0.25),
        "it looks at another text: the weights of byte 0 move with the texts beside it",
    ),
    "expert choice": (lambda: ExpertChoiceRouter(8, 8), "it looks at the future"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BREAKERS)
def test_who_breaks_the_contract_is_told_how(kind):
    make, reason = BREAKERS[kind]
    torch.manual_seed(1)
    fault = entry_fault(make(), SETUP, LOSSES)
    assert re.search(reason, fault), fault


def test_what_may_look_around_may_in_the_masked_race():
    masked = SETUP.but(masked=True)
    for router in (Ahead(8, 8), ExpertChoiceRouter(8, 8)):
        assert entry_fault(router, masked, LOSSES) == ""
        assert "future" in entry_fault(router, SETUP, LOSSES)


def test_a_loss_has_to_be_one_number():
    def two(routing):
        return routing.router_probs.mean(dim=0)[:2]

    router = TopKRouter(8, 8, top_k=2)
    assert "two returns a tensor of shape [2]" in entry_fault(router, SETUP, {two: 1})
