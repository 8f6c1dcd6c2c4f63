"""How often tokens change their expert, and how far a loss jumps."""

import pytest
import torch

from moe_lib.course.flips import changed_since, largest_jump


def test_changes_are_counted_between_neighbours():
    choices = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 0], [1, 0, 0, 1]])
    assert changed_since(choices).tolist() == [0.25, 1.0]


def test_the_largest_jump_is_above_the_mean_of_the_steps_before():
    losses = torch.tensor([4.0, 2.0, 5.0, 1.0, 4.0])
    assert largest_jump(losses, before=2).item() == 2.0  # 5 over (4 + 2) / 2
    assert largest_jump(torch.tensor([3.0, 2.0, 1.0]), before=1).item() == -1.0
    with pytest.raises(ValueError, match="losses has 2 steps: give more than before=2"):
        largest_jump(losses[:2], before=2)
