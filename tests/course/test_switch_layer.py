"""The comparison of Switch layers passes the obvious lines and notices slips."""

import math

import torch
from torch.nn.functional import one_hot

from moe_lib.course.switch_layer import (
    CLOSE,
    KINDS,
    dense_differences,
    differences,
    differences_table,
    random_cases,
)
from moe_lib.models.ffn import DenseFFN


def by_loop(x, w, experts, factor, slip=""):
    """Token by token; ``slip`` names what is done wrong."""
    capacity = math.ceil(factor * len(x) / len(w))
    asked = [int(slip == "from 1")] * len(w)
    rows = []
    for token in x:
        logits = w @ token
        e = int(logits.argmax())
        p = logits.softmax(0)[e]
        weight = p.detach() if slip == "detached" else p
        row = weight * experts.one(e, token[None])[0]
        served = asked[e] < capacity
        rows.append(row if served else p * token if slip == "leak" else 0 * row)
        asked[e] += 1
    return torch.stack(rows)


def with_slip(slip):
    def version(x, w, experts, factor):
        return by_loop(x, w, experts, factor, slip)

    version.__name__ = slip
    return version


def test_a_loop_is_the_library_s_layer_and_slips_are_not():
    slips = map(with_slip, ("from 1", "detached", "leak"))
    worst = differences(by_loop, *slips, cases=24)
    assert worst["by_loop"].max() < CLOSE
    for slip in ("from 1", "leak"):
        assert worst[slip][0] > 0.1
    assert worst["detached"][0] < CLOSE < 0.1 < worst["detached"][2]
    table = differences_table(worst, cases=24)
    alone = differences_table({"by_loop": worst["by_loop"]})
    assert repr(alone) == "1 version, 300 cases: 0 differ"
    assert repr(table) == "4 versions, 24 cases: 3 differ" and len(table.rows) == 4


def test_the_cases_are_of_all_kinds():
    dropped = {kind: 0 for kind in KINDS}
    state = torch.get_rng_state()
    for case in random_cases(60):
        _, routing = case.moe(case.tokens)
        dropped[case.kind] += int((~routing.kept).sum())
        if case.kind == "ties":
            assert routing.router_probs.unique(dim=1).shape[1] == 1
        if case.kind == "one expert":
            assert one_hot(routing.expert_index).sum(1).max() == 1
            assert len(routing.expert_index.unique()) == 1
        if case.kind == "C = 1":
            assert routing.capacity == 1
    assert dropped["T = 1"] == 0 < min(dropped[k] for k in ("ties", "C = 1", "plain"))
    assert torch.equal(torch.get_rng_state(), state)


def test_one_expert_is_the_dense_layer_and_a_bit_more_is_not(monkeypatch):
    assert dense_differences(12) == (0, 12)
    plain = DenseFFN.forward

    def one_bit_more(self, x, *rest):
        y, none = plain(self, x, *rest)
        return y * (1 + torch.finfo(x.dtype).eps), none

    monkeypatch.setattr(DenseFFN, "forward", one_bit_more)
    assert dense_differences(12) == (12, 12)
