"""The vowels: the figures themselves, the split, the errors."""

import csv
import importlib.util
from importlib.resources import files

import pytest
import torch

from moe_lib.data.vowels import (
    WORDS,
    Scaler,
    Vowels,
    check_split,
    load_vowels,
    split_by_speaker,
)


def test_the_table_has_1520_measurements():
    every = load_vowels(tuple(WORDS))
    assert len(every) == 1520
    assert every.label.bincount().tolist() == [152] * 10
    assert every.speaker.unique().tolist() == list(range(1, 77))
    assert {k: every.kind.count(k) for k in ("man", "woman", "child")} == {
        "man": 660, "woman": 560, "child": 300,
    }  # fmt: skip
    low, high = every.formants.min(0).values, every.formants.max(0).values
    assert low.tolist() == [190, 560] and high.tolist() == [1300, 3610]


@pytest.mark.skipif(
    importlib.util.find_spec("parselmouth") is None,
    reason='needs Praat\'s own table: pip install -e ".[test]"',
)
def test_the_csv_equals_praats_table():
    from tools.vowels_from_praat import praat_rows

    text = files("moe_lib.data").joinpath("vowels.csv").read_text()
    assert list(csv.reader(text.splitlines())) == praat_rows()


def test_split_keeps_speakers_apart_and_follows_the_seed():
    vowels = load_vowels()
    train, test = split_by_speaker(vowels, seed=1)
    assert (len(train), len(test)) == (400, 200)
    assert not set(train.speaker.tolist()) & set(test.speaker.tolist())
    again, _ = split_by_speaker(vowels, seed=1)
    other, _ = split_by_speaker(vowels, seed=2)
    assert torch.equal(train.formants, again.formants)
    assert not torch.equal(train.formants, other.formants)
    assert torch.equal(train.one_hot.argmax(1), train.label)


def test_scaler():
    x = load_vowels().formants
    scaler = Scaler.of(x)
    assert scaler(x).mean(0).abs().max() < 1e-10
    assert torch.allclose(scaler(x).std(0, correction=0), torch.ones(2).double())


def test_bad_input_is_told_in_one_line():
    vowels = load_vowels()
    with pytest.raises(ValueError, match="vowel 'xx' is unknown: choose from iy, ih"):
        load_vowels(("iy", "xx"))
    with pytest.raises(ValueError, match="ask for 90 speakers but there are 76"):
        split_by_speaker(vowels, 60, 30)
    with pytest.raises(ValueError, match=r"speaker \d+ is in both train and test \(76"):
        check_split(vowels, vowels)
    broken = vowels.formants.clone()
    broken[3, 1] = torch.nan
    with pytest.raises(ValueError, match=r"formants\[3, 1\] is nan \(1 such values\)"):
        Vowels(broken, vowels.label, vowels.speaker, vowels.kind, vowels.names)
