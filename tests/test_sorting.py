"""The stable sort against Python's own."""

import pytest
import torch

from moe_lib.sorting import stable_argsort


@pytest.mark.parametrize("num_keys", [1, 3, 256, 257, 2**16, 2**16 + 1])
@pytest.mark.parametrize("length", [0, 1, 5000])
def test_it_is_pythons_sorted(num_keys, length):
    draw = torch.Generator().manual_seed(num_keys)
    keys = torch.randint(num_keys, (length,), generator=draw)
    if length:
        keys[-1] = num_keys - 1  # the largest key must fit, too
    before = keys.clone()
    order = stable_argsort(keys, num_keys)
    assert order.tolist() == sorted(range(length), key=keys.tolist().__getitem__)
    assert order.dtype == torch.int64 and torch.equal(keys, before)


def test_compiled_and_on_meta():
    keys = torch.tensor([2, 0, 2, 1, 0])
    compiled = torch.compile(stable_argsort, fullgraph=True, backend="eager")
    assert compiled(keys, 3).tolist() == [1, 4, 3, 0, 2]
    assert stable_argsort(keys.to("meta"), 3).shape == (5,)
