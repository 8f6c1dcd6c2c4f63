"""The table of experts by kind of byte against a count by hand."""

import pytest
import torch

from moe_lib.course.byte_names import CLASS_OF, CLASSES
from moe_lib.course.placed import routing_of
from moe_lib.course.race_runs import heldout_batch
from moe_lib.course.race_setup import Setup, choosing
from moe_lib.course.who_gets_many import who_gets_many
from moe_lib.data.text import load_text


def test_the_means_are_those_of_a_loop():
    text = load_text(400_000)
    small = dict(d_model=16, d_ff=16, num_experts=4, masked=True)
    torch.manual_seed(0)
    model = choosing(Setup(**small), "expert choice", 2).build()
    table = who_gets_many(model, text)
    shown, hidden = (heldout_batch(text, masked=m) for m in (False, True))
    counts = (routing_of(model, hidden).dense() > 0).sum(dim=1).tolist()
    kinds = [
        "hidden" if new != old else CLASSES[CLASS_OF[old]]
        for old, new in zip(
            shown.flatten().tolist(), hidden.flatten().tolist(), strict=True
        )
    ]
    assert len(table.rows) >= 4
    means = [float(row[2]) for row in table.rows]
    assert means == sorted(means, reverse=True)
    for name, size, mean, none, many in table.rows:
        mine = [n for n, kind in zip(counts, kinds, strict=True) if kind == name]
        assert size == len(mine) and mean == f"{sum(mine) / size:.2f}"
        assert none == f"{mine.count(0) / size:.1%}"
        assert many == f"{sum(n >= 4 for n in mine) / size:.1%}"


def test_a_dense_model_is_refused():
    with pytest.raises(ValueError, match="model has 0: give it experts"):
        who_gets_many(Setup(router="dense", masked=True).build(), load_text(400_000))
