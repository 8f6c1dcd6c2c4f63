"""``$...$`` and ``$$...$$`` in Markdown become MathML, so the book needs no script.

Code spans and fenced blocks are left alone. As in Jupyter, a ``$`` opens inline
mathematics only when no space follows it, so that prices stay prices.
"""

from __future__ import annotations

import re

from latex2mathml.converter import convert

PIECES = re.compile(
    r"(?P<code>^[ ]*(?P<fence>```+|~~~+).*?^[ ]*(?P=fence)|(?P<tick>`+).+?(?P=tick))"
    r"|\\\$"
    r"|\$\$(?P<display>.+?)\$\$"
    r"|\$(?P<inline>(?!\s)[^$]+?(?<!\s))\$(?!\d)",
    re.DOTALL | re.MULTILINE,
)
#: What Markdown could take for its own inside a MathML text node.
SPECIAL = re.compile(r"[*_|\[\]\\`~!]")


class MathError(ValueError):
    """A formula that latex2mathml cannot read."""


def mathml(formula: str, display: str) -> str:
    """One formula as MathML on one line, safe inside Markdown; raises MathError."""
    try:
        text = convert(formula.strip(), display=display)
    except Exception as error:
        raise MathError(f"cannot read the formula {formula!r}: {error!r}") from None
    text = re.sub(r">\\([lr]?Vert|\|)<", ">\u2016<", text)  # it leaves \Big\lVert so
    if unknown := re.search(r"\\[a-zA-Z]+", text):  # it passes commands through
        raise MathError(f"{unknown[0]} in the formula {formula!r} is not understood")
    return re.sub(
        r">([^<]+)<",
        lambda m: ">" + SPECIAL.sub(lambda c: f"&#{ord(c[0])};", m[1]) + "<",
        text.replace("\n", " "),
    )


def with_mathml(markdown: str) -> str:
    """Markdown with its formulas replaced; raises MathError."""

    def piece(match: re.Match) -> str:
        if match["display"]:
            formula = mathml(match["display"], "block")
            return f'<span class="formula">{formula}</span>'
        if match["inline"]:
            return mathml(match["inline"], "inline")
        return match[0]

    return PIECES.sub(piece, markdown)
