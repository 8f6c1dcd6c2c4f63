"""Routers where tokens choose experts: 1991, 2017, GShard, Switch, Mixtral, Hash."""

from oracles.arithmetic import (
    Matrix,
    best_first,
    normal_cdf,
    softmax,
)
from oracles.tables import Mask, Row, by_priority, is_real, padding


def softmax_gate(logits: Matrix, mask: Mask = None) -> list[Row]:
    """Jacobs et al. (1991): every expert sees every token."""
    rows, seen = [], 0
    for t, values in enumerate(logits):
        gates = softmax(values)
        for e, g in enumerate(gates):
            row = Row(t, e, g, True, seen)
            rows.append(row if is_real(mask, t) else padding(row))
        seen += is_real(mask, t)
    return rows


def keep_top_k(logits: Matrix, k: int, mask: Mask = None) -> list[Row]:
    """Softmax over the k largest: Shazeer et al. (2017), eq. 3 and 5; Mixtral.

    Nothing is dropped. Queues are choice-major: every first choice before any second.
    """
    chosen = [best_first(values, k) for values in logits]
    gates = []
    for values, experts in zip(logits, chosen, strict=True):
        hidden = [v if e in experts else -1e300 for e, v in enumerate(values)]  # eq. 5
        gates.append(softmax(hidden))
    waiting = [0] * (len(logits[0]) if logits else 0)
    slots = {}
    for choice in range(k):
        for t in range(len(logits)):
            if is_real(mask, t):
                e = chosen[t][choice]
                slots[t, e] = waiting[e]
                waiting[e] += 1
    rows = []
    for t, experts in enumerate(chosen):
        for e in experts:
            row = Row(t, e, gates[t][e], True, slots.get((t, e)))
            rows.append(row if is_real(mask, t) else padding(row))
    return rows


def kth_excluding(values: list[float], k: int, i: int) -> float | None:
    """The k-th largest component of ``values`` without component i, if there is one."""
    others = sorted((v for j, v in enumerate(values) if j != i), reverse=True)
    return others[k - 1] if len(others) >= k else None


def stays(clean: float, threshold: float | None, sigma: float) -> float:
    """Equation 9: the probability that fresh noise lifts ``clean`` over the others."""
    return 1.0 if threshold is None else normal_cdf((clean - threshold) / sigma)


def expected_load(
    clean: Matrix, noisy: Matrix, sigmas: Matrix, k: int, mask: Mask = None
) -> list[float]:
    """Equations 8 to 10 of Shazeer et al. (2017), for each expert."""
    load = [0.0] * len(clean[0])
    for t in range(len(clean)):
        if is_real(mask, t):
            for i in range(len(load)):
                threshold = kth_excluding(noisy[t], k, i)
                load[i] += stays(clean[t][i], threshold, sigmas[t][i])
    return load


def switch(
    logits: Matrix,
    capacity: int | None,
    tokens: range,
    *,
    choose_by: Matrix | None = None,
    mask: Mask = None,
    priority: Matrix | None = None,
) -> list[Row]:
    """Fedus et al. (2021) for one group: the best expert, weighted by its p."""
    queue: dict[int, int] = {}
    rows = {}
    for t in by_priority(tokens, priority):
        values = (choose_by or logits)[t]
        (e,) = best_first(values, 1)
        p = softmax(values)[e]
        if not is_real(mask, t):
            rows[t] = padding(Row(t, e, p, False, None))
            continue
        slot = queue.get(e, 0)
        fits = capacity is None or slot < capacity
        rows[t] = Row(t, e, p if fits else 0.0, fits, slot)
        queue[e] = slot + 1  # the queue goes on when the expert is full
    return [rows[t] for t in tokens]


def gshard(
    logits: Matrix,
    capacity: int | None,
    tokens: range,
    *,
    rnd: list[float] | None = None,
    mask: Mask = None,
    priority: Matrix | None = None,
) -> tuple[list[Row], float]:
    """Lepikhin et al. (2020), Algorithm 1, for one group; returns the rows and l_aux.

    ``rnd`` holds one number of U(0, 1) per token of the batch (line 17); None sends
    every token to its second expert.
    """
    num_experts, size = len(logits[0]), len(tokens)
    c = [0] * num_experts  # 1
    g = {s: softmax(logits[s]) for s in tokens}  # 2
    m = [sum(g[s][e] for s in tokens) / size for e in range(num_experts)]  # 3
    rows: dict[int, list[Row]] = {s: [] for s in tokens}
    order = by_priority(tokens, priority)

    for s in order:  # 4
        e1, e2 = best_first(logits[s], 2)  # 5
        g1 = g[s][e1] / (g[s][e1] + g[s][e2])  # 6
        if not is_real(mask, s):
            rows[s].append(padding(Row(s, e1, g1, False, None)))
            continue
        at = c[e1]  # 7
        fits = capacity is None or at < capacity  # 8
        rows[s].append(Row(s, e1, g1 if fits else 0.0, fits, at))  # 9
        c[e1] = at + 1  # 11
    l_aux = sum(c[e] / size * m[e] for e in range(num_experts)) / num_experts  # 13

    for s in order:  # 14
        e1, e2 = best_first(logits[s], 2)  # 15
        g2 = g[s][e2] / (g[s][e1] + g[s][e2])  # 16
        if not is_real(mask, s):
            rows[s].append(padding(Row(s, e2, g2, False, None)))
            continue
        drawn = rnd is None or 2 * g2 > rnd[s]  # 17, 19
        at = c[e2]  # 18
        fits = drawn and (capacity is None or at < capacity)  # 19
        rows[s].append(Row(s, e2, g2 if fits else 0.0, fits, at))  # 20
        c[e2] = at + 1  # 22
    return [row for s in tokens for row in rows[s]], l_aux


def hashed(token_ids: list[int], expert_of: list[int], mask: Mask = None) -> list[Row]:
    """Roller et al. (2021): a fixed table from token id to expert, weight 1."""
    queue: dict[int, int] = {}
    rows = []
    for t, token in enumerate(token_ids):
        e = expert_of[token]
        row = Row(t, e, 1.0, True, queue.get(e, 0))
        rows.append(row if is_real(mask, t) else padding(row))
        queue[e] = queue.get(e, 0) + is_real(mask, t)
    return rows


def balanced_hash(counts: list[float], num_experts: int) -> list[int]:
    """Most frequent token first, each to the expert with the least so far.

    Of equally busy experts the one with fewer tokens is taken, then the first.
    """
    load, names, expert_of = [0.0] * num_experts, [0] * num_experts, [0] * len(counts)
    for token in sorted(range(len(counts)), key=lambda v: (-counts[v], v)):
        least = min(range(num_experts), key=lambda e: (load[e], names[e], e))
        expert_of[token] = least
        load[least] += counts[token]
        names[least] += 1
    return expert_of
