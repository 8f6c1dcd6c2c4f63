"""Facts to learn by heart: true ones, with no held-out fact among the seen."""

import pytest
import torch

from moe_lib.data import cldr
from moe_lib.data.lookup import SIZES, load_lookup, name_features


@pytest.fixture(scope="module")
def data():
    return load_lookup()


def test_sizes(data):
    n = data.seen.language.bincount().tolist()
    assert dict(zip(data.languages, n, strict=True)) == SIZES
    assert data.unseen.language.bincount().tolist() == [60] * 10
    assert data.seen.features.shape == (sum(SIZES.values()), 16)
    assert f"{len(data.seen)} facts (fr 1100, es 1000" in repr(data)


def test_facts_are_true(data):
    told = {
        (data.languages[k], name): data.answers[a]
        for part in (data.seen, data.unseen)
        for k, name, a in zip(
            part.language.tolist(), part.name, part.answer.tolist(), strict=True
        )
    }
    assert len(told) == len(data.seen) + len(data.unseen)  # no fact twice
    known = {("fr", "Allemagne"): "Germany", ("de", "Japanisch"): "Japanese",
             ("ru", "Япония"): "Japan", ("es", "Suiza"): "Switzerland",
             ("ja", "ドイツ"): "Germany", ("tr", "İsveç"): "Sweden"}  # fmt: skip
    found = {fact: answer for fact, answer in known.items() if fact in told}
    assert len(found) >= 3  # a few may be among the facts that were left out
    assert all(told[fact] == answer for fact, answer in found.items())
    assert all(name != answer for (_, name), answer in told.items())


def test_the_answer_to_an_unseen_fact_is_taught_by_another_language(data):
    taught = set(data.seen.answer.tolist())
    assert len(taught) == len(data.answers)
    assert taught.issuperset(data.unseen.answer.tolist())


def test_features_are_sums_over_runs_of_letters():
    a, b, c = name_features(["Polonia", "Poloniae", "Xyz"], 64)
    assert torch.allclose(torch.stack([a, b, c]).norm(dim=1), torch.ones(3))
    assert a @ b > 0.8 > 0.4 > a @ c
    assert torch.equal(name_features(["Xyz", "Polonia"], 64)[1], a)
    assert not torch.equal(name_features(["Polonia"], 64, seed=1)[0], a)


def test_drawing_covers_the_facts_and_follows_the_seed(data):
    features, language, answer = data.draw(9000, torch.Generator().manual_seed(0))
    assert features.shape == (9000, 16)
    assert len(answer.unique()) > 0.9 * len(data.answers)
    share = (language == 0).float().mean()
    assert abs(share - 1100 / len(data.seen)) < 0.02
    assert torch.equal(load_lookup().seen.features, data.seen.features)
    assert load_lookup(seed=1).seen.name != data.seen.name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(sizes={"fr": 5000}), r"sizes\['fr'\]=5000 with num_unseen=60: there are"),
        (dict(sizes={"xx": 5}), "language 'xx' is unknown to Babel"),
        (dict(d_model=0), "d_model=0"),
        (dict(num_unseen=0), "num_unseen=0"),
    ],
)
def test_bad_input_is_told_in_one_line(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        load_lookup(**arguments)
    assert "\n" not in str(caught.value)


def test_cldr_knows_languages_and_their_names():
    assert len(cldr.language_codes()) > 200
    assert cldr.names("fr")["territory"]["DE"] == "Allemagne"
    assert cldr.names("de")["currency"]["JPY"] == "Japanischer Yen"
    assert set(cldr.shared_codes("fr", "script")) <= cldr.names("en")["script"].keys()
