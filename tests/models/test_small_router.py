"""The playground's router: its words, its balance, its training, its file."""

import math

import pytest
import torch

from moe_lib.data.domain_text import DomainText
from moe_lib.models.byte_tables import NO_BYTE
from moe_lib.models.seeded import STREAMS, seeded_noise, seeded_uniform
from moe_lib.models.small_router import (
    FILE,
    ROUTERS,
    SmallRouter,
    byte_places,
    tokenize,
)
from moe_lib.specialisation import mutual_information
from moe_lib.widgets import train_small_router as training

SENTENCES = (
    "More parameters, same arithmetic: every token asks the router which expert to"
    " see.",
    "The quick brown fox jumps over the lazy dog, and in 1991 four people wrote a"
    " paper about it.",
    "She said that she would not come to the party because it was raining.",
    "It was the best of times, it was the worst of times, it was the age of wisdom.",
    "In 2017 the router added noise to its choice; in 2021 it took one expert.",
)
OTHERS = (
    "Mehr Parameter, gleiche Rechnung: jedes Token fragt den Router, wohin es soll.",
    "更多的参数，同样的计算量：每个词元都问路由器该去找哪位专家。",
    "def route(self, x): return self.gate(x).softmax(dim=-1).topk(2)  # [T, 2]",
    "3.14159 2021 7 1,000,000 0xFF 12:30 😀",
)


@pytest.mark.parametrize(
    "text, tokens",
    [
        ("Don’t stop, it's 12.5 €!", "Don’t stop , it's 12 . 5 € !"),
        ("x_1 = 3×4 -- größer\u200b\u00a0\u3000als", "x_1 = 3 × 4 - - größer als"),
        ("人工 intelligence", "人 工 intelligence"),
        ("'quoted' rock'n'roll ❤️", "' quoted ' rock'n'roll ❤"),
        (" \n\t", ""),
    ],
)
def test_words_and_marks(text, tokens):
    assert tokenize(text) == tokens.split()


def test_the_bytes_that_stand_for_a_token():
    none = NO_BYTE
    assert byte_places(["ab", "cdé"], (1, 3, 2)).tolist() == [
        [none, 97, 98, none, 97, 98],
        [98, 99, 100, 0xC3, 0xC3, 0xA9],
    ]
    assert byte_places([], (1, 3, 2)).shape == (0, 6)


@pytest.mark.parametrize("num_experts", [2, 4, 8, 16])
@pytest.mark.parametrize("name", ROUTERS)
def test_the_library_routes_with_its_gate(name, num_experts):
    small, tokens = SmallRouter.load(), tokenize(SENTENCES[0])
    router, x = small.router(name, num_experts), small.inputs(tokens)
    routing = router(x, token_ids=small.token_ids(tokens))
    assert routing.router_probs.shape == (len(tokens), num_experts)
    assert not router.training
    if name != "hash":
        logits = small.logits(tokens, num_experts)
        assert torch.allclose(routing.router_logits, logits, rtol=0, atol=1e-12)


def test_settings_reach_the_router():
    small = SmallRouter.load()
    assert small.router("top_k", 8, top_k=3).top_k == 3
    maps = [small.router("hash", 8, seed=s).expert_of_token for s in (0, 0, 1)]
    assert torch.equal(maps[0], maps[1]) and not torch.equal(maps[0], maps[2])
    assert maps[0].bincount(minlength=8).min() > 0.8 * len(maps[0]) / 8


def test_refusals_name_the_remedy():
    small = SmallRouter.load()
    with pytest.raises(ValueError, match=r"num_experts='5': choose one of 2, 4, 8, 16"):
        small.logits(["a"], 5)
    with pytest.raises(ValueError, match=r"router='soft': choose one of softmax_gate"):
        small.router("soft", 8)


def test_english_sentences_are_spread_over_the_experts():
    small = SmallRouter.load()
    for text in SENTENCES:
        probs = small.logits(tokenize(text), 8).softmax(dim=1)
        share = probs.argmax(dim=1).bincount(minlength=8) / len(probs)
        assert share.max() <= 0.5 and (share > 0).sum() >= 4, text
        assert 0.3 < probs.amax(dim=1).mean() < 0.9, text


@pytest.mark.parametrize("text", OTHERS)
def test_other_text_is_routed_too(text):
    small = SmallRouter.load()
    for count in (2, 4, 8, 16):
        logits = small.logits(tokenize(text), count)
        assert logits.isfinite().all() and logits.std() > 0.3


def test_experts_take_words_of_a_kind():
    words = [tokenize(text) for text in SENTENCES + OTHERS]
    kinds = torch.tensor([_kind(word) for tokens in words for word in tokens])
    small = SmallRouter.load()
    probs = torch.cat([small.logits(tokens, 8).softmax(dim=1) for tokens in words])
    shuffled = kinds[torch.randperm(len(kinds), generator=torch.manual_seed(0))]
    assert mutual_information(probs, kinds) > 2 * mutual_information(probs, shuffled)


def _kind(word: str) -> int:
    if not word.isascii():
        return 0
    return 1 if word[0].isdigit() else 2 if word.isalpha() else 3


def test_noise_is_normal_and_seeded():
    noise = seeded_noise(0, 1000, 16)
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
    assert noise.abs().max() > 3
    assert torch.equal(noise[:5], seeded_noise(0, 5, 16))  # more text moves nothing
    assert not torch.equal(noise[:5], seeded_noise(1, 5, 16))
    draws = [seeded_uniform(7, stream, 4000) for stream in STREAMS]
    for numbers in draws:
        assert 0 < numbers.min() < 0.01 and 0.99 < numbers.max() < 1
    assert abs(torch.corrcoef(torch.stack(draws))).triu(1).max() < 0.06


def test_noise_and_jitter_shake_the_logits():
    small, tokens = SmallRouter.load(), tokenize(SENTENCES[1])
    clean = small.logits(tokens, 8, temperature=2)
    assert torch.equal(small.noisy_logits(tokens, 8, temperature=2), clean)
    assert torch.allclose(clean * 2, small.logits(tokens, 8))
    noisy = small.noisy_logits(tokens, 8, noise=0.5, temperature=2)
    assert torch.allclose(noisy - clean, 0.5 * seeded_noise(0, len(tokens), 8))
    shaken = small.noisy_logits(tokens, 8, jitter_noise=0.01, temperature=2)
    assert 0 < (shaken - clean).abs().max() < 0.05 * clean.abs().max()


def test_the_file_says_where_it_comes_from():
    assert FILE.stat().st_size <= 40_000
    about = SmallRouter.load().model["about"]
    assert about["steps"] == training.STEPS and about["seed"] == training.SEED
    assert set(about["versions"]) == {"python", "torch"}
    assert about["heldout_nats_per_word"] < math.log(training.VOCABULARY) / 1.5
    for count in ("2", "4", "8", "16"):
        assert about["heldout"][count]["cv"] < 0.3


def test_it_can_be_trained_again():
    lines = [f"one {i % 7} two; three = ({i % 3})\n".encode() for i in range(600)]
    text = torch.frombuffer(bytearray(b"".join(lines)), dtype=torch.uint8)
    domains = tuple(training.SHARES)
    both = text.repeat(len(domains), 1)
    data = DomainText(both, both[:, :4000], domains, ("",) * len(domains))
    words, heldout = training.make_words(data)
    first, second = (training.train(words, steps=60) for _ in range(2))
    nats = first.history["nats"]
    assert nats[-10:].mean() < 0.5 * nats[0]
    assert torch.equal(nats, second.history["nats"])
    small = SmallRouter(training.export(first.model))
    with torch.no_grad():
        x = first.model.trunk(heldout.seen[:50])
    assert (small.inputs_of(heldout.seen[:50]) - x).norm() < 0.03 * x.norm()
    assert set(training.measures(small, heldout)) == {"2", "4", "8", "16"}
