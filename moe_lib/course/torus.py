"""Experts split over devices, by calculation: bytes, hops and seconds of an all-to-all.

GShard (Lepikhin et al., 2020, section 5.3) argues so: at a fixed number of tokens on
each of D devices the data grow with D, a torus has links in proportion to D, but a row
has about sqrt(D) of them to cross, so the time grows with sqrt(D). Here the hops are
counted. Nothing is sent.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from moe_lib.checks import require_choice, require_count, require_positive

NETWORKS = ("torus", "switch")
#: Journeys of a step: dispatch and combine, forward and backward.
JOURNEYS = 4
#: Times the forward arithmetic of a step: backward does it twice.
PASSES = 3


def torus_shape(devices: int) -> tuple[int, int]:
    """Rows and columns of the torus of so many devices that is nearest to a square."""
    require_count("devices", devices)
    rows = math.isqrt(devices)
    while devices % rows:
        rows -= 1
    return rows, devices // rows


def mean_hops(devices: int) -> float:
    """Links between two devices of the torus on average, a device with itself included.

    A ring of n has a mean distance of n / 4, or (n - 1 / n) / 4 where n is odd; rows
    and columns add up.
    """
    return sum(n * n // 4 / n for n in torus_shape(devices))


def links_out(devices: int) -> int:
    """Links on which a device can send at once: 4 on a torus, fewer in short rings."""
    return sum(min(n - 1, 2) for n in torus_shape(devices))


def walked_hops(devices: int) -> float:
    """`mean_hops`, found by walking over the links from one device to all others."""
    rows, columns = torus_shape(devices)
    hops = {(0, 0): 0}
    waiting = deque(hops)
    while waiting:
        here = waiting.popleft()
        for place in _neighbours(here, rows, columns):
            if place not in hops:
                hops[place] = hops[here] + 1
                waiting.append(place)
    return sum(hops.values()) / devices


def _neighbours(
    place: tuple[int, int], rows: int, columns: int
) -> Iterator[tuple[int, int]]:
    i, j = place
    for step in (1, -1):
        yield (i + step) % rows, j
        yield i, (j + step) % columns


def load_of_a_link(devices: int, network: str = "torus") -> float:
    """What a link carries, in units of a device's buffer, if all links share alike.

    D buffers go mean_hops links far each, on D times links_out links. Behind a switch
    every device has one link, which carries all but what stays at home.

    Raises:
        ValueError: an unknown network.
    """
    if require_choice("network", network, NETWORKS) == "switch":
        return 1 - 1 / require_count("devices", devices)
    return mean_hops(devices) / max(links_out(devices), 1)


def all_to_all_seconds(
    buffer_bytes: float,
    devices: int,
    bandwidth: float,
    latency: float = 0.0,
    network: str = "torus",
) -> float:
    """Latency and bandwidth of one all-to-all ("alpha-beta").

    Args:
        buffer_bytes: of a device, an equal part for every device, its own included.
        bandwidth: bytes a second of a link, in one direction.
        latency: seconds to start a message; a device starts one to each other device.
        network: "torus", or "switch".

    Raises:
        ValueError: a bandwidth that is not above 0; an unknown network.
    """
    require_positive("bandwidth", bandwidth)
    travelling = buffer_bytes * load_of_a_link(devices, network) / bandwidth
    return latency * (devices - 1) + travelling


@dataclass(frozen=True)
class SplitLayer:
    """An MoE layer whose experts are shared out over devices; loads are taken as even.

    Attributes:
        devices: D. num_experts: in all. tokens: of each device, to ``top_k`` experts.
        capacity_factor: slots for each row that asks; 1 also stands for buffers
            without padding, in which only the rows themselves travel.
        width: bytes of a number.
    """

    devices: int
    num_experts: int
    top_k: int
    tokens: int
    d_model: int
    d_ff: int
    width: int = 4
    capacity_factor: float = 1.0

    @property
    def rows(self) -> float:
        """Slots that a device fills, and as many that its experts work through."""
        return self.top_k * self.capacity_factor * self.tokens

    @property
    def buffer_bytes(self) -> float:
        """Of a device, for one journey, with the part that stays at home."""
        return self.rows * self.d_model * self.width

    @property
    def home_bytes(self) -> float:
        """The part of a buffer whose experts live on the same device."""
        return self.buffer_bytes / self.devices

    @property
    def sent_bytes(self) -> float:
        """What leaves a device in one journey; a step has `JOURNEYS`."""
        return self.buffer_bytes - self.home_bytes

    @property
    def expert_bytes(self) -> float:
        """Weights of all experts."""
        return self.num_experts * 2 * self.d_model * self.d_ff * self.width

    @property
    def held_bytes(self) -> float:
        """Weights of the experts of one device."""
        return self.expert_bytes / self.devices

    @property
    def all_reduce_bytes(self) -> float:
        """What leaves a device instead if each has all experts and their gradients are
        summed, around a ring: each part goes round twice, to be summed and to be told.
        """
        return 2 * (1 - 1 / self.devices) * self.expert_bytes

    @property
    def flops(self) -> float:
        """Of a device's experts, forward; a step has `PASSES` times as many."""
        return self.rows * 2 * 2 * self.d_model * self.d_ff
