"""The auxiliary losses as loops over rows of a table."""

from oracles.arithmetic import Matrix, cv_squared, log_sum_exp, softmax
from oracles.tables import Mask, Row, is_real


def load_balancing(
    logits: Matrix, rows: list[Row], group_size: int | None = None, mask: Mask = None
) -> float:
    """``E sum_i f_i P_i`` of each group, and the mean over the groups.

    f_i is the share of the group's rows that ask for expert i, dropped or not. Groups
    that hold nothing but padding are left out.
    """
    num_tokens, num_experts = len(logits), len(logits[0])
    size = group_size or num_tokens
    losses = []
    for start in range(0, num_tokens, size):
        tokens = [t for t in range(start, start + size) if is_real(mask, t)]
        if not tokens:
            continue
        asking = [row for row in rows if row.token in tokens]
        total = 0.0
        for i in range(num_experts):
            f = sum(row.expert == i for row in asking) / len(asking)
            p = sum(softmax(logits[t])[i] for t in tokens) / len(tokens)
            total += f * p
        losses.append(num_experts * total)
    return sum(losses) / max(1, len(losses))


def router_z(logits: Matrix, mask: Mask = None) -> float:
    """Zoph et al. (2022): the mean square of the log of the softmax's divisor."""
    real = [row for t, row in enumerate(logits) if is_real(mask, t)]
    return sum(log_sum_exp(row) ** 2 for row in real) / max(1, len(real))


def importance(rows: list[Row], num_experts: int) -> list[float]:
    """Shazeer et al. (2017), equation 6: the sum of the gates, batchwise."""
    total = [0.0] * num_experts
    for row in rows:
        total[row.expert] += row.weight
    return total


def importance_loss(rows: list[Row], num_experts: int) -> float:
    """Equation 7 without its coefficient."""
    return cv_squared(importance(rows, num_experts))
