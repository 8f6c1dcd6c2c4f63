"""Cores in n rows and m columns: the weights and tokens of each, and what travels."""

from __future__ import annotations

from moe_lib.course.who_holds_what import Layout, megabytes
from moe_lib.figures.words import counted
from moe_lib.notation import letter

CORES = (2, 4, 8)
LANE = 0.3  # of a core's height: its tokens; its weights are below
EDGE = 0.03  # between two cores


def who_holds_what_scene(
    cores: int = 8, *, tokens: int = 8192, d_model: int = 768, d_ff: int = 3072
) -> dict:
    """A Player scene: one slider cuts the cores into rows and columns, one sets E.

    Every core is a box: above, its tokens as discs in the colours of their experts;
    below, its slice of the weights of each expert that it holds.

    Args:
        cores: N = n m: 2, 4 or 8. tokens: of a batch; a disc is N-th of them.
        d_model, d_ff: of the layer, for the numbers; float32.

    Raises:
        ValueError: another number of cores; sizes that do not divide.
    """
    if cores not in CORES:
        raise ValueError(f"cores={cores}: give 2, 4 or 8, more cannot be read")
    powers = [2**k for k in range(cores.bit_length())]
    cuts = [(n, cores // n) for n in reversed(powers)]
    sizes = dict(tokens=tokens, d_model=d_model, d_ff=d_ff)
    layouts = [[Layout(n, m, e, **sizes) for n, m in cuts] for e in powers]
    last, first = layouts[-1][0], layouts[0][0]
    return {
        "title": "Who holds what, and what travels?",
        "alt": f"{cores} cores in n rows and m columns, as boxes with their tokens and"
        f" their slices of the experts' weights. {_told(first)} {_told(last)}",
        "caption": "A box is a core. Discs are its tokens, in the colours of their"
        " experts; bars are its slice of the weights of each expert that it holds.",
        "slider": {"label": "n rows \u00d7 m columns",
                   "values": [f"{n} \u00d7 {m}" for n, m in cuts]},
        "variants": {"label": "experts E", "names": [str(e) for e in powers],
                     "slider": True},
        "start": 0,
        "play": False,
        "panels": [
            {"title": f"{cores} cores", "layers": [],
             "x": {"range": [-0.07, 1.12], "ticks": []},
             "y": {"range": [1.01, -0.01], "ticks": []}},
        ],
        "legend": [
            {"shape": "disc", "text": "token"},
            {"shape": "disc", "hollow": True,
             "text": "its place at an expert in another row: all-to-all"},
            {"shape": "triangle", "text": "partial sums: all-reduce along the row"},
            {"line": "dash", "text": "copies of an expert: all-reduce of gradients"},
        ],
        "states": [[_state(layout) for layout in row] for row in layouts],
    }  # fmt: skip


def expert_of(token: int, num_experts: int) -> int:
    """Where the drawn tokens go: evenly, and mostly to another row."""
    return (3 * token + 1) % num_experts


def _state(layout: Layout) -> dict:
    sent = layout.sent_bytes
    return {
        "panels": [[
            *_boxes(layout), *_weights(layout), *_copies(layout), *_sums(layout),
            *_journeys(layout),
        ]],
        "readout": [
            ["a core holds", f"{megabytes(layout.held_bytes)} MB"],
            ["all experts", f"{megabytes(layout.weights * layout.width)} MB"],
            ["leaves a core in a step: tokens", f"{megabytes(sent['tokens'])} MB"],
            ["partial sums", f"{megabytes(sent['partial sums'])} MB"],
            ["gradients", f"{megabytes(sent['gradients'])} MB"],
        ],
        "caption": _told(layout),
    }  # fmt: skip


def _told(layout: Layout) -> str:
    """The state in words."""
    n, m = layout.rows, layout.columns
    told = (
        f"{n} \u00d7 {m}, {counted(layout.num_experts, 'expert')} ({layout.strategy}):"
        f" a row has {_part(n)} of the tokens, a column {_part(m)} of each expert."
    )
    if layout.copies > 1:
        return told + f" {layout.copies} copies of each expert sum their gradients."
    if layout.group > 1:
        return told + " An expert stands in one row: tokens travel, its gradients not."
    return told


def _part(parts: int) -> str:
    return f"1/{parts}" if parts > 1 else "all"


def _box(layout: Layout, row: int, column: int) -> tuple[float, float, float, float]:
    """Left, right, top, bottom of a core."""
    wide, high = 1 / layout.columns, 1 / layout.rows
    return (column * wide + EDGE / 4, (column + 1) * wide - EDGE / 4,
            row * high + EDGE / 4, (row + 1) * high - EDGE / 4)  # fmt: skip


def _strips(layout: Layout, row: int) -> dict[int, tuple[float, float]]:
    """Expert -> top and bottom of its bar in this row of cores."""
    _, _, top, bottom = _box(layout, row, 0)
    experts = layout.share(row, 0).experts
    start = top + LANE * (bottom - top)
    each = (bottom - start) / len(experts)
    return {
        e: (start + k * each, start + (k + 0.9) * each) for k, e in enumerate(experts)
    }


def _cores(layout: Layout) -> list[tuple[int, int]]:
    return [(i, j) for i in range(layout.rows) for j in range(layout.columns)]


def _boxes(layout: Layout) -> list[dict]:
    layers = []
    for core in _cores(layout):
        left, right, top, bottom = _box(layout, *core)
        layers.append({"type": "line", "color": "muted", "width": 1,
                       "x": [left, right, right, left, left],
                       "y": [top, top, bottom, bottom, top]})  # fmt: skip
    return layers


def _weights(layout: Layout) -> list[dict]:
    """Bars, and each expert's letter at the left of its row."""
    layers = []
    for row, column in _cores(layout):
        left, right, _, _ = _box(layout, row, column)
        layers += [
            {"type": "band", "x": [left, right], "low": 2 * [low], "high": 2 * [high],
             "color": e, "opacity": 0.3}
            for e, (high, low) in _strips(layout, row).items()
        ]  # fmt: skip
    for row in range(layout.rows):
        layers += [
            {"type": "line", "x": [-0.04], "y": [(high + low) / 2], "color": e,
             "label": letter(e)}
            for e, (high, low) in _strips(layout, row).items()
        ]  # fmt: skip
    return layers


def _copies(layout: Layout) -> list[dict]:
    """Dashed, at the right: the rows that hold the same expert."""
    if layout.copies == 1:
        return []
    layers = []
    for e in range(layout.num_experts):  # one in a row, or there were no copies
        x = 1.02 + 0.08 * (e + 1) / layout.num_experts
        rows = range(e, layout.rows, layout.group)
        y = [sum(_strips(layout, row)[e]) / 2 for row in rows]
        look = {"x": [x] * len(y), "y": y, "color": e}
        layers += [{"type": "line", "dash": True, **look},
                   {"type": "points", "shape": "square", **look}]  # fmt: skip
    return layers


def _sums(layout: Layout) -> list[dict]:
    """Triangles between the cores of a row, at each expert: outputs are added up."""
    at = [(j / layout.columns, (high + low) / 2, e)
          for row in range(layout.rows)
          for e, (high, low) in _strips(layout, row).items()
          for j in range(1, layout.columns)]  # fmt: skip
    return [{"type": "points", "x": [x for x, _, _ in at], "y": [y for _, y, _ in at],
             "color": [e for *_, e in at], "shape": "triangle", "size": 5}]  # fmt: skip


def _journeys(layout: Layout) -> list[dict]:
    """Discs in their row's lane, in every column; a line to the expert's bar."""
    layers, spots = [], []  # (x, y, expert, hollow)
    each = layout.cores // layout.rows  # discs of a row
    for row, column in _cores(layout):
        left, right, top, bottom = _box(layout, row, column)
        lane = top + LANE / 2 * (bottom - top)
        for token in range(row * each, (row + 1) * each):
            e = expert_of(token, layout.num_experts)
            home = layout.home(e, row)
            x = left + (right - left) * (token + 0.5) / layout.cores
            spots.append((x, lane, e, False))
            if home != row:
                bar = sum(_strips(layout, home)[e]) / 2
                layers.append({"type": "line", "x": [x, x], "y": [lane, bar],
                               "color": e, "width": 1.5})  # fmt: skip
                spots.append((x, bar, e, True))
    columns = zip(*spots, strict=True)
    points = dict(zip(("x", "y", "color", "hollow"), map(list, columns), strict=True))
    return [*layers, {"type": "points", "size": 4, **points}]
