"""Pairs written by rule: real languages, unseen tests, unequal sizes."""

import pytest
import torch

from moe_lib.data.characters import END, PADDING, START, UNKNOWN, Characters
from moe_lib.data.translation import SIZES, load_translation

SMALL = {"fr": 400, "ja": 200, "el": 50, "sw": 50}


def sources(pairs, language):
    numbers = pairs.language.tolist()
    both = zip(pairs.source_text, numbers, strict=True)
    return [text for text, number in both if number == language]


@pytest.fixture(scope="module")
def data():
    return load_translation(SMALL, num_test=40)


def test_sizes(data):
    assert (
        len(SIZES) == 10 and max(SIZES.values()) == 8000 and min(SIZES.values()) == 500
    )
    assert data.train.language.bincount().tolist() == [400, 200, 50, 50]
    assert data.test.language.bincount().tolist() == [40] * 4
    quotas = torch.stack([data.test.kind[data.test.language == i].bincount(minlength=5)
                          for i in range(4)])  # fmt: skip
    assert quotas.tolist() == [[8, 16, 4, 4, 8]] * 4
    assert "fr 400, ja 200, el 50, sw 50" in repr(data) and "160 to test" in repr(data)


def test_no_test_string_was_trained_on_and_none_comes_twice(data):
    for i in range(4):
        parts = sources(data.train, i), sources(data.test, i)
        assert len(set(parts[0] + parts[1])) == len(parts[0]) + len(parts[1])


def test_pairs_mean_the_same(data):
    known = {
        "date": ("août", "Aug"),
        "territories": ("Allemagne", "Germany"),
        "languages": ("japonais", "Japanese"),
        "unit": ("kilomètres", "kilometer"),
        "time span": (" semaines", " week"),
    }
    big = load_translation({"fr": 4000}, num_test=9)
    pairs = big.train
    rows = [*zip(pairs.kind, pairs.source_text, pairs.target_text, strict=True)]
    for kind, (french, english) in known.items():
        mine = [r for r in rows if big.kinds[r[0]] == kind and french in r[1]]
        assert len(mine) > 3 and all(english in r[2] for r in mine), kind


def test_kinds_come_by_their_shares():
    shares = {"languages": 6, "date": 2, "territories": 1}
    data = load_translation({"it": 900, "ar": 900}, shares, num_test=20)
    assert data.kinds == tuple(shares)
    counts = data.train.kind.bincount().tolist()
    assert counts == pytest.approx([1200, 400, 200], rel=0.2)
    # by quota, and what does not divide goes to the most frequent
    assert data.test.kind.bincount().tolist() == [28, 8, 4]


def test_encoded_text_is_the_text(data):
    train = data.train
    assert tuple(data.characters.decode(train.source)) == train.source_text
    assert tuple(data.characters.decode(train.target[:, 1:])) == train.target_text
    assert (train.target[:, 0] == START).all()
    assert ((train.source == END).sum(dim=1) == 1).all()


def test_the_vocabulary_comes_from_training_alone():
    characters = Characters(["ab", "bc"])
    assert len(characters) == 7
    table = characters.encode(["cab", "d"], start=True)
    assert table.tolist() == [[START, 6, 4, 5, END], [START, UNKNOWN, END, PADDING,
                                                      PADDING]]  # fmt: skip
    assert characters.decode(table[:, 1:]) == ["cab", "\ufffd"]
    assert characters.encode([]).shape == (0, 0)


def test_the_same_seed_gives_the_same_pairs(data):
    again = load_translation(SMALL, num_test=40)
    assert again.train.source_text == data.train.source_text
    assert torch.equal(again.test.target, data.test.target)
    other = load_translation(SMALL, num_test=40, seed=1)
    assert other.train.source_text != data.train.source_text
    # a language's pairs do not depend on which others there are
    alone = load_translation({"el": 50}, num_test=40)
    assert list(alone.train.source_text) == sources(data.train, 2)


def test_languages_are_drawn_by_the_power_of_their_size(data):
    _, _, language = data.draw(40_000, torch.Generator().manual_seed(0))
    wanted = torch.tensor([400.0, 200, 50, 50]) ** 0.7
    share = language.bincount() / 40_000
    assert torch.allclose(share, wanted / wanted.sum(), atol=0.01)


def test_both_sides_are_short(data):
    train = data.train
    longest = max(map(len, train.source_text + train.target_text))
    assert 44 < longest <= 48
    assert train.source.shape[1] <= 49  # and the end
    assert train.target.shape[1] <= 50  # and the start
    shorter = load_translation({"fr": 50}, num_test=9, max_length=32).train
    assert max(map(len, shorter.source_text + shorter.target_text)) <= 32


def test_a_batch_has_no_needless_padding(data):
    source, target, language = data.draw(5, torch.Generator().manual_seed(3))
    for table in (source, target):
        assert len(table) == len(language) == 5
        assert (table[:, -1] != PADDING).any()
        assert ((table == END).sum(dim=1) == 1).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(sizes={"xx": 10}), "language 'xx' is unknown to Babel"),
        (dict(sizes={"fr": 0}), r"sizes\['fr'\]=0: give a whole number"),
        (dict(sizes={"fr": 10}, num_test=0), "num_test=0"),
        (
            dict(sizes={"fr": 9}, shares={"verse": 1}),
            "shares: kind='verse': choose one",
        ),
        (
            dict(sizes={"fr": 9}, shares={"date": 0}),
            r"shares\['date'\]=0: give a whole",
        ),
        (dict(sizes={"fr": 9}, shares={}), "shares={}: name a kind at least, of date,"),
        (
            dict(sizes={"fr": 900}, num_test=1, shares={"time span": 1}),
            "fr: [0-9]+ different phrases of 901 after 18021 draws: ask for fewer",
        ),
        (dict(sizes={"fr": 10}, max_length=20), "max_length=20: give a whole number"),
    ],
)
def test_bad_input_is_told_in_one_line(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        load_translation(**arguments)
    assert "\n" not in str(caught.value)
