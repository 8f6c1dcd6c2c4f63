"""Top-k with ties to the lowest index, against Python's stable sort."""

import pytest
import torch

from moe_lib.routers.choose import top_k_indices


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("top_k", [0, 1, 2, 4, 5, 9])  # every route, and k = N
def test_largest_first_and_ties_to_the_lowest_index(dtype, top_k):
    draw = torch.Generator().manual_seed(top_k)
    scores = torch.randint(-3, 4, (200, 9), generator=draw).to(dtype) / 4
    scores[0], scores[1, :5] = 0.0, -0.0  # -0.0 equals 0.0
    scores[2] = torch.tensor([3e38, -3e38, 1e-45, -1e-45, 0.0, 1.0, -1.0, 3e38, 2.0])
    wanted = [
        sorted(range(9), key=lambda i, row=row: -row[i])[:top_k]
        for row in scores.tolist()
    ]
    before = scores.clone()
    assert top_k_indices(scores, top_k).tolist() == wanted
    assert torch.equal(scores, before)


def test_leading_dimensions_and_empty_ones():
    scores = torch.rand(3, 2, 7)
    for k in (2, 6):
        assert torch.equal(top_k_indices(scores, k)[1], top_k_indices(scores[1], k))
        assert top_k_indices(scores[:0], k).shape == (0, 2, k)
        assert top_k_indices(scores.to("meta"), k).shape == (3, 2, k)
