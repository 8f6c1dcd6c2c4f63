"""The palettes: contrast, and experts told apart by readers who see fewer colours."""

import warnings
from itertools import combinations

import numpy as np
import pytest

from moe_lib.figures.palette import (
    BOTH,
    DARK,
    LIGHT,
    PAPER,
    THEMES,
    colour,
    contrast,
    ink_on,
)

with warnings.catch_warnings():  # it asks for packages that nothing here needs
    warnings.simplefilter("ignore")
    import colour as science

# tritanopia is only approximated, it says each time
pytestmark = pytest.mark.filterwarnings("ignore:.*tritanomaly")

VISIONS = (None, "Protanomaly", "Deuteranomaly", "Tritanomaly")
#: Smallest OKLab distance of any two experts, and of neighbours (white, black: 1).
ANY, NEIGHBOURS = 0.085, 0.11


def seen(palette: tuple[str, ...], vision: str | None) -> np.ndarray:
    """OKLab ``[8, 3]`` of the colours for such an eye (Machado et al., 2009)."""
    linear = science.models.eotf_sRGB(
        np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in palette])
    )
    if vision:  # severity 1: the cone is missing
        linear = linear @ science.matrix_cvd_Machado2009(vision, 1.0).T
    xyz = science.RGB_to_XYZ(linear.clip(0, 1), "sRGB")
    return science.XYZ_to_Oklab(xyz)


def distances(palette: tuple[str, ...], vision: str | None) -> dict:
    lab = seen(palette, vision)
    pairs = combinations(range(len(palette)), 2)
    return {(i, j): float(np.linalg.norm(lab[i] - lab[j])) for i, j in pairs}


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("theme", THEMES)
def test_experts_are_told_apart(theme, vision):
    apart = distances(THEMES[theme], vision)
    assert min(apart.values()) >= ANY
    around = [apart[min(i, j), max(i, j)] for i in range(8) for j in [(i + 1) % 8]]
    assert min(around) >= NEIGHBOURS


def test_the_simulation_would_notice():
    """Red and green of one lightness: apart for most, together for deuteranopes."""
    pair = ("#b5651d", "#6b7a10")
    assert distances(pair, None)[0, 1] > ANY
    assert distances(pair, "Deuteranomaly")[0, 1] < ANY


@pytest.mark.parametrize(
    ("palette", "papers"),
    [
        (LIGHT, [PAPER["light"]]),
        (DARK, [PAPER["dark"]]),
        (BOTH, [*PAPER.values(), "#111111"]),
    ],
)
def test_experts_show_on_their_paper(palette, papers):
    assert len(set(palette)) == 8
    for expert in palette:
        for paper in papers:
            assert contrast(expert, paper) >= 3


@pytest.mark.parametrize("expert", sorted({*LIGHT, *DARK, *BOTH}))
def test_letters_show_on_their_expert(expert):
    assert contrast(ink_on(expert), expert) >= 4.5


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.01)
    assert contrast("#123456", "#123456") == 1


def test_colours_repeat_and_letters_go_on():
    assert [colour(e, "light") for e in (0, 7, 8, 17)] == [
        LIGHT[0],
        LIGHT[7],
        LIGHT[0],
        LIGHT[1],
    ]
    assert colour(3) == BOTH[3]
    with pytest.raises(ValueError, match="theme='sepia': choose one of light, dark"):
        colour(0, "sepia")
