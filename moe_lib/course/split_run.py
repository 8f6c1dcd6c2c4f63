"""What `moe_lib.course.split_experts` found, for a notebook."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

import torch
from torch import Tensor

from moe_lib.checks import require_choice
from moe_lib.course.table import Table
from moe_lib.course.traffic_remedies import D_MODEL, Remedy
from moe_lib.notation import bytes_text
from moe_lib.recorder import Event

TRAVELS = ("dispatch", "combine")


@dataclass(frozen=True)
class Tried:
    """A remedy and what was measured of it; a number for each batch.

    crossing: bytes that went from one rank to another, forward and backward.
    travelling: seconds of a rank's exchanges, mean over ranks, without its waiting.
    step: seconds of the whole step, forward and backward, of the slowest rank.
    converting: seconds of a rank for packing and unpacking, mean over ranks.
    output_distance, gradient_distance: root mean square of the change, of the outputs
    and of the tokens' gradient, over that of the plain layer's.
    """

    remedy: Remedy
    crossing: list[int]
    travelling: list[float]
    step: list[float]
    converting: list[float]
    output_distance: list[float]
    gradient_distance: list[float]


@dataclass(frozen=True, eq=False, repr=False)
class SplitRun:
    """One run of the script.

    tokens: of each rank. differences: what was compared -> the largest difference to
    one process, over the largest entry. tried: the plain layer and each remedy.
    typical: of the plain layer's steps that of median length, as the script noted it.
    """

    tokens: list[int]
    differences: dict[str, float]
    tried: list[Tried]
    typical: dict[str, Any]

    @classmethod
    def from_file(cls, path: str | Path) -> SplitRun:
        """Read what the script wrote."""
        found = json.loads(Path(path).read_text())
        remedies = [Remedy(**told) for told in found["remedies"]]
        of = {
            remedy.name: [s for s in found["steps"] if s["remedy"] == remedy.name]
            for remedy in remedies
        }
        ordered = sorted(of[remedies[0].name], key=_seconds)
        tried = [_tried(remedy, of[remedy.name]) for remedy in remedies]
        middle = ordered[len(ordered) // 2]
        return cls(found["tokens"], found["differences"], tried, middle)

    def __repr__(self) -> str:
        told = ", ".join(map(str, self.tokens))
        return f"{len(self.tokens)} ranks with {told} tokens"

    @property
    def events(self) -> list[Event]:
        """Of the typical step."""
        return [Event(*event) for event in self.typical["events"]]

    @property
    def rows(self) -> Tensor:
        """``[R, R]`` int64: rows that a rank (row) has for the experts of another."""
        return torch.tensor(self.typical["rows"])

    def traffic(self, kind: str) -> Tensor:
        """``[R, R]`` int64: bytes of the typical step as the ranks sent them."""
        return torch.tensor(
            self.typical["traffic"][require_choice("kind", kind, TRAVELS)]
        )

    def calculated(self, kind: str) -> Tensor:
        """``[R, R]`` int64: the same by arithmetic, rows x d_model x 4 bytes x 2.

        Twice: a row goes forward, and in the backward pass a gradient goes the same
        way. What is combined goes the other way round.
        """
        size = 2 * 4 * D_MODEL * self.rows
        return size if require_choice("kind", kind, TRAVELS) == "dispatch" else size.T

    @property
    def same(self) -> Table:
        """How far several processes are from one."""
        rows = [(name, f"{worst:.1e}") for name, worst in self.differences.items()]
        head = ("compared", "largest difference / largest entry")
        return Table(head, rows, f"one process and {self!r}, compared")

    @property
    def remedies(self) -> Table:
        """What each remedy sends, takes and changes; medians (quartiles)."""
        rows = []
        for tried in self.tried:
            remedy, limit = tried.remedy, self.pays_below(tried)
            near = remedy.d_ff == self.tried[0].remedy.d_ff  # the same experts
            moved = (tried.output_distance, tried.gradient_distance)
            row = (
                remedy.name,
                bytes_text(median(tried.crossing)),
                spread(tried.travelling, 1e3),
                spread(tried.step, 1e3),
                remedy.change,
                *(spread(distances, 100) if near else "-" for distances in moved),
                "-" if limit is None else _short(limit / 1e9),
            )
            rows.append(row)
        head = ("", "bytes that cross", "travelling, ms", "whole step, ms", "function",
                "outputs move, %", "gradients, %", "pays below, GB/s")  # fmt: skip
        return Table(head, rows, f"{len(rows) - 1} remedies, {self!r}")

    @property
    def payloads(self) -> dict[str, tuple[float, float]]:
        """For `moe_lib.figures.remedies.payload_bargain`: a rank's means in a step."""
        return {
            tried.remedy.payload.replace("same", "float32"): (
                median(tried.crossing) / len(self.tokens),
                median(tried.converting),
            )
            for tried in self.tried
            if tried.remedy.change in ("itself", "rounded")
        }

    def pays_below(self, tried: Tried) -> float | None:
        """Bytes per second that a rank's link must stay below for a payload to pay.

        What a rank sends less, over the seconds of its conversion, both means over
        ranks; None where nothing is converted.
        """
        seconds = len(self.tokens) * median(tried.converting)
        saved = median(self.tried[0].crossing) - median(tried.crossing)
        return saved / seconds if seconds else None


def spread(values: Sequence[float], times: float = 1.0) -> str:
    """Median and quartiles of ``times`` the values, as "1.2 (1.1 to 1.4)"."""
    points = (
        quantiles(values, method="inclusive") if len(values) > 1 else [values[0]] * 3
    )
    low, middle, high = (_short(times * value) for value in points)
    return middle if low == high else f"{middle} ({low} to {high})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _tried(remedy: Remedy, steps: list[dict[str, Any]]) -> Tried:
    def of_all(measure: Callable[[dict[str, Any]], float]) -> list:
        return [measure(step) for step in steps]

    return Tried(
        remedy,
        crossing=of_all(_crossing),
        travelling=of_all(_travelling),
        step=of_all(_seconds),
        converting=of_all(lambda step: mean(step["converting"])),
        output_distance=of_all(lambda step: step["distances"][0]),
        gradient_distance=of_all(lambda step: step["distances"][1]),
    )


def _seconds(step: dict[str, Any]) -> float:
    return max(end for _, _, _, end in step["events"])  # from a common zero


def _travelling(step: dict[str, Any]) -> float:
    total = sum(
        end - start for _, kind, start, end in step["events"] if kind in TRAVELS
    )
    return total / len(step["rows"])


def _crossing(step: dict[str, Any]) -> int:
    sent = sum(torch.tensor(matrix) for matrix in step["traffic"].values())
    return int(sent.sum() - sent.trace())
