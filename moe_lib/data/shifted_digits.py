"""Handwritten digits that also have a place: 8 x 8 pixels on a larger sheet.

Eigen, Ranzato and Sutskever (2013) moved MNIST's digits by up to 4 pixels, so that
every image has two labels: what it shows, and where. Here the digits are the 1,797 of
scikit-learn (E. Alpaydin and C. Kaynak, 1998, "Optical Recognition of Handwritten
Digits", UCI Machine Learning Repository, CC BY 4.0), which come with the package.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moe_lib.checks import require_count


@dataclass(frozen=True, eq=False)
class ShiftedDigits:
    """N digits, each of which can be put at any of S places.

    sheets: ``[N, S, side * side]`` float32 in 0..1, digit n at place s.
    digit: ``[N]`` int64, 0..9. places: ``[S, 2]`` int64, pixels down and right from
    the middle. source: ``[N]`` int64, row in scikit-learn's data set.
    """

    sheets: Tensor
    digit: Tensor
    places: Tensor
    source: Tensor

    def __len__(self) -> int:
        return len(self.digit)

    def __repr__(self) -> str:
        return (
            f"ShiftedDigits({len(self)} digits, {len(self.places)} places,"
            f" {self.side} x {self.side} pixels)"
        )

    @property
    def side(self) -> int:
        """Width and height of a sheet, in pixels."""
        return round(self.sheets.shape[-1] ** 0.5)

    def draw(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random digits, random places: images ``[size, side^2]``, digit ``[size]``."""
        n = torch.randint(len(self), (size,), generator=generator)
        s = torch.randint(len(self.places), (size,), generator=generator)
        return self.sheets[n, s], self.digit[n]

    def everything(self) -> tuple[Tensor, Tensor, Tensor]:
        """Every digit at every place: images ``[N*S, side^2]``, digits, places."""
        places = torch.arange(len(self.places))
        what = self.digit.repeat_interleave(len(places))
        return self.sheets.flatten(0, 1), what, places.repeat(len(self))


def shifted_digits(
    max_shift: int = 2, *, test_share: float = 0.25, seed: int = 0
) -> tuple[ShiftedDigits, ShiftedDigits]:
    """Training and test digits; no original image is in both.

    Args:
        max_shift: pixels that a digit can move up, down, left and right; there are
            ``(2 * max_shift + 1) ** 2`` places.
        test_share: share of the originals kept for testing.
        seed: of the split.

    Raises:
        ValueError: a shift below 0, or a share that leaves one side empty.
    """
    from sklearn.datasets import load_digits

    require_count("max_shift", max_shift, minimum=0)
    raw = load_digits()
    images = torch.tensor(raw.images / 16, dtype=torch.float32)  # [N, 8, 8]
    digit = torch.tensor(raw.target, dtype=torch.int64)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    num_test = round(test_share * len(images))
    if not 0 < num_test < len(images):
        raise ValueError(f"test_share={test_share}: give a share between 0 and 1")
    steps = torch.arange(-max_shift, max_shift + 1)
    places = torch.cartesian_prod(steps, steps)  # [S, 2]
    sheets = torch.stack([_put(images, max_shift, p) for p in places], dim=1)

    def part(rows: Tensor) -> ShiftedDigits:
        return ShiftedDigits(sheets[rows], digit[rows], places, rows)

    return part(order[num_test:]), part(order[:num_test])


def _put(images: Tensor, margin: int, place: Tensor) -> Tensor:
    """The images on empty sheets, moved by ``place``: ``[N, side * side]``."""
    size = images.shape[-1]
    top, left = (margin + place).tolist()
    sheets = images.new_zeros(len(images), size + 2 * margin, size + 2 * margin)
    sheets[:, top : top + size, left : left + size] = images
    return sheets.flatten(1)
