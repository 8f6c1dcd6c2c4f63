"""Byte tables are a short causal convolution over one-hot bytes."""

import pytest
import torch
from torch.nn import functional as F

from moe_lib.models.byte_tables import NO_BYTE, ByteTables


@pytest.fixture
def tables():
    torch.manual_seed(0)
    return ByteTables(4, 6).double()


def test_every_position_is_a_convolution_over_one_hot_bytes(tables):
    inputs = torch.randint(256, (3, 9))
    padded = torch.cat([torch.full((3, 3), NO_BYTE), inputs], dim=1)
    one_hot = F.one_hot(padded, 257).double().transpose(1, 2)  # [B, 257, L + 3]
    kernel = tables.tables.permute(2, 1, 0)  # [d, 257, W]
    torch.testing.assert_close(
        tables(inputs), F.conv1d(one_hot, kernel).transpose(1, 2)
    )


def test_a_window_is_a_linear_map_of_one_hot_bytes_gradients_too(tables):
    windows = torch.randint(257, (50, 4))
    one_hot = F.one_hot(windows, 257).double().flatten(1)
    weight = tables.tables.detach().clone().flatten(0, 1).requires_grad_()
    by_hand, pull = one_hot @ weight, torch.randn(50, 6).double()
    y = tables.window(windows)
    torch.testing.assert_close(y, by_hand)
    y.backward(pull)
    by_hand.backward(pull)
    torch.testing.assert_close(tables.tables.grad.flatten(0, 1), weight.grad)


def test_the_last_position_is_the_window(tables):
    inputs = torch.randint(256, (2, 9))
    assert torch.equal(tables(inputs)[:, -1], tables.window(inputs[:, -4:]))


def test_it_starts_with_variance_036():
    torch.manual_seed(0)
    y = ByteTables(12, 64).window(torch.randint(256, (2000, 12)))
    assert abs(y.var().item() - 0.36) < 0.02


def test_bad_input(tables):
    with pytest.raises(ValueError, match="windows have 5 bytes but there are 4 tables"):
        tables.window(torch.zeros(2, 5, dtype=torch.int64))
    with pytest.raises(ValueError, match="width=0"):
        ByteTables(0, 4)
