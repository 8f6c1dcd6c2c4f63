"""Which routers of several or few experts race, and what counts as their number."""

import pytest
import torch
from torch import nn

from moe_lib.course.race_contract import arithmetic_fault, entry_fault
from moe_lib.course.race_setup import Setup, choosing
from moe_lib.routers import (
    ExpertChoiceRouter,
    HashRouter,
    ThresholdChoice,
    TopKRouter,
)

BASE = Setup(d_model=16, d_ff=8, num_experts=4, num_heads=2)
SETUP = choosing(BASE, "top-k", 2)  # 8 experts, 2 of a token


class WithinText(HashRouter):
    """The hash of a byte and of the one before it in its text."""

    def forward(self, x, token_mask=None, token_ids=None):
        before = token_ids.view(-1, 64).roll(1, 1)
        before[:, 0] = 256
        return super().forward(x, token_mask, (token_ids + 31 * before.flatten()) % 257)


def test_the_hash_of_a_byte_and_of_the_one_before_may_race():
    router, ids = WithinText(16, 8, 257), torch.zeros(128, dtype=torch.int64)
    x, moved = torch.ones(128, 16), set()
    for byte in range(1, 9):
        apart = ids.index_fill(0, torch.tensor(5), byte)
        change = router(x, None, apart).expert_index - router(x, None, ids).expert_index
        moved |= set(change.nonzero().flatten().tolist())
    assert moved == {5, 6}
    assert entry_fault(router, SETUP, {}) == ""

    class OverTheBorder(HashRouter):
        def forward(self, x, token_mask=None, token_ids=None):
            return super().forward(x, token_mask, token_ids.roll(1))

    fault = entry_fault(OverTheBorder(16, 8, 257), SETUP, {})
    assert "of byte 0 move with the texts beside it" in fault


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: TopKRouter(16, 8, top_k=2), ""),
        (lambda: ExpertChoiceRouter(16, 8, capacity_factor=1.0), ""),
        (lambda: ExpertChoiceRouter(16, 8, capacity_factor=3.0),
         "a byte gets 3 experts on average (in training), the arithmetic of the race"
         " allows 2"),
        (lambda: ExpertChoiceRouter(16, 8, capacity_factor=1.0,
                                    eval_capacity_factor=3.0),
         "a byte gets 3 experts on average (in eval mode), the arithmetic of the race"
         " allows 2"),
    ],
)  # fmt: skip
def test_experts_of_a_byte_are_counted_on_a_text(make, fault):
    torch.manual_seed(0)
    model = SETUP.build(make)
    assert arithmetic_fault(model, torch.randint(256, (4, 64)), SETUP) == fault
    assert model.training


def test_a_threshold_may_learn_whom_to_take():
    router = ThresholdChoice(16, 8)
    assert entry_fault(router, SETUP, {}) == ""
    model = SETUP.build(lambda: router)
    before = router.threshold.clone()
    assert "a byte gets" in arithmetic_fault(model, torch.arange(64)[None], SETUP)
    assert torch.equal(router.threshold, before)  # a copy was asked


def test_a_router_without_weights_may_race():
    class Turns(nn.Module):
        num_experts, d_model = 8, 16

        def forward(self, x, token_mask=None, token_ids=None):
            logits = torch.eye(8)[torch.arange(len(x)) % 8]
            return TopKRouter(8, 8, top_k=1).table(logits, logits, token_mask)

    assert entry_fault(Turns(), SETUP, {}) == ""
