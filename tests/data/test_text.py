"""Bytes of four domains: what is in them, what is held out, what a window is."""

import hashlib

import pytest
import torch

from moe_lib.data.domain_text import DomainText, Span
from moe_lib.data.text import load_text

SMALL = dict(max_bytes=400_000)


@pytest.fixture(scope="module")
def text():
    return load_text(**SMALL)


def as_bytes(row):
    return bytes(row.tolist())


def test_domains_sizes_and_hashes(text):
    assert text.domains == ("English", "Python", "C++", "names")
    assert text.train.dtype == text.heldout.dtype == torch.uint8
    assert text.train.shape == (4, 380_000) and text.heldout.shape == (4, 20_000)
    for i, line in enumerate(repr(text).splitlines()):
        whole = as_bytes(text.train[i]) + as_bytes(text.heldout[i])
        assert hashlib.sha256(whole).hexdigest() == text.sha256[i]
        assert text.domains[i] in line and text.sha256[i][:12] in line
        assert "380000" in line and "20000" in line


def test_each_domain_is_what_its_name_says(text):
    english, python, cpp, names = (as_bytes(row) for row in text.train)
    assert python.count(b"\n    def ") > 150 > english.count(b"\n    def ")
    assert cpp.count(b"#include") > 150 > python.count(b"#include")
    assert english.count(b" the ") > 2000 > names.count(b" the ")
    beyond_ascii = (text.train > 127).float().mean(dim=1)
    assert beyond_ascii[3] > 0.3 and (beyond_ascii[:3] < 0.05).all()


def test_the_same_seed_gives_the_same_bytes(text):
    load_text.cache_clear()
    again = load_text(**SMALL)
    assert again is not text and again.sha256 == text.sha256
    assert load_text(**SMALL, seed=1).sha256 != text.sha256


def test_no_held_out_name_was_trained_on(text):
    # the first and the last line of a part may be cut
    train = set(as_bytes(text.train[3]).split(b"\n")[:-1])
    heldout = as_bytes(text.heldout[3]).split(b"\n")[1:-1]
    assert len(heldout) > 500 and not train.intersection(heldout)


def test_no_held_out_docstring_was_trained_on(text):
    # whole docstrings are cut at empty lines; long paragraphs are theirs alone
    train = as_bytes(text.train[0])
    paragraphs = as_bytes(text.heldout[0]).split(b"\n\n")[1:-1]
    long = [p for p in paragraphs if len(p) > 200]
    unseen = [p for p in long if p not in train]
    assert len(long) > 5 and len(unseen) >= 0.9 * len(long)


def test_a_window_is_a_piece_of_its_domain(text):
    windows, domain = text.windows(400, 30, torch.Generator().manual_seed(0))
    assert windows.shape == (400, 30) and windows.dtype == domain.dtype == torch.int64
    whole = [as_bytes(row) for row in text.train]
    for window, d in zip(windows, domain.tolist(), strict=True):
        assert as_bytes(window) in whole[d]
    assert domain.bincount().min() > 60  # of 400: domains are drawn evenly


def test_windows_reach_the_ends_and_never_cross_domains():
    rows = torch.arange(12, dtype=torch.uint8).view(2, 6)
    tiny = DomainText(rows, rows, ("low", "high"), ("", ""))
    windows, domain = tiny.windows(500, 4, torch.Generator().manual_seed(0))
    every = {
        (d, w[0], w[-1]) for d, w in zip(domain.tolist(), windows.tolist(), strict=True)
    }
    assert every == {(d, 6 * d + i, 6 * d + i + 3) for d in (0, 1) for i in range(3)}


@pytest.mark.parametrize(
    "span", [Span(12), Span(6, after=6), Span(1, 64), Span(1, 128), Span(5, 32)]
)
def test_every_span_predicts_the_same_held_out_bytes(text, span):
    windows = text.heldout_windows(span)
    assert windows.shape == (4, 8192 // span.predicted, span.length)
    _, targets = span.split(windows.flatten(0, 1))
    _, reference = Span(1).split(text.heldout_windows(Span(1)).flatten(0, 1))
    assert torch.equal(targets.reshape(4, 8192), reference.view(4, 8192))
    whole = [as_bytes(row) for row in text.heldout]
    for d in range(4):
        assert all(as_bytes(w) in whole[d] for w in windows[d, ::97])


def test_split():
    windows = torch.arange(7)[None]
    assert [t.tolist() for t in Span(6).split(windows)] == [[[0, 1, 2, 3, 4, 5]], [[6]]]
    inputs, targets = Span(3, after=3).split(windows)
    assert inputs.tolist() == [[0, 1, 2, 4, 5, 6]] and targets.tolist() == [[3]]
    inputs, targets = Span(3, 4).split(windows)
    assert inputs.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert targets.tolist() == [[3, 4, 5, 6]]


def test_one_domain_alone(text):
    alone = text.only("C++")
    assert alone.domains == ("C++",) and torch.equal(alone.train[0], text.train[2])
    assert alone.sha256 == text.sha256[2:3]
    assert torch.equal(
        alone.heldout_windows(Span(12))[0], text.heldout_windows(Span(12))[2]
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda t: load_text(0), "max_bytes=0: give a whole number"),
        (lambda t: load_text(1000, heldout_share=1.0), "heldout_share=1.0: give a sh"),
        (lambda t: t.only("Latin"), "domain 'Latin' is unknown: choose from English"),
        (lambda t: t.windows(1, 380_001, torch.Generator()), "there are 380000 bytes"),
        (lambda t: t.heldout_windows(Span(200)), "20000 held-out bytes are too few"),
        (lambda t: Span(0), "before=0"),
        (lambda t: Span(1, 100), "predicted=100: give a divisor of 128"),
        (lambda t: Span(6, 2, 6), "predicted=2 with after=6: a masked span predicts"),
    ],
)
def test_bad_input_is_told_in_one_line(text, call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call(text)
    assert "\n" not in str(caught.value)
