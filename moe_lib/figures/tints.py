"""Expert colours, fainter: as rgba words and as colour scales for plotly."""

from __future__ import annotations

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
