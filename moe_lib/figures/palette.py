"""Colours of the experts: the same in every figure, widget and chapter.

Lightness alternates around the hue circle, which keeps neighbours apart for
colour-blind readers as well; even so a colour is never alone, a letter or a place goes
with it. ``widgets/js/kit.js`` has the same LIGHT and DARK; a test compares them.
"""

from __future__ import annotations

from moe_lib.checks import require_choice

LIGHT = ("#7e1f26", "#df7b1a", "#656c00", "#28a789",
         "#2c71b3", "#3d25b9", "#b968fa", "#b51275")  # fmt: skip
DARK = ("#f0713c", "#fab12a", "#ecf262", "#3fdb9b",
        "#9ff7f6", "#5388f7", "#c7abf5", "#b4769c")  # fmt: skip
#: For a figure that must serve both themes: contrast >= 3 on white and on near-black.
BOTH = ("#b14d65", "#c38719", "#5c6d02", "#47a575",
        "#2963bf", "#a07efe", "#9317fb", "#ef59c0")  # fmt: skip
#: The page under a figure, by theme; "both" is transparent.
PAPER = {"light": "#ffffff", "dark": "#161923"}
THEMES = {"light": LIGHT, "dark": DARK, "both": BOTH}


def colour(expert: int, theme: str = "both") -> str:
    """The expert's colour as ``#rrggbb``; eight colours, which repeat.

    Raises:
        ValueError: an unknown theme.
    """
    require_choice("theme", theme, THEMES)
    return THEMES[theme][expert % 8]


def ink_on(background: str) -> str:
    """Black or white for letters on ``#rrggbb``, whichever contrasts more.

    The better of the two has a contrast of 4.5 at least, on any colour.
    """
    return max("#000000", "#ffffff", key=lambda ink: contrast(ink, background))


def contrast(one: str, other: str) -> float:
    """Contrast of two ``#rrggbb``, 1 to 21 (WCAG 2)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(rgb: str) -> float:
    """Relative luminance, 0 of black to 1 of white (WCAG 2)."""
    parts = [int(rgb[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    )
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
