"""The reader's phrase, byte by byte, and what foretells the expert of a byte."""

from functools import partial

import pytest
import torch

from moe_lib.course import claims_04_likes, measurements_04_likes
from moe_lib.course.evidence import FAILS, HOLDS, NOISE
from moe_lib.course.information import GIVEN, foretold
from moe_lib.course.likes import likes_table
from moe_lib.course.measurements_04_likes import LIKES, measure_likes
from moe_lib.course.phrase_routed import PHRASE, in_domains, moved, route_phrase
from moe_lib.course.placed import place
from moe_lib.course.switch_setup import Setup
from moe_lib.data.text import load_text
from moe_lib.figures.phrase_routed import phrase_routed
from placed_bytes import placed_by

TINY = Setup(num_experts=4, d_model=8, d_ff=8, num_heads=2, steps=2, warmup=1,
             tokens=128)  # fmt: skip


@pytest.fixture(scope="module")
def text():
    return load_text(max_bytes=400_000)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return TINY.but(num_layers=4).build()


def test_the_phrase_is_routed_as_the_model_routes_it(model):
    one = route_phrase(model, before=b"def ", mixture=1)
    model.eval()
    _, routings = model(torch.tensor([[*b"def ", *PHRASE.encode()]]))
    probs = routings[1].router_probs[4:]
    assert bytes(one.byte.tolist()) == PHRASE.encode()
    assert torch.equal(one.expert, probs.argmax(dim=1))
    assert torch.equal(one.probability, probs.amax(dim=1))
    assert not torch.equal(one.probability, route_phrase(model).probability)


def test_the_model_cannot_look_ahead(model):
    whole, part = (route_phrase(model, text) for text in ("More Parameters", "More"))
    assert torch.equal(whole.expert[:4], part.expert)
    assert torch.allclose(whole.probability[:4], part.probability)


def test_what_stands_before_can_move_a_byte(model, text):
    phrases = in_domains(model, text)
    assert [one.before for one in phrases] == ["", *text.domains]
    every = torch.stack([one.expert for one in phrases])
    different = [len(set(column)) > 1 for column in every.T.tolist()]
    assert moved(phrases).tolist() == different
    assert not moved(phrases[:1]).any()


@pytest.mark.parametrize(
    "phrase, before, message",
    [
        ("", b"", "phrase is empty: give at least one letter"),
        ("é" * 33, b"", "phrase has 66 bytes after 0: give at most 64"),
        ("more", b"x" * 61, "phrase has 4 bytes after 61: give at most 3"),
    ],
)
def test_what_cannot_be_routed_is_refused(model, phrase, before, message):
    with pytest.raises(ValueError, match=message):
        route_phrase(model, phrase, before=before)


def test_a_missing_mixture_is_named(model):
    with pytest.raises(ValueError, match="mixture=2 but the model has 2: give 0 to 1"):
        route_phrase(model, mixture=2)
    with pytest.raises(ValueError, match="the model has 0: give it experts"):
        route_phrase(TINY.but(router="dense").build())


@pytest.mark.parametrize("theme", ["both", "light", "dark"])
def test_every_byte_has_its_letter_and_its_bar(model, text, theme):
    phrases = in_domains(model, text, "Über <b>$2</b>")
    fig = phrase_routed(phrases, theme=theme)
    by_name = {trace.name: trace for trace in fig.data}
    count = len(phrases[0].byte)
    letters = ["ABCD"[e] for one in phrases for e in one.expert]
    assert list(by_name["experts"].text) == [f"<b>{name}</b>" for name in letters]
    written = by_name["bytes"].text[:count]
    assert written[:2] == ("Ü", "·") and written[6] == "&lt;" and "&#36;" in written
    assert by_name["before"].text[:2] == ("<b>alone</b>", "<b>after English</b>")
    used = {int(e) for one in phrases for e in one.expert}
    assert len(fig.layout.shapes) == 1 + len(used)  # the frames, then the bars
    assert "alone: " + " ".join(letters[:count]) in fig.layout.meta["alt"]


def test_a_long_phrase_takes_lines(model):
    fig = phrase_routed([route_phrase(model, "x" * 64)])
    marks = next(trace for trace in fig.data if trace.name == "experts")
    assert max(marks.x) < 16 and len(set(marks.y)) == 4
    with pytest.raises(ValueError, match="phrases holds 2: give one, or the same"):
        phrase_routed([route_phrase(model, "a"), route_phrase(model, "b")])
    with pytest.raises(ValueError, match="phrases holds 0"):
        phrase_routed([])


def test_a_byte_foretells_its_expert_where_the_rule_says_so():
    told = foretold(placed_by(lambda byte, domain: byte % 2 == 1))
    assert list(told) == ["nothing", "domain", "current byte", "last 2 bytes",
                          "last 3 bytes"]  # fmt: skip
    assert 0.5 <= told["nothing"] < 0.9
    assert all(told[name] > 0.99 for name in list(told)[2:])
    of_domain = foretold(placed_by(lambda byte, domain: domain == 3))
    assert of_domain["domain"] == 1 and of_domain["nothing"] == 0.75
    assert of_domain["current byte"] < of_domain["last 3 bytes"] < 1


def test_held_out_bytes_are_placed_and_shares_sum_to_one(model, text):
    setup = TINY.but(num_layers=4)
    first, second = (place(model, setup, text, every=8, mixture=k) for k in (0, 1))
    assert len(first.byte) == len(second.byte) == 4 * 8192 // 8
    assert not torch.equal(first.first, second.first)
    shares = [int(row[1].rstrip("%")) for row in likes_table(first).rows]
    assert abs(sum(shares) - 100) <= len(shares)


def test_the_measurement_gives_both_times_for_each_seed(monkeypatch):
    few = partial(place, every=16)
    monkeypatch.setattr(measurements_04_likes, "place", few)
    columns = measure_likes(LIKES.config | {"bytes": 400_000, "base": TINY.config}, [3])
    assert {tuple(column.shape) for column in columns.values()} == {(1, 2)}
    assert columns["most, domain"].max() <= 2
    assert columns["bits, domain"][0, 0] != columns["bits, domain"][0, 1]


def test_the_claims_compare_what_they_name(monkeypatch):
    names = [*(f"bits, {given}" for given in GIVEN), "bits, current byte",
             "foretold, current byte", "foretold, last 3 bytes"]  # fmt: skip
    values = zip(names, (0.1, 1.7, 1.8, 0.5, 0.7), strict=True)
    columns = {
        name: torch.tensor([[0.0, v], [0.0, v + 0.01]], dtype=torch.float64)
        for name, v in values
    }
    told = type("Told", (dict,), {"origin": "stored"})(columns)
    monkeypatch.setattr(claims_04_likes, "stored", lambda item: told)
    assert [c.verdict for c in claims_04_likes.likes_claims()] == [HOLDS] * 3
    turned = type(told)({name: column.flip(1) for name, column in columns.items()})
    monkeypatch.setattr(claims_04_likes, "stored", lambda item: turned)
    verdicts = [c.verdict for c in claims_04_likes.likes_claims()]
    assert verdicts == [NOISE, FAILS, NOISE]
