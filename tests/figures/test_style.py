"""The house style keeps its promises: contrast in both themes, alt text required."""

import pytest

from moe_lib.figures.style import INK, ON_BOTH, figure


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" (WCAG 2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    )
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("paper", ["#ffffff", "#161923", "#111111"])
@pytest.mark.parametrize("colour", [*ON_BOTH, INK])
def test_colours_show_on_light_and_dark(colour, paper):
    dark, light = sorted((luminance(colour), luminance(paper)))
    assert (light + 0.05) / (dark + 0.05) >= 3


def test_a_figure_without_alt_text_is_refused():
    with pytest.raises(ValueError, match="alt is empty: say in a sentence"):
        figure(alt=" ")
    assert figure(alt="a line").layout.meta["alt"] == "a line"
