"""What Hypothesis draws: logits with and without ties, groups, padding."""

from dataclasses import asdict, dataclass

import torch
from hypothesis import strategies as st

from oracles.arithmetic import Matrix, slots_per_expert

# Most tables are full of ties, some of them far below 0; the others hold any float32.
COARSE = st.sampled_from([-1.0, -0.5, -0.0, 0.0, 0.5, 1.0])
NEGATIVE = COARSE.map(lambda v: v - 16)
FINE = st.floats(-8, 8, width=32, allow_subnormal=False)
FACTORS = st.sampled_from([0.01, 0.3, 0.5, 1.0, 1.1, 1.25, 2.0, 4.0])


@dataclass(frozen=True)
class Case:
    """Logits ``[T, E]``, padding, and how many tokens make a group."""

    logits: Matrix
    mask: list[bool] | None
    group_size: int | None

    @property
    def num_tokens(self) -> int:
        return len(self.logits)

    @property
    def num_experts(self) -> int:
        return len(self.logits[0])

    @property
    def tokens_in_group(self) -> int:
        return self.group_size or self.num_tokens

    @property
    def tensor(self) -> torch.Tensor:
        return torch.tensor(self.logits)

    @property
    def token_mask(self) -> torch.Tensor | None:
        return None if self.mask is None else torch.tensor(self.mask)


@st.composite
def matrices(draw, num_tokens: int, num_experts: int) -> Matrix:
    values = draw(st.sampled_from([COARSE, NEGATIVE, FINE]))
    row = st.lists(values, min_size=num_experts, max_size=num_experts)
    return draw(st.lists(row, min_size=num_tokens, max_size=num_tokens))


@st.composite
def cases(
    draw,
    min_experts: int = 1,
    max_experts: int = 6,
    max_tokens: int = 9,
    groups: bool = False,
) -> Case:
    """T from 1 to ``max_tokens``, so often below E."""
    group_size = draw(st.integers(1, max_tokens))
    num_groups = draw(st.integers(1, max_tokens // group_size)) if groups else 1
    num_tokens = group_size * num_groups
    grouped = groups and (num_groups > 1 or draw(st.booleans()))
    any_mask = st.lists(st.booleans(), min_size=num_tokens, max_size=num_tokens)
    return Case(
        draw(matrices(num_tokens, draw(st.integers(min_experts, max_experts)))),
        draw(st.none() | any_mask),
        group_size if grouped else None,
    )


@dataclass(frozen=True)
class Limits:
    """What a router with capacity is told, and in which mode it runs."""

    capacity_factor: float | None
    eval_capacity_factor: float | None
    min_capacity: int
    batch_prioritized_routing: bool
    training: bool

    def arguments(self, case: Case) -> dict:
        """For the router's constructor."""
        told = asdict(self) | {"group_size": case.group_size}
        del told["training"]
        return told

    def capacity(self, top_k: int, case: Case) -> int | None:
        factor = self.capacity_factor
        if not self.training and self.eval_capacity_factor is not None:
            factor = self.eval_capacity_factor
        if factor is None:
            return None
        return slots_per_expert(
            factor, top_k, case.tokens_in_group, case.num_experts, self.min_capacity
        )


LIMITS = st.builds(
    Limits,
    st.none() | FACTORS,
    st.none() | FACTORS,
    st.sampled_from([1, 1, 1, 3]),
    st.booleans(),
    st.booleans(),
)
