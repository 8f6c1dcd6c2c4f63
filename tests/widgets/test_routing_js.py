"""The page's routing is moe_lib's, row by row; and these tests can fail.

The JavaScript runs in node where there is one, which is faster, else in Chromium.
"""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import browser_tools
from moe_lib import widgets
from moe_lib.models.seeded import seeded_noise
from moe_lib.models.small_router import SmallRouter, tokenize
from moe_lib.widgets.modules import module_text

from . import javascript
from .routing_cases import NAMES, Case, differences, make_case, near_ties

CASES = 1000  # of each router
SOURCE = Path(widgets.__file__).with_name("js") / "routing.js"


def wrong(run, text: str, cases: list[Case]) -> list[tuple[int, list[str]]]:
    """Numbers of the cases that the module answers differently, and in what."""
    answers = run(text, "route", [case.arguments for case in cases])
    found = enumerate(map(differences, cases, answers))
    return [(number, what) for number, what in found if what]


@pytest.mark.parametrize("name", NAMES)
def test_the_table_is_that_of_the_library(run, name):
    cases = [make_case(name, seed) for seed in range(CASES)]
    assert wrong(run, SOURCE.read_text("utf-8"), cases) == []
    # what was compared: many exact ties, and none that the last bit decides
    assert name == "hash" or sum(case.has_ties for case in cases) > CASES / 5
    assert not any(near_ties(case) for case in cases)


def test_so_is_that_of_the_shipped_module_in_chromium(request):
    if problem := browser_tools.missing_browser():
        pytest.skip(problem)
    run = javascript.in_page(request.getfixturevalue("browser"))
    cases = [make_case(name, seed) for name in NAMES for seed in range(30)]
    assert wrong(run, module_text("playground"), cases) == []


WRONG = {
    "a token at the wall gets in": (
        "switch",
        "place[t][j] < capacity",
        "place[t][j] <= capacity",
    ),
    "a token's two choices queue together": (
        "gshard",
        "for (const j of chosen[0].keys()) {\n    for (const t of order) {",
        "for (const t of order) {\n    for (const j of chosen[0].keys()) {",
    ),
    "a choice that lost the lottery does not count": (
        "gshard",
        "place = queuePlaces(chosen, order",
        "place = queuePlaces(chosen.map(([a, b], t) =>"
        " [a, draws && 2 * weights[t][1] <= draws[t] ? -1 : b]), order",
    ),
    "a choice that finds no slot does not count": (
        "switch",
        "place[t][j] = length[queue]++;",
        "place[t][j] = length[queue]; if (length[queue] < 2) length[queue]++;",
    ),
    "padding stands in the queues": (
        "top_k",
        "const queue = real[t] ?",
        "const queue = 1 ?",
    ),
    "groups share their slots": ("gshard", "Math.floor(t / size)", "0"),
    "the factor is a binary fraction": (
        "switch",
        "return Math.max(1, Number(",
        "return Math.max(1, Math.ceil(factor * asked / numExperts)); (Number(",
    ),
    "ties go to the last": (
        "top_k",
        "scores[j] - scores[i]",
        "scores[j] - scores[i] || j - i",
    ),
    "the surest are not first": ("switch", "slots && task.batchPrioritized", "false"),
    "one choice weighs 1": ("switch", "[gates[t][experts[0]]]", "[1]"),
    "second choices are certain": (
        "gshard",
        "accepted = !lottery ||",
        "accepted = true ||",
    ),
    "noise is not looked at": (
        "noisy_top_k",
        "noisyLogits: noisy = logits",
        "none: noisy = logits",
    ),
    "probabilities are noisy": (
        "top_k",
        "logits.map(softmax)\n",
        "noisy.map(softmax)\n",
    ),
    "padding is chosen first": ("expert_choice", ": -1));", ": 2));"),
    "experts take from all groups": (
        "expert_choice",
        "group * size, (group",
        "0, (group",
    ),
    "padding waits": ("softmax_gate", "real[t] ? place++ : place", "place++"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_in_the_page_is_found(run, mistake):
    name, right, changed = WRONG[mistake]
    text = SOURCE.read_text("utf-8")
    assert text.count(right) == 1
    cases = [make_case(name, seed) for seed in range(60)]
    assert wrong(run, text, cases) == []
    assert wrong(run, text.replace(right, changed), cases)


# Letters, spaces and marks at the borders of the classes, among all of Unicode.
BORDERS = (
    "aZ_09'’\u00a0\u00aa\u00b5\u00ba\u00bf×÷ø\u1fff\u2000\u200f‐\u2028\u202f\u3000"
)
BORDERS += (
    "\u205f\ua4cf\ua4d0\ud7ff\ue000\ufe0f\ufeff 人語ごハ한ßéЖعא\n\t-.,;:!?()😀👩‍🚀"
)
TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from(BORDERS), max_size=60)


@settings(max_examples=15, deadline=None)
@given(st.lists(TEXTS, min_size=20, max_size=60))
def test_tokens_are_the_same(run, texts):
    answers = run(SOURCE.read_text("utf-8"), "tokenize", [[text] for text in texts])
    assert answers == [tokenize(text) for text in texts]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(TEXTS.filter(tokenize), min_size=5, max_size=20),
    st.sampled_from([2, 4, 8, 16]),
    st.integers(-5, 2**40),
    st.sampled_from([(1, 0, 0), (0.5, 1.5, 0), (2, 0, 0.3), (1, 0.4, 0.9)]),
)
def test_logits_noise_and_hash_are_the_same(run, texts, experts, seed, shaking):
    small, source = SmallRouter.load(), SOURCE.read_text("utf-8")
    temperature, noise, jitter = shaking
    told = {"temperature": temperature, "noise": noise, "jitter": jitter, "seed": seed}
    words = [tokenize(text) for text in texts]
    calls = [[small.model, tokens, experts, told] for tokens in words]
    for tokens, answer in zip(words, run(source, "routerLogits", calls), strict=True):
        clean = small.logits(tokens, experts, temperature=temperature)
        noisy = small.noisy_logits(
            tokens,
            experts,
            temperature=temperature,
            noise=noise,
            jitter_noise=jitter,
            seed=seed,
        )
        for got, want in ((answer["clean"], clean), (answer["noisy"], noisy)):
            assert (want.new_tensor(got) - want).abs().max() < 1e-9
    router = small.router("hash", experts, seed=seed)
    calls = [[small.model, tokens, experts, seed] for tokens in words]
    for tokens, answer in zip(words, run(source, "hashExperts", calls), strict=True):
        assert answer == router.expert_of_token[small.token_ids(tokens)].tolist()


def test_the_noise_alone_is_the_same(run):
    """Without a model's logits, which could hide small differences."""
    small = SmallRouter.load()
    told = {"noise": 1, "seed": 3, "temperature": 1e12}
    call = [small.model, ["a"] * 64, 16, told]
    [answer] = run(SOURCE.read_text("utf-8"), "routerLogits", [call])
    noise = seeded_noise(3, 64, 16)
    assert (noise.new_tensor(answer["noisy"]) - noise).abs().max() < 1e-9


def test_groups_that_do_not_fit_are_refused(run):
    with pytest.raises(Exception, match="3 tokens in groups of 2: pad them"):
        run(
            SOURCE.read_text("utf-8"),
            "route",
            [["switch", [[0, 1]] * 3, {"groupSize": 2}]],
        )


def test_the_page_and_the_library_name_the_same_streams():
    from moe_lib.models.seeded import STREAMS

    names, numbers = re.search(
        r"const \[([A-Z, ]+)\] = \[([0-9, ]+)\]", SOURCE.read_text("utf-8")
    ).groups()
    pairs = zip(names.lower().split(", "), map(int, numbers.split(", ")), strict=True)
    assert dict(pairs) == STREAMS
