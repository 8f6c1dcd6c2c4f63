"""Mutual information against cases that can be worked out by hand."""

import math

import pytest
import torch

from moe_lib.specialisation import joint_table, mutual_information


def one_hot(rows, width):
    return torch.nn.functional.one_hot(torch.tensor(rows), width).float()


def test_a_faithful_expert_tells_all_and_a_constant_one_nothing():
    label = torch.tensor([0, 1, 2, 3] * 10)
    assert mutual_information(one_hot(label.tolist(), 4), label) == pytest.approx(
        math.log(4)
    )
    assert mutual_information(one_hot([2] * 40, 4), label) == pytest.approx(
        0, abs=1e-12
    )
    # two labels share an expert: only one bit is left
    assert mutual_information(one_hot((label // 2).tolist(), 4), label) == (
        pytest.approx(math.log(2))
    )


def test_it_equals_the_loop_over_the_table():
    draw = torch.Generator().manual_seed(0)
    gates = torch.randn(300, 3, generator=draw).softmax(1)
    label = torch.randint(5, (300,), generator=draw)
    for hard in (True, False):
        p = joint_table(gates, label, hard=hard)
        assert p.shape == (5, 3) and p.sum().item() == pytest.approx(1)
        by_hand = sum(
            p[a, b].item()
            * math.log(p[a, b].item() / (p[a].sum() * p[:, b].sum()).item())
            for a in range(5)
            for b in range(3)
        )
        assert mutual_information(gates, label, hard=hard) == pytest.approx(by_hand)
    soft = joint_table(gates, label, hard=False)
    torch.testing.assert_close(soft[2], gates[label == 2].double().sum(0) / 300)


def test_blending_hides_information():
    label = torch.tensor([0, 1] * 50)
    gates = torch.where(label[:, None] == torch.arange(2), 0.6, 0.4)
    assert mutual_information(gates, label) == pytest.approx(math.log(2))
    assert 0 < mutual_information(gates, label, hard=False) < 0.1


@pytest.mark.parametrize("rows", [3, 0])
def test_shapes_that_do_not_fit(rows):
    with pytest.raises(ValueError, match="do not fit") as caught:
        mutual_information(torch.ones(rows, 2), torch.zeros(0).long())
    assert "\n" not in str(caught.value)
