"""Classification tasks: true labels, nothing in both parts, bytes that decode."""

import unicodedata

import pytest
import torch

from moe_lib.data import cldr
from moe_lib.data.tasks import TASKS, load_task


@pytest.fixture(scope="module", params=TASKS)
def task(request):
    return load_task(request.param, max_per_class=200, max_length=40)


def test_shapes_and_shares(task):
    n = len(task.train) + len(task.test)
    assert len(task.test) == round(0.2 * n) and n >= 800
    assert f"Task {task.name}: {len(task.train)} examples" in repr(task)
    both = torch.cat([task.train.label, task.test.label])
    counts = both.bincount(minlength=len(task.classes))
    assert 0 < counts.min() and counts.max() == 200


def test_bytes_are_the_text(task):
    for part in (task.train, task.test):
        assert part.bytes.shape == part.mask.shape == (len(part), 40)
        assert torch.equal(part.bytes == 256, ~part.mask)
        for row, text in zip(part.bytes, part.text, strict=True):
            assert bytes(row[row < 256].tolist()).decode() == text


def test_no_text_is_in_both_parts_or_twice(task):
    assert len({*task.train.text, *task.test.text}) == len(task.train) + len(task.test)


def test_the_seed_decides(task):
    how = dict(max_per_class=200, max_length=40)
    assert load_task(task.name, **how).test.text == task.test.text
    assert load_task(task.name, **how, seed=1).test.text != task.test.text


def test_labels_are_true():
    task = load_task("character to category", max_length=200, max_per_class=50)
    for text, label in zip(task.test.text, task.test.label, strict=True):
        assert unicodedata.category(unicodedata.lookup(text)) == task.classes[label]
    task = load_task("name to language", max_length=200, max_per_class=50)
    for text, label in zip(task.test.text, task.test.label, strict=True):
        tables = cldr.names(task.classes[label]).values()
        assert any(text in table.values() for table in tables)
    task = load_task("name to kind", max_length=200, max_per_class=50)
    assert task.classes == ("currency", "language", "script", "territory")
    for text, label in zip(task.test.text, task.test.label, strict=True):
        kind = task.classes[label]
        every = (cldr.names(code)[kind].values() for code in cldr.language_codes())
        assert any(text in table for table in every)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(name="nothing"), "task 'nothing' is unknown: choose from docstring to"),
        (dict(name="name to kind", max_length=0), "max_length=0"),
        (dict(name="name to kind", max_per_class=0), "max_per_class=0"),
        (dict(name="name to kind", test_share=0.0), "test_share=0.0: give a share"),
    ],
)
def test_bad_input_is_told_in_one_line(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        load_task(**arguments)
    assert "\n" not in str(caught.value)
