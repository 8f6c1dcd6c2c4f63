"""Bytes with domain labels, and the windows that a language model sees of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from moe_lib.checks import require_count

# The held-out predictions: per domain, this many stretches of this many bytes.
STRETCHES, STRETCH = 64, 128


@dataclass(frozen=True)
class Span:
    """What a model sees and predicts of a window of bytes.

    ``before`` bytes that it only sees, then ``predicted`` ones, then ``after`` more
    that it sees. ``Span(12)``: the next byte after 12. ``Span(1, 64)``: every next
    byte of a sequence, as a transformer does. ``Span(6, after=6)``: the byte in the
    middle, masked.
    """

    before: int
    predicted: int = 1
    after: int = 0

    def __post_init__(self) -> None:
        require_count("before", self.before)
        require_count("predicted", self.predicted)
        require_count("after", self.after, minimum=0)
        if self.after and self.predicted > 1:
            raise ValueError(
                f"predicted={self.predicted} with after={self.after}: a masked span"
                " predicts 1 byte"
            )
        if STRETCH % self.predicted:
            raise ValueError(
                f"predicted={self.predicted}: give a divisor of {STRETCH}, so that"
                " every model is measured on the same bytes"
            )

    @property
    def length(self) -> int:
        """Bytes in a window."""
        return self.before + self.predicted + self.after

    def split(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """``[N, length]`` -> inputs ``[N, length - 1]``, targets ``[N, predicted]``.

        Of a sequence the model sees all but the last byte, its targets are all but
        the first ``before``; of a masked window it sees all but the target.
        """
        targets = windows[:, self.before : self.before + self.predicted]
        if self.after:
            left, right = windows[:, : self.before], windows[:, self.before + 1 :]
            return torch.cat([left, right], dim=1), targets
        return windows[:, :-1], targets


@dataclass(frozen=True, eq=False)
class DomainText:
    """D domains, equally many bytes of each.

    train ``[D, n]`` and heldout ``[D, m]``: uint8. domains: D names.
    sha256: of each domain's bytes, both parts.
    """

    train: Tensor
    heldout: Tensor
    domains: tuple[str, ...]
    sha256: tuple[str, ...]

    def __repr__(self) -> str:
        lines = [
            f"{name:<8} {self.train.shape[1]:>9} bytes to learn from,"
            f" {self.heldout.shape[1]:>7} held out, sha256 {digest[:12]}"
            for name, digest in zip(self.domains, self.sha256, strict=True)
        ]
        return "\n".join(lines)

    def to(self, device: torch.device | str) -> DomainText:
        """The same bytes on another device."""
        train, heldout = self.train.to(device), self.heldout.to(device)
        return replace(self, train=train, heldout=heldout)

    def only(self, domain: str) -> DomainText:
        """One domain alone.

        Raises:
            ValueError: there is no such domain.
        """
        if domain not in self.domains:
            raise ValueError(
                f"domain {domain!r} is unknown: choose from {', '.join(self.domains)}"
            )
        i = self.domains.index(domain)
        pick = slice(i, i + 1)
        return DomainText(
            self.train[pick], self.heldout[pick], (domain,), self.sha256[pick]
        )

    def windows(
        self, size: int, length: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Random training windows: bytes ``[size, length]``, domain ``[size]``, int64.

        Domains and places are uniform. The generator is on the bytes' device.
        """
        num_domains, n = self.train.shape
        if require_count("length", length) > n:
            raise ValueError(f"length={length}: there are {n} bytes, ask for fewer")
        where = {"generator": generator, "device": self.train.device}
        domain = torch.randint(num_domains, (size,), **where)
        start = torch.randint(n - length + 1, (size,), **where)
        return _windows_at(self.train, domain, start, length), domain

    def heldout_windows(self, span: Span) -> Tensor:
        """``[D, 8192 / span.predicted, span.length]`` int64, always the same ones.

        Whatever the span, the predicted bytes are the same 8,192 of each domain: 64
        stretches of 128, spread evenly.

        Raises:
            ValueError: fewer held-out bytes than that needs.
        """
        num_domains, m = self.heldout.shape
        gap = m // STRETCHES
        margin = (gap - STRETCH) // 2  # bytes around each stretch that are its own
        if max(span.before, span.after) > margin:
            raise ValueError(
                f"{m} held-out bytes are too few for {span}: load more text"
            )
        device = self.heldout.device
        stretch = gap * torch.arange(STRETCHES, device=device) + margin
        inside = torch.arange(0, STRETCH, span.predicted, device=device)
        start = (stretch[:, None] + inside - span.before).flatten()
        domain = torch.arange(num_domains, device=device).repeat_interleave(len(start))
        start = start.repeat(num_domains)
        windows = _windows_at(self.heldout, domain, start, span.length)
        return windows.view(num_domains, -1, span.length)


def _windows_at(text: Tensor, row: Tensor, start: Tensor, length: int) -> Tensor:
    every = text.view(-1).unfold(0, length, 1)  # all windows there are, a view
    return every.index_select(0, row * text.shape[1] + start).long()
