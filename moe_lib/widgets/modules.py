"""The ES modules of the views, each put together from the files in ``js``.

Nothing of moe_lib is imported here: the tools run this file on its own.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).with_name("js")
_PARTS = {
    "player": ("kit", "player"),
    "playground": ("kit", "routing", "playground"),
    "calculator": ("kit", "calculation", "parallel", "calculator"),
}


@cache
def module_text(name: str) -> str:
    """The module as text, without comments and indentation.

    It imports nothing, so every host can take it as it is.

    Args:
        name: "player", "playground" or "calculator".

    Raises:
        ValueError: there is no such module.
    """
    if name not in _PARTS:
        raise ValueError(f"name={name!r}: choose one of {', '.join(_PARTS)}")
    parts = _PARTS[name]
    text = "\n".join((_FOLDER / f"{part}.js").read_text("utf-8") for part in parts)
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"(^| +)// .*", "", text, flags=re.M))
