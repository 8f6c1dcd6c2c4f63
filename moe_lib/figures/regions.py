"""Regions of a plane that experts share out: their borders and their middles."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

EVERY = 3  # `inmost` looks at every third cell each way


def edges(
    probs: Tensor, xs: Tensor, ys: Tensor, best: int
) -> tuple[list[float | None], list[float | None]]:
    """Where an expert enters or leaves the ``best`` most probable: pieces of line.

    Marching squares: in every square of four neighbouring places, a straight piece
    between the two sides on which the margin to the rest changes its sign.

    Args:
        probs: ``[E, H, W]`` float64. xs: ``[W]``. ys: ``[H]``, the place of each.

    Returns:
        x and y of the pieces' ends, None after each piece; empty if ``best`` is E.
    """
    if best >= len(probs):
        return [], []
    f = probs.clamp(min=1e-30).log()  # so the lines of a linear gate are straight
    top = f.topk(best + 1, dim=0).values
    margin = f - torch.where(f >= top[-2], top[-1], top[-2])  # [E, H, W]
    around = torch.stack([margin[:, :-1, :-1], margin[:, :-1, 1:],
                          margin[:, 1:, 1:], margin[:, 1:, :-1]])  # fmt: skip
    after = around.roll(-1, 0)  # the corner at the other end of each side
    crossed = (around > 0) != (after > 0)  # [4 sides, E, H - 1, W - 1]
    cells = crossed.sum(dim=0) == 2
    side = crossed[:, cells].T.nonzero()[:, 1].view(-1, 2)  # [pieces, 2]
    here, there = (v[:, cells].T.gather(1, side) for v in (around, after))
    along = here / (here - there)
    row, column = cells.nonzero()[:, 1:].T.unsqueeze(2)  # [pieces, 1] each
    start_x, start_y = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 1]]).double()
    step_x, step_y = torch.tensor([[1, 0, -1, 0], [0, 1, 0, -1]]).double()
    x = xs[0] + (xs[1] - xs[0]) * (column + start_x[side] + along * step_x[side])
    y = ys[0] + (ys[1] - ys[0]) * (row + start_y[side] + along * step_y[side])
    return _parted(x), _parted(y)


def _parted(ends: Tensor) -> list[float | None]:
    return [v for a, b in ends.tolist() for v in (_short(a), _short(b), None)]


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def inmost(owner: Tensor) -> tuple[list[int], list[int], list[int]]:
    """Experts, rows, columns: for each expert the cell that lies farthest inside.

    Args:
        owner: ``[H, W]`` int64, the expert of each cell. Regions narrower than a few
            cells have no inside and are left out.
    """
    coarse = owner[EVERY // 2 :: EVERY, EVERY // 2 :: EVERY]
    experts = owner.unique()
    inside = (coarse == experts.view(-1, 1, 1)).double()
    depth = inside.clone()
    while inside.any():  # take the outermost cells off; the frame is an edge too
        inside = -F.max_pool2d(-F.pad(inside, (1, 1, 1, 1)), 3, stride=1)
        depth += inside
    deepest, cell = depth.flatten(1).max(dim=1)
    width = coarse.shape[1]
    row, column = (EVERY * v + EVERY // 2 for v in (cell // width, cell % width))
    return tuple(v[deepest > 0].tolist() for v in (experts, row, column))
