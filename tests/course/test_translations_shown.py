"""The table of translations: what is shown, and what counts as right."""

import pytest
import torch

from moe_lib.course import translations_shown as shown
from moe_lib.course.translation_runs import train_translation
from moe_lib.course.translation_setup import Setup
from moe_lib.data.translation import load_translation


@pytest.fixture(scope="module")
def data():
    return load_translation({"fr": 120, "ar": 90, "el": 90}, num_test=27)


def test_phrases_of_all_kinds_and_languages(data):
    rows = shown.phrases_to_show(data, 3)
    kinds, languages = data.test.kind[rows], data.test.language[rows]
    assert len(set(rows.tolist())) == 15
    assert kinds.bincount().tolist() == [3] * 5
    assert languages.bincount().tolist() == [5] * 3
    with pytest.raises(ValueError, match="per_kind=0"):
        shown.phrases_to_show(data, 0)


def test_right_ones_are_marked(data, monkeypatch):
    """One run knows the dates by heart, the other nothing."""
    dates = data.kinds.index("date")

    def written(model, data, rows):
        texts = [data.test.target_text[n] for n in rows.tolist()]
        kinds = data.test.kind[rows].tolist()
        known = model == "knows"
        return [
            t if known and k == dates else "?"
            for t, k in zip(texts, kinds, strict=True)
        ]

    class Run:
        def __init__(self, model):
            self.model = model

    monkeypatch.setattr(shown, "written", written)
    runs = {"dense": Run("knows"), "experts": Run("not")}
    table = shown.translations_table(runs, data, per_kind=2)
    assert table.head == ("language", "phrase", "English", "dense", "experts")
    assert [row[3].endswith(" ✓") for row in table.rows] == [True] * 2 + [False] * 8
    assert {row[4] for row in table.rows} == {"?"}
    assert table.rows[0][1].strip("\u2066\u2069") in data.test.source_text
    assert repr(table) == "10 unseen phrases, translated" and table._repr_html_()


def test_a_model_s_own_words(data):
    setup = Setup(num_experts=1, d_model=16, d_ff=16, steps=4, pairs=4, warmup=2)
    run = train_translation(setup, data)
    rows = torch.arange(len(data.test))[:: len(data.test) // 4]
    texts = shown.written(run.model, data, rows)
    assert len(texts) == len(rows)
    right = [
        text == data.test.target_text[n] for text, n in zip(texts, rows, strict=True)
    ]
    assert right == run.right[-1, rows].tolist()
