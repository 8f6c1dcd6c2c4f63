"""Digits that move: every pixel kept, no original on both sides."""

import pytest
import torch
from sklearn.datasets import load_digits

from moe_lib.data.shifted_digits import shifted_digits

RAW = load_digits()


def test_every_place_shows_the_same_digit_and_nothing_else():
    for part in shifted_digits(max_shift=2):
        assert part.side == 12 and part.sheets.shape[1:] == (25, 144)
        picks = list(range(0, len(part), 97))
        for s, (down, right) in enumerate(part.places.tolist()):
            sheets = part.sheets[picks, s].view(-1, 12, 12)
            top, left = 2 + down, 2 + right
            inside = sheets[:, top : top + 8, left : left + 8]
            original = torch.tensor(RAW.images[part.source[picks]] / 16).float()
            assert torch.equal(inside, original)
            assert torch.equal(sheets.sum(dim=(1, 2)), inside.sum(dim=(1, 2)))
            assert part.digit[picks].tolist() == RAW.target[part.source[picks]].tolist()


def test_train_and_test_share_no_original_and_miss_none():
    train, test = shifted_digits(test_share=0.25)
    rows = train.source.tolist() + test.source.tolist()
    assert sorted(rows) == list(range(1797))
    assert len(test) == 449
    assert set(test.digit.tolist()) == set(range(10))


def test_the_split_depends_on_the_seed_alone():
    first, again, other = (shifted_digits(1, seed=s)[0] for s in (3, 3, 4))
    assert torch.equal(first.source, again.source)
    assert torch.equal(first.sheets, again.sheets)
    assert not torch.equal(first.source, other.source)


def test_everything_is_every_digit_at_every_place():
    _, test = shifted_digits(1, test_share=0.01)
    images, digit, place = test.everything()
    assert len(images) == len(digit) == len(place) == 9 * len(test)
    n, s = len(test) - 1, 4
    assert torch.equal(images[n * 9 + s], test.sheets[n, s])
    assert digit[n * 9 + s] == test.digit[n] and place[n * 9 + s] == s
    assert test.places[4].tolist() == [0, 0]


def test_drawing_covers_digits_and_places():
    train, _ = shifted_digits(1)
    images, digit = train.draw(4000, torch.Generator().manual_seed(0))
    assert images.shape == (4000, 100) and 0 <= images.min() and images.max() <= 1
    counts = torch.bincount(digit, minlength=10)
    assert counts.min() > 300
    rows = images.view(-1, 10, 10)
    assert (rows[:, 0].sum(1) > 0).any() and (rows[:, -1].sum(1) > 0).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(max_shift=-1), "max_shift=-1"),
        (dict(max_shift=1.5), "max_shift=1.5"),
        (dict(test_share=0.0), "test_share=0.0"),
        (dict(test_share=1.0), "test_share=1.0"),
    ],
)
def test_bad_input_is_named_in_one_line(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        shifted_digits(**arguments)
    assert "\n" not in str(caught.value)
