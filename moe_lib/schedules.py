"""How the learning rate goes up and down."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from moe_lib.checks import require_count


def warmup_then_linear(
    optimizer: Optimizer, steps: int, *, warmup: int = 50, final_share: float = 0.05
) -> LambdaLR:
    """The optimiser's rate, reached in ``warmup`` even steps, then down in a line.

    Args:
        steps: of the whole run; the rate has come down to ``final_share`` of its
            height there, and stays so.

    Raises:
        ValueError: no step is left after the warm-up, or a share outside 0..1.
    """
    require_count("warmup", warmup, minimum=0)
    require_count("steps", steps)
    if steps <= warmup:
        raise ValueError(f"steps={steps} with warmup={warmup}: warm up for fewer steps")
    if not 0 <= final_share <= 1:
        raise ValueError(f"final_share={final_share}: give a share between 0 and 1")

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        gone = min((step - warmup) / (steps - warmup), 1.0)
        return 1 - (1 - final_share) * gone

    return LambdaLR(optimizer, share)


def warmup_then_root(optimizer: Optimizer, warmup: int) -> LambdaLR:
    """The optimiser's rate, reached in ``warmup`` even steps, then as 1 / sqrt(step).

    It knows no end of the run, so models read at any step are on an equal footing. The
    rule of T5 and of Switch, but for their constant rate in place of the warm-up.

    Raises:
        ValueError: a warm-up of less than one step.
    """
    require_count("warmup", warmup)
    return LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warmup, (warmup / (step + 1)) ** 0.5),
    )
