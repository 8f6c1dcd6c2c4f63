"""Training of the playground's router: the next word, in the course's four domains."""

from __future__ import annotations

import base64
import json
import platform
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.data.domain_text import DomainText
from moe_lib.data.text import load_text
from moe_lib.language_modelling import auxiliary_losses
from moe_lib.losses import load_balancing_loss
from moe_lib.models.small_router import FILE, SmallRouter, byte_places, tokenize
from moe_lib.models.word_router import WordRouter, WordTrunk
from moe_lib.schedules import warmup_then_linear
from moe_lib.specialisation import mutual_information
from moe_lib.training import Metrics, Objective, Trainer

EXPERTS = (2, 4, 8, 16)
PLACES = (1, 6, 6)  # bytes of the token before, of the token's start and of its end
TRAIN_BYTES = 800_000  # of each domain
VOCABULARY = 512  # words that are predicted; 0 stands for all others
SHARES = {"English": 12, "Python": 1, "C++": 1, "names": 1}  # readers write English
SEED, STEPS, BATCH, RATE, BALANCE = 0, 1500, 512, 0.01, 0.1


@dataclass(frozen=True, eq=False)
class Words:
    """N words: their bytes ``seen [N, places]``, which word follows, the domain.

    weight: ``[N]`` float64, how likely each is drawn.
    """

    seen: Tensor
    following: Tensor
    domain: Tensor
    weight: Tensor

    def draw(self, size: int, generator: torch.Generator) -> Words:
        """``size`` words, with replacement."""
        ends = self.weight.cumsum(0)
        u = torch.rand(size, generator=generator, dtype=torch.float64) * ends[-1]
        pick = torch.searchsorted(ends, u)
        return Words(*(column[pick] for column in vars(self).values()))


def make_words(text: DomainText) -> tuple[Words, Words]:
    """To learn from, and held out."""
    learnt = [_tokens(part[:TRAIN_BYTES]) for part in text.train]
    heldout = [_tokens(part) for part in text.heldout]
    counts: Counter[str] = Counter()
    for domain, tokens in zip(text.domains, learnt, strict=True):
        for token, count in Counter(tokens).items():
            counts[token] += SHARES[domain] * count
    common = [token for token, _ in counts.most_common(VOCABULARY - 1)]
    number = {token: i for i, token in enumerate(common, start=1)}
    share = [SHARES[domain] for domain in text.domains]
    return _words(learnt, number, share), _words(heldout, number, share)


def _tokens(part: Tensor) -> list[str]:
    return tokenize(bytes(part.tolist()).decode(errors="ignore"))


def _words(domains: list[list[str]], number: dict[str, int], share: list[int]) -> Words:
    sizes = torch.tensor([len(tokens) - 1 for tokens in domains])
    following = [number.get(t, 0) for tokens in domains for t in tokens[1:]]
    domain = torch.arange(len(domains)).repeat_interleave(sizes)
    return Words(
        torch.cat([byte_places(tokens, PLACES)[:-1] for tokens in domains]),
        torch.tensor(following),
        domain,
        (torch.tensor(share).double() / sizes)[domain],
    )


def word_objective(words: Words) -> Objective:
    """Cross entropy of the following word, the layers' mean, and their balance."""

    def objective(
        model: nn.Module, generator: torch.Generator
    ) -> tuple[Tensor, Metrics]:
        batch = words.draw(BATCH, generator)
        logits, routings = model(batch.seen)
        nats = _cross_entropy(logits, batch.following)
        extra, metrics = auxiliary_losses(routings, {load_balancing_loss: BALANCE})
        return nats + extra, {**metrics, "nats": nats.detach()}

    return objective


def _cross_entropy(logits: Tensor, following: Tensor) -> Tensor:
    return F.cross_entropy(
        logits.flatten(0, 1), following.repeat(len(logits))
    )  # [layers, N, V], [N]


def train(words: Words, steps: int = STEPS, seed: int = SEED) -> Trainer:
    """A `WordRouter` learns from the words; ``seed``: of its weights too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk = WordTrunk(sum(PLACES), d_byte=8, d_hidden=64, d_model=32)
        model = WordRouter(trunk, VOCABULARY, EXPERTS)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    trainer = Trainer(
        model,
        word_objective(words),
        optimizer,
        scheduler=warmup_then_linear(optimizer, steps),
        seed=seed,
        label="small router",
    )
    return trainer.run(steps)


def export(model: WordRouter) -> dict[str, Any]:
    """Trunk and gates as `SmallRouter` and routing.js read them."""
    trunk = model.trunk
    return {
        "places": list(PLACES),
        "vocabulary": 4096,  # of the hash router; a power of two
        "bytes": _stored(trunk.bytes.weight),
        "hidden": _stored(trunk.hidden.weight.T),
        "out": _stored(trunk.out.weight.T),
        "gates": {
            str(layer.router.num_experts): _stored(layer.router.gate.weight.T)
            for layer in model.layers
        },
    }


def _stored(weight: Tensor) -> dict[str, Any]:
    """Rounded to whole numbers from -127 to 127 times one scale."""
    weight = weight.detach()
    scale = float(f"{weight.abs().max() / 127:.4g}")
    whole = (weight / scale).round().clamp(-127, 127).to(torch.int8)
    text = base64.b64encode(whole.contiguous().numpy().tobytes()).decode()
    return {"rows": len(weight), "scale": scale, "int8": text}


def measures(router: SmallRouter, words: Words) -> dict[str, dict[str, float]]:
    """How balanced and how decided each gate is, and what its choice tells.

    By number of experts: CV of the demand, largest share of it, mean of the largest
    probability, mutual information of expert and domain in nats.
    """
    batch = words.draw(20_000, torch.Generator().manual_seed(0))
    x = router.inputs_of(batch.seen)
    found = {}
    for count in EXPERTS:
        probs = (x @ router.gate(count)).softmax(dim=1)
        share = probs.argmax(dim=1).bincount(minlength=count) / len(probs)
        numbers = {
            "cv": (share.std(correction=0) * count).item(),
            "largest_share": share.max().item(),
            "largest_probability": probs.amax(dim=1).mean().item(),
            "nats_about_domain": mutual_information(probs, batch.domain),
        }
        found[str(count)] = {name: round(v, 3) for name, v in numbers.items()}
    return found


def main() -> None:
    """Train, measure on held-out words, and write ``small_router.json``."""
    started = time.perf_counter()
    text = load_text()
    print(text)
    words, heldout = make_words(text)
    trainer = train(words)
    model = export(trainer.model)
    with torch.inference_mode():
        batch = heldout.draw(20_000, torch.Generator().manual_seed(0))
        logits, _ = trainer.model.eval()(batch.seen)
        loss = _cross_entropy(logits, batch.following).item()
    about = {
        "made_by": "python -m moe_lib.widgets.train_small_router",
        "seed": SEED,
        "steps": trainer.step,
        "seconds": round(time.perf_counter() - started),
        "heldout_nats_per_word": round(loss, 3),
        "heldout": measures(SmallRouter(model), heldout),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "text_sha256": dict(zip(text.domains, text.sha256, strict=True)),
    }
    FILE.write_text(json.dumps({"about": about, **model}, indent=1) + "\n")
    print(json.dumps(about["heldout"], indent=1))
    print(f"{loss:.2f} nats per word held out; all in {about['seconds']} s -> {FILE}")


if __name__ == "__main__":
    main()
