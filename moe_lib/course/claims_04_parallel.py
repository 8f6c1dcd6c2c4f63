"""What Switch says of its three kinds of parallelism, checked on layers in pieces."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moe_lib.course.claims import Claim
from moe_lib.course.evidence import Cited, Exact
from moe_lib.course.sharded_layer import ShardedLayer
from moe_lib.course.who_holds_what import JOURNEYS, Layout
from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.models.ffn import DenseFFN
from moe_lib.routers import SwitchRouter

PAPER = "Fedus et al. 2021"


def whole_layer(layout: Layout, seed: int = 0) -> MoE | DenseFFN:
    """The same layer in one piece, float64."""
    sizes = layout.d_model, layout.d_ff
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        if layout.num_experts == 1:
            return DenseFFN(*sizes).double()
        router = SwitchRouter(
            layout.d_model,
            layout.num_experts,
            capacity_factor=layout.capacity_factor,
            group_size=layout.tokens // layout.rows,
        )
        nn.init.normal_(router.gate.weight)
        return MoE(router, Experts(layout.num_experts, *sizes)).double()


def in_pieces(layout: Layout, seed: int = 0) -> tuple[float, int]:
    """Run the layer whole and in pieces, forward and backward.

    Returns:
        The largest difference of any core's outputs or gradients; and of how many of
        the three journeys (tokens, partial sums, gradients) the count of what left a
        core is not the formula's.
    """
    whole = whole_layer(layout, seed)
    draw = torch.Generator().manual_seed(seed)
    shape = 2, layout.tokens, layout.d_model
    x, target = torch.randn(shape, generator=draw, dtype=torch.float64)
    x.requires_grad_()
    y, _ = whole(x)
    (y * target).sum().backward()
    pieces = ShardedLayer(whole, layout)
    outputs = pieces.forward(x)
    pieces.backward(outputs, target)
    worst = 0.0
    for core in pieces.cores:
        for ours, theirs in _pairs(pieces, core, whole, x, y, outputs[core]):
            worst = max([worst, *(ours - theirs).abs().flatten().tolist()])
    wrong = sum(
        pieces.wire.total(kind) != layout.cores * layout.sent[kind] for kind in JOURNEYS
    )
    return worst, wrong


def _pairs(
    pieces: ShardedLayer,
    core: tuple[int, int],
    whole: MoE | DenseFFN,
    x: Tensor,
    y: Tensor,
    output: Tensor,
) -> list[tuple[Tensor, Tensor]]:
    """Of one core: what it found, and what the whole layer has there."""
    tokens, own, units = (list(part) for part in pieces.layout.share(*core))
    dense = isinstance(whole, DenseFFN)
    experts = whole.expert if dense else whole.experts
    pairs = [
        (output.detach(), y[tokens].detach()),
        (pieces.x[core].grad, x.grad[tokens]),
        (pieces.w_in[core].grad, experts.w_in.grad[own][:, :, units]),
        (pieces.w_out[core].grad, experts.w_out.grad[own][:, units]),
    ]
    if not dense:
        gate = pieces.router[core].gate.weight.grad
        pairs.append((gate, whole.router.gate.weight.grad))
    return pairs


def layouts() -> list[Layout]:
    """Small layers on up to 4 x 4 cores, some of them with full experts."""
    powers = (1, 2, 4)
    return [
        Layout(n, m, experts, tokens=16, d_model=6, d_ff=8, capacity_factor=1.25)
        for n in powers for m in powers for experts in (1, 2, 8)
    ]  # fmt: skip


def parallel_claims() -> list[Claim]:
    """On layers in pieces, and on the paper's two largest models."""
    every = layouts()
    found = [in_pieces(layout) for layout in every]
    counts = len(JOURNEYS) * len(every)
    return [
        Claim(
            "M4.parallel-same", "data, model and expert parallelism share out one layer"
            " (here: outputs and gradients on n x m cores against one core)",
            f"{PAPER}, section 5", "by construction",
            Exact(max(off for off, _ in found), len(every), "layouts", 1e-12),
        ),
        Claim(
            "M4.parallel-traffic", "experts cost two all-to-alls of [E, C, d_model]"
            " forward and two backward, model parallelism an all-reduce of a layer's"
            " outputs forward and one backward, data parallelism one of the gradients"
            " (here: numbers that leave the cores, counted)", f"{PAPER}, section 5",
            "defined", Exact(float(sum(wrong for _, wrong in found)), counts, "counts"),
        ),
        Claim(
            "M4.parallel-held", "more experts on more rows leave the weights of a core"
            " as they are (here: E = n, m = 1 and 2)", f"{PAPER}, figure 9", "shown",
            Exact(*held_off()),
        ),
        Claim(
            "M4.switch-c", "Switch-C has 2,048 experts and no model parallelism, and"
            " trains without instability; Switch-XXL has both, and does not always",
            f"{PAPER}, section 5.6", "1,571 and 395 billion parameters",
            Cited("needs thousands of cores"),
        ),
    ]  # fmt: skip


def held_off() -> tuple[float, int, str]:
    """Layouts with an expert a row whose cores hold more than a dense layer's slice;
    how many were tried."""
    tried = [
        (Layout(n, m, n), Layout(1, m, 1)) for n in range(1, 65) for m in (1, 2)
        if Layout.tokens % n == 0
    ]  # fmt: skip
    wrong = sum(a.weights_of_a_core != b.weights_of_a_core for a, b in tried)
    return float(wrong), len(tried), "layouts"
