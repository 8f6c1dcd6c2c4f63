"""How often tokens change their expert while a model trains."""

from __future__ import annotations

from torch import Tensor


def changed_since(choices: Tensor) -> Tensor:
    """``[C - 1]``: the share of tokens with another expert than a checkpoint ago.

    Args:
        choices: ``[C, T]`` int64, the expert of each token at C checkpoints.
    """
    return (choices[1:] != choices[:-1]).float().mean(dim=1)


def largest_jump(losses: Tensor, before: int = 20) -> Tensor:
    """How far a step's loss rises at most above the mean of the steps before, 0-d.

    Args:
        losses: ``[steps]``.
        before: steps in that mean.

    Raises:
        ValueError: no more than ``before`` losses.
    """
    if len(losses) <= before:
        raise ValueError(
            f"losses has {len(losses)} steps: give more than before={before}"
        )
    means = losses.unfold(0, before, 1)[:-1].mean(dim=1)
    return (losses[before:] - means).max()
