"""One of every kind of router, for the tests of what they all promise."""

import torch

from moe_lib.routers import (
    ExpertChoiceRouter,
    GShardRouter,
    HashRouter,
    HierarchicalRouter,
    NoisyTopKRouter,
    PredictedChoice,
    SamePositionChoice,
    SoftmaxGate,
    SwitchRouter,
    ThresholdChoice,
    TopKRouter,
)

D_MODEL, VOCABULARY = 8, 11

DROPLESS = {
    "softmax": lambda e: SoftmaxGate(D_MODEL, e),
    "noisy_top_k": lambda e: NoisyTopKRouter(D_MODEL, e, top_k=min(2, e)),
    "top_k": lambda e: TopKRouter(D_MODEL, e, top_k=min(2, e)),
    "hierarchical": lambda e: HierarchicalRouter(
        D_MODEL, (2, e // 2), top_k=min(2, e // 2)
    ),
    "hash": lambda e: HashRouter(D_MODEL, e, vocab_size=VOCABULARY),
    "switch_dropless": lambda e: SwitchRouter(D_MODEL, e, capacity_factor=None),
    "gshard_dropless": lambda e: GShardRouter(D_MODEL, e, capacity_factor=None),
}
CAPPED = {
    "switch": lambda e: SwitchRouter(D_MODEL, e, capacity_factor=1.0, jitter_noise=0.1),
    "switch_groups": lambda e: SwitchRouter(
        D_MODEL, e, capacity_factor=0.5, group_size=6, batch_prioritized_routing=True
    ),
    "gshard": lambda e: GShardRouter(D_MODEL, e, capacity_factor=0.6),
    "gshard_groups": lambda e: GShardRouter(
        D_MODEL, e, capacity_factor=0.6, group_size=6, batch_prioritized_routing=True
    ),
    "expert_choice": lambda e: ExpertChoiceRouter(D_MODEL, e, capacity_factor=0.75),
    "expert_choice_groups": lambda e: ExpertChoiceRouter(
        D_MODEL, e, capacity_factor=1.0, group_size=6
    ),
}
ALL = DROPLESS | CAPPED
REPAIRS = {  # of expert choice; thresholds move in training, texts have one length
    "predicted_choice": lambda e: PredictedChoice(D_MODEL, e, capacity_factor=1.0),
    "same_position": lambda e: SamePositionChoice(D_MODEL, e, length=3),
    "threshold_choice": lambda e: ThresholdChoice(D_MODEL, e),
}


def make(kind: str, num_experts: int, seed: int = 0):
    """The router, its weights drawn anew (zero logits would hide much)."""
    torch.manual_seed(seed)
    router = (ALL | REPAIRS)[kind](num_experts)
    with torch.no_grad():
        for weight in router.parameters():
            weight.normal_()
    return router


def tokens(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """``x`` ``[T, D_MODEL]`` and token ids ``[T]``."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(count, D_MODEL, generator=draw)
    return x, torch.randint(VOCABULARY, (count,), generator=draw)


def route(router, x, ids, mask=None):
    return router(x, token_mask=mask, token_ids=ids)


def rows_of(routing, real=None) -> list[tuple]:
    """The rows of the real tokens: (token, expert, weight, kept, slot)."""
    columns = (
        routing.token_index,
        routing.expert_index,
        routing.combine_weights,
        routing.kept,
        routing.position_in_expert,
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [row for row in rows if real is None or real[row[0]]]
