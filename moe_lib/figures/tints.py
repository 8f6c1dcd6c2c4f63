"""Expert colours, fainter: as rgba words for plotly, and as a picture of pixels."""

from __future__ import annotations

import base64
import struct
import zlib

import torch
from torch import Tensor

from moe_lib.figures.palette import colour

#: Share -> opacity: small shares are lifted, or they would be lost on the page.
OPACITY = {0.0: 0.04, 0.25: 0.36, 0.5: 0.6, 1.0: 1.0}


def rgb(hexadecimal: str) -> tuple[int, int, int]:
    """``#rrggbb`` as three numbers, 0 to 255."""
    return tuple(int(hexadecimal[k : k + 2], 16) for k in (1, 3, 5))


def faded(hexadecimal: str, opacity: float) -> str:
    """The colour as plotly's rgba()."""
    return f"rgba{(*rgb(hexadecimal), opacity)}"


def expert_scale(num_experts: int, theme: str) -> list:
    """A plotly colour scale that holds a scale for each expert, one after the other.

    The value e + p with 0 <= p < 1, in a range from 0 to E, is the colour of expert e,
    the deeper the larger p: so one heat map tints every column in its own colour.
    """
    return [
        [(e + p) / num_experts, faded(colour(e, theme), opacity)]
        for e in range(num_experts)
        for p, opacity in OPACITY.items()
    ]


def tinted_image(owner: Tensor, opacity: Tensor, theme: str) -> str:
    """A PNG as a data URI: each pixel the colour of its owner.

    Args:
        owner: ``[H, W]`` int64, an expert for each pixel, top row first.
        opacity: ``[H, W]``, 0 to 1.
    """
    experts = range(int(owner.max()) + 1)
    colours = torch.tensor([rgb(colour(e, theme)) for e in experts])
    alpha = (255 * opacity).round().long().unsqueeze(2)
    pixels = torch.cat((colours[owner], alpha), dim=2).to(torch.uint8)  # [H, W, 4]
    height, width = owner.shape
    lines = torch.nn.functional.pad(pixels.flatten(1), (1, 0))  # 0: no filter
    header = struct.pack(">2I5B", width, height, 8, 6, 0, 0, 0)
    body = zlib.compress(lines.numpy().tobytes(), 9)
    png = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(kind + data))
        png += struct.pack(">I", len(data)) + kind + data + check
    return "data:image/png;base64," + base64.b64encode(png).decode()
