"""One sentence through two routers of the reader's choice: two sliders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from moe_lib.checks import require_choice
from moe_lib.course.byte_names import readable
from moe_lib.course.compare_routers import Reading
from moe_lib.figures.words import counted
from moe_lib.notation import letter

LINE = 20  # bytes: more than that, and letters touch on a phone
MOST = 2  # letters under a byte
HIGH = 1.5 + 0.9 * MOST  # of a line, in rows: the byte, its letters, a gap
FOOT = 4  # rows for the load below the text
WORST = 8  # bits of a byte that all are as likely as


def compare_scene(
    sentence: str,
    readings: Mapping[str, Reading],
    *,
    left: str | None = None,
    title: str = "What do two routers make of one sentence?",
) -> dict:
    """A Player scene: two sliders choose who reads on the left and on the right.

    Each model's layers are stored once.

    Args:
        sentence: what was read, `read_with`'s. readings: name -> what that found.
        left: who opens on the left, None: the first; on the right it is the last.

    Raises:
        ValueError: an unknown name; a sentence of other bytes than was read.
    """
    names = list(readings)
    values = list(sentence.encode())[: len(next(iter(readings.values())).experts)]
    if any(len(one.experts) != len(values) for one in readings.values()):
        raise ValueError(
            f"sentence={sentence!r} has {len(values)} bytes, others were read: give the"
            " one that read_with was given"
        )
    left = require_choice("left", left or names[0], names)
    shown = [_character(value) for value in values]
    lines = -(-len(values) // LINE)
    top = HIGH * lines
    panel = {
        "layers": [{"type": "text", "x": n % LINE + 0.5, "y": _row(n), "text": char,
                    "anchor": "middle", "front": True}
                   for n, char in enumerate(shown)],
        "x": {"range": [0, LINE], "ticks": []},
        "y": {"range": [top + FOOT, -0.2], "ticks": []},
    }  # fmt: skip
    most = max(max(one.load, default=0) for one in readings.values()) or 1
    shared = [_text(one, top, most) for one in readings.values()]
    for dash in (False, True):
        shared += [_bits(one, dash) for one in readings.values()]
    k = len(names)
    states = [
        [
            {
                "panels": [[i], [j], [k + i, 2 * k + j]],
                "readout": [["bits per byte, left", _mean(readings[names[i]])],
                            ["right", _mean(readings[names[j]])]],
                "caption": f"Left, {names[i]}: {_story(readings[names[i]])}."
                f" Right, {names[j]}: {_story(readings[names[j]])}.",
            }
            for i in range(k)
        ]
        for j in reversed(range(k))
    ]  # fmt: skip
    return {
        "title": title,
        "alt": f"{counted(len(values), 'byte')} of text twice, under each byte the"
        " letters of the experts that read it, chosen by two routers; below, how many"
        " bytes each expert reads and the bits of each byte. "
        + " ".join(f"{name}: {_story(one)}." for name, one in readings.items()),
        "caption": "Under a byte: the experts that read it, + for two or more; the tint"
        " is the first one's, deeper for a larger weight. Struck out: nobody reads it."
        " Hollow: it asked, and there was no room. Below: how many bytes each expert"
        " reads.",
        "slider": {"label": "left", "values": names},
        "variants": {"label": "right", "names": names[::-1], "slider": True},
        "start": names.index(left),
        "play": False,
        "panels": [
            {"title": "The left one", "weight": 1, **panel},
            {"title": "The right one", "weight": 1, **panel},
            {"title": "How hard is each byte? Solid: left, dashed: right",
             "weight": 0.3, "layers": [],
             "x": {"label": "byte", "range": [0, len(values) + 1]},
             "y": {"label": "bits", "range": [0, _ceiling(readings)]}},
        ],
        "shared": shared,
        "states": states,
    }  # fmt: skip


def _row(byte: int) -> float:
    return HIGH * (byte // LINE) + 0.5


def _character(value: int) -> str:
    return readable([value]) if value < 0x80 else "·"


def _text(one: Reading, top: float, most: float) -> list[dict]:
    """Tints, letters, what was refused and what nobody reads; the load below."""
    return [*_tints(one), *_letters(one), *_load(one, top, most)]


def _tints(one: Reading) -> Iterator[dict]:
    for first in range(0, len(one.experts), LINE):
        row = one.experts[first : first + LINE]
        if not any(row):
            continue
        y = _row(first)
        yield {
            "type": "regions", "x": [0, len(row)], "y": [y - 0.5, y + 0.6],
            "nx": len(row), "ny": 1, "letters": False,
            "owner": "".join(str(e[0][0] % 8) if e else "." for e in row),
            "strength": "".join(
                str(min(9, int(10 * e[0][1]))) if e else "0" for e in row
            ),
        }  # fmt: skip


def _letters(one: Reading) -> Iterator[dict]:
    hollow = {"x": [], "y": [], "color": []}
    for n, served in enumerate(one.experts):
        x, y = n % LINE + 0.5, _row(n)
        shown = served if len(served) <= MOST else served[: MOST - 1]
        places = [y + 1.1 + 0.9 * k for k in range(MOST)]
        for (expert, _), at in zip(shown, places, strict=False):
            yield _word(x, at, letter(expert), expert)
        if len(shown) < len(served) and not one.everybody:
            yield _word(x, places[-1], "+", "ink")
        for expert, at in zip(one.refused[n], places[len(shown) :], strict=False):
            hollow["x"].append(x)
            hollow["y"].append(at)
            hollow["color"].append(expert % 8)
    if hollow["x"]:
        yield {"type": "points", **hollow, "hollow": [True] * len(hollow["x"])}
    for n in one.unserved:
        x, y = n % LINE, _row(n)
        yield {"type": "line", "x": [x + 0.1, x + 0.9], "y": [y + 0.3, y - 0.3],
               "color": "accent", "front": True}  # fmt: skip


def _load(one: Reading, top: float, most: float) -> Iterator[dict]:
    """A bar for each expert, of the same scale whoever reads."""
    if not one.num_experts:
        yield _word(LINE / 2, top + FOOT / 2, "no experts: all bytes alike", "muted")
    wide = LINE / max(1, one.num_experts)
    floor = top + FOOT - 1.2
    for e, bytes_read in enumerate(one.load):
        x = [wide * (e + 0.12), wide * (e + 0.88)]
        tip = floor - (FOOT - 1.6) * bytes_read / most
        yield {"type": "band", "x": x, "low": [floor] * 2, "high": [tip] * 2,
               "color": e % 8, "opacity": 0.9}  # fmt: skip
        if e % max(1, one.num_experts // 8) == 0:
            yield _word(wide * (e + 0.5), floor + 0.6, letter(e), e)


def _word(x: float, y: float, text: str, color: int | str) -> dict:
    colour = color % 8 if isinstance(color, int) else color
    return {"type": "text", "x": x, "y": y, "text": text, "anchor": "middle",
            "color": colour}  # fmt: skip


def _bits(one: Reading, dash: bool) -> list[dict]:
    told = [(n + 1, b) for n, b in enumerate(one.bits.tolist()) if b == b]
    return [{"type": "line", "x": [n for n, _ in told], "y": [b for _, b in told],
             "color": "accent" if dash else "ink", "dash": dash,
             "width": 1.6}]  # fmt: skip


def _ceiling(readings: Mapping[str, Reading]) -> float:
    highest = max(one.bits.nan_to_num(0).max().item() for one in readings.values())
    return max(WORST, highest)


def _mean(one: Reading) -> str:
    return f"{one.bits.nanmean():.2f}"


def _story(one: Reading) -> str:
    if not one.num_experts:
        return "no experts"
    if one.everybody:
        return f"all {one.num_experts} experts read every byte"
    rows = [len(served) for served in one.experts]
    late = sum(map(len, one.refused))
    each = f"{min(rows)} to {max(rows)}" if min(rows) < max(rows) else str(rows[0])
    told = f"{counted(len(one.unserved), 'byte')} unread, experts of each {each}"
    return f"{told}, {late} too late" if late else told
