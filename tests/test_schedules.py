"""The learning rate goes up in even steps and down in a line, or as a root."""

import pytest
import torch

from moe_lib.schedules import warmup_then_linear, warmup_then_root


def rates(steps, run, make=warmup_then_linear, **how):
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule, seen = make(sgd, steps, **how), []
    for _ in range(run):
        seen.append(sgd.param_groups[0]["lr"])
        sgd.step()
        schedule.step()
    return torch.tensor(seen)


def test_the_line():
    seen = rates(100, 120, warmup=20, final_share=0.1)
    assert torch.allclose(seen[:21], 2 * torch.arange(1, 22) / 21)
    assert seen.argmax() == 20 and seen[20] == 2.0
    falls = seen[20:100].diff()
    assert torch.allclose(falls, falls.mean().expand(79), atol=1e-6)
    assert torch.allclose(seen[100:], torch.tensor(0.2))


def test_no_warmup():
    assert torch.allclose(rates(4, 5, warmup=0, final_share=0),
                          torch.tensor([2, 1.5, 1, 0.5, 0]))  # fmt: skip


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (dict(steps=50), "steps=50 with warmup=50: warm up for fewer"),
        (dict(steps=60, final_share=1.5), "final_share=1.5: give a share"),
        (dict(steps=60, warmup=-1), "warmup=-1"),
    ],
)
def test_bad_input(how, words):
    with pytest.raises(ValueError, match=words):
        rates(run=1, **how)


def test_the_root_has_no_end():
    seen = rates(10, 90, warmup_then_root)
    assert torch.allclose(seen[:10], 2 * torch.arange(1, 11) / 10)
    assert torch.allclose(seen[39], torch.tensor(1.0))  # four times the steps, half
    assert torch.allclose(seen[89], torch.tensor(2 / 3))
    with pytest.raises(ValueError, match="warmup=0"):
        rates(0, 1, warmup_then_root)
