"""The router of the playground: small, trained in the course; twin of routing.js.

``python -m moe_lib.widgets.train_small_router`` trains it again, in one or two minutes.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moe_lib import routers
from moe_lib.checks import require_choice
from moe_lib.models.byte_tables import NO_BYTE
from moe_lib.models.seeded import fnv, seeded_bits, seeded_noise, seeded_uniform

FILE = Path(__file__).with_name("small_router.json")
ROUTERS = {
    "softmax_gate": routers.SoftmaxGate,
    "noisy_top_k": routers.NoisyTopKRouter,
    "gshard": routers.GShardRouter,
    "switch": routers.SwitchRouter,
    "hash": routers.HashRouter,
    "expert_choice": routers.ExpertChoiceRouter,
    "top_k": routers.TopKRouter,
}

_SPACE = (  # and what has no width
    r"\u0000-\u0020\u007f-\u00a0\u2000-\u200f\u2028-\u202f"
    r"\u205f-\u206f\u3000\ufe00-\ufe0f\ufeff"
)
_WORD = (
    r"[0-9A-Za-z_\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6"
    r"\u00f8-\u1fff\ua4d0-\ud7ff]+"
)
_TOKEN = re.compile(rf"{_WORD}(?:['\u2019]{_WORD})*|[^{_SPACE}]")


def tokenize(text: str) -> list[str]:
    """Words (with apostrophes inside), and everything else one character at a time.

    White space and characters without width are left out.
    """
    return _TOKEN.findall(text)


def byte_places(tokens: Sequence[str], places: Sequence[int]) -> Tensor:
    """The bytes that stand for each token, ``[T, sum(places)]`` int64.

    ``places``: how many of the end of the token before, of the token's start and of
    its end; `NO_BYTE` where there is none.
    """
    before, start, end = places
    coded = [list(token.encode()) for token in tokens]
    none = [NO_BYTE] * max(places)
    seen = [
        (none + last)[-before:] + (own + none)[:start] + (none + own)[-end:]
        for last, own in zip([[], *coded], coded, strict=False)
    ]
    return torch.tensor(seen, dtype=torch.int64).view(-1, sum(places))


class SmallRouter:
    """Trunk and gates of a `moe_lib.models.word_router.WordRouter`, in float64.

    Args:
        model: what ``small_router.json`` holds.
    """

    def __init__(self, model: dict[str, Any]) -> None:
        self.model = model

    @classmethod
    @lru_cache(maxsize=1)
    def load(cls) -> SmallRouter:
        """The one that the course ships."""
        return cls(json.loads(FILE.read_text(encoding="utf-8")))

    def inputs(self, tokens: Sequence[str]) -> Tensor:
        """x, what the gates read: ``[T, d_model]`` float64."""
        return self.inputs_of(byte_places(tokens, self.model["places"]))

    def inputs_of(self, seen: Tensor) -> Tensor:
        """The same, from what `byte_places` gave."""
        vectors, hidden, out = self._trunk
        return (vectors[seen].flatten(1) @ hidden).relu() @ out

    def logits(
        self, tokens: Sequence[str], num_experts: int, *, temperature: float = 1.0
    ) -> Tensor:
        """``x W / temperature``, ``[T, E]`` float64."""
        return self.inputs(tokens) @ self.gate(num_experts) / temperature

    def noisy_logits(
        self,
        tokens: Sequence[str],
        num_experts: int,
        *,
        temperature: float = 1.0,
        noise: float = 0.0,
        jitter_noise: float = 0.0,
        seed: int = 0,
    ) -> Tensor:
        """The logits with the noise of training on them, ``[T, E]`` float64.

        Args:
            noise: standard deviation of the normal noise on the logits. The router of
                2017 learns it; here it is set.
            jitter_noise: x is multiplied by U[1 - jitter_noise, 1 + jitter_noise].
            seed: of both.
        """
        x = self.inputs(tokens)
        jitter = 2 * seeded_uniform(seed, "jitter", x.numel()).view_as(x) - 1
        shaken = x * (1 + jitter_noise * jitter)
        logits = shaken @ self.gate(num_experts) / temperature
        return logits + noise * seeded_noise(seed, len(tokens), num_experts)

    def gate(self, num_experts: int) -> Tensor:
        """W, ``[d_model, E]`` float64.

        Raises:
            ValueError: no gate was trained for so many experts.
        """
        gates = self.model["gates"]
        require_choice("num_experts", str(num_experts), gates)
        return _matrix(gates[str(num_experts)])

    def router(self, name: str, num_experts: int, **settings: Any) -> routers.Router:
        """The library's router with this gate, in eval mode: give it `inputs`.

        Args:
            name: one of `ROUTERS`; "hash" needs `token_ids` as well.
            settings: the router's own arguments; of "hash" only ``seed``.
        """
        kind = ROUTERS[require_choice("router", name, ROUTERS)]
        gate = self.gate(num_experts)
        if name == "hash":
            ids = torch.arange(self.model["vocabulary"])
            router = kind(len(gate), num_experts, len(ids), **settings)
            bits = seeded_bits(settings.get("seed", 0), "hash", ids)
            router.expert_of_token.copy_(bits % num_experts)  # the page has no torch
            return router.eval()
        router = kind(len(gate), num_experts, **settings).double()
        with torch.no_grad():
            router.gate.weight.copy_(gate.T)
        return router.eval()

    def token_ids(self, tokens: Sequence[str]) -> Tensor:
        """``[T]`` int64, a hash of each token's bytes: the hash router's vocabulary."""
        ids = [fnv(token.encode()) % self.model["vocabulary"] for token in tokens]
        return torch.tensor(ids, dtype=torch.int64)

    @cached_property
    def _trunk(self) -> list[Tensor]:
        return [_matrix(self.model[name]) for name in ("bytes", "hidden", "out")]


def _matrix(stored: dict[str, Any]) -> Tensor:
    """Whole numbers of a byte, base64, times a scale: ``[rows, n]`` float64."""
    data = bytearray(base64.b64decode(stored["int8"]))
    values = torch.frombuffer(data, dtype=torch.int8).double() * stored["scale"]
    return values.view(stored["rows"], -1)
