"""Hashed n-gram tables: one row for each n, found by the last n bytes alone."""

import pytest
import torch

from moe_lib.models.ngram_tables import NGramTables


@pytest.fixture
def tables():
    torch.manual_seed(0)
    return NGramTables(5000, 6, orders=(2, 3))


def test_equal_n_grams_share_a_row_and_others_hardly_ever(tables):
    inputs = torch.randint(256, (40, 30))
    rows = tables.row_numbers(inputs)
    assert rows.shape == (2, 40, 30) and 0 <= rows.min() and rows.max() < 5000
    for n, own in zip((2, 3), rows, strict=True):
        grams = inputs.unfold(1, n, 1).flatten(0, 1)
        found = own[:, n - 1 :].flatten()
        distinct, which = grams.unique(dim=0, return_inverse=True)
        first = torch.full((len(distinct),), -1).scatter(0, which, found)
        assert torch.equal(first[which], found)  # a function of the n-gram
        expected = 5000 * (1 - (1 - 1 / 5000) ** len(distinct))
        assert first.unique().numel() == pytest.approx(expected, rel=0.1)


def test_the_output_is_the_sum_of_the_rows(tables):
    inputs = torch.randint(256, (2, 7))
    rows = tables.row_numbers(inputs)
    by_hand = torch.zeros(2, 7, 6)
    for table, row in zip(tables.tables, rows, strict=True):
        for b in range(2):
            for t in range(7):
                by_hand[b, t] += table[row[b, t]]
    torch.testing.assert_close(tables(inputs), by_hand)
    assert abs(tables(torch.randint(256, (50, 60))).var().item() - 0.36) < 0.05


def test_it_looks_back_only_and_no_further_than_n(tables):
    inputs = torch.randint(256, (1, 9))
    changed = inputs.clone()
    changed[0, 4] = (changed[0, 4] + 1) % 256
    differs = (tables(inputs) != tables(changed)).any(dim=2)[0].tolist()
    assert differs == [False] * 4 + [True] * 3 + [False] * 2


def test_bad_input():
    with pytest.raises(ValueError, match="rows=0"):
        NGramTables(0, 4)
