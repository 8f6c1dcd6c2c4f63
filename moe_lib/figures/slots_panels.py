"""The two panels of the slots scene: a sentence with its readers, and the buffers."""

from __future__ import annotations

from moe_lib.figures.grammar import Marks
from moe_lib.notation import letter
from moe_lib.routing import Routing

LINE = 42  # letters in a line of the sentence
BADGE = 3.4  # room for an expert's letter, in letters
GAP = 1.6  # between the buffers of two groups, in places
SHAPES = ("disc", "diamond")  # of a first and of a second choice


def lay_out(tokens: list[str]) -> list[tuple[float, int]]:
    """Where each token begins: letters from the left, and its line."""
    places, x, line = [], 0.0, 0
    for token in tokens:
        width = max(len(token) + 1.5, 2 * BADGE + 0.6)
        if x and x + width > LINE:
            x, line = 0.0, line + 1
        places.append((x, line))
        x += width
    return places


def sentence_panel(
    rows: Marks,
    real: list[int],
    size: int,
    tokens: list[str],
    places: list[tuple[float, int]],
    alone: list[int],
) -> list[dict]:
    """Letters of those who read a word, hollow marks of those who do not."""
    layers = []
    for t in alone:
        x, line = places[t]
        layers.append({"type": "line", "x": [x, x + max(len(tokens[t]), 1.5)],
                       "y": [line, line], "color": "accent"})  # fmt: skip
    for t in range(size, len(tokens), size):  # where a group ends
        x, line = places[t]
        layers.append({"type": "line", "x": 2 * [x - 0.7],
                       "y": [line - 0.35, line + 0.7], "color": "muted",
                       "width": 3})  # fmt: skip
    spots = {}
    for i in real:
        x, line = places[rows.token[i]]
        spots[i] = (x + BADGE * (int(rows.choice[i]) + 0.5), line + 0.42)
    for i in real:
        if rows.kept[i]:  # a line without length: its label is the expert's badge
            (x, y), expert = spots[i], int(rows.expert[i])
            layers.append({"type": "line", "x": [x], "y": [y], "color": expert,
                           "label": letter(expert)})  # fmt: skip
    late = [i for i in real if not rows.kept[i]]
    return [*layers, _points(rows, late, [spots[i] for i in late])]


def buffers_panel(rows: Marks, real: list[int], routing: Routing) -> list[dict]:
    """Lanes, walls and marks; the groups' buffers stand side by side."""
    size, experts = routing.group_size, routing.num_experts
    starts = [g * (size + GAP) for g in range(routing.num_tokens // size)]
    wall = min(routing.capacity, size)
    layers = []
    for e in range(experts):
        layers += [
            {"type": "band", "x": [x, x + wall], "low": 2 * [e + 0.32],
             "high": 2 * [e - 0.32], "color": e}
            for x in starts
        ]  # fmt: skip
        layers.append({"type": "line", "x": [-1.3], "y": [e], "color": e,
                       "label": letter(e)})  # fmt: skip
    spots = []
    for i in real:
        beyond = 0.5 if rows.kept[i] else 0.9  # a late mark stands clear of the wall
        place = starts[rows.group[i]] + int(rows.position[i]) + beyond
        spots.append((place, int(rows.expert[i])))
    layers.append(_points(rows, real, spots))
    for at in (x + wall + 0.1 for x in starts):
        layers += [
            {"type": "line", "x": [at, at], "y": [experts - 0.5, -0.5],
             "color": "ink", "width": 3},
            {"type": "text", "x": at, "y": -0.75, "anchor": "middle",
             "text": f"C = {routing.capacity}"},
        ]  # fmt: skip
    return layers


def _points(rows: Marks, some: list[int], spots: list[tuple[float, float]]) -> dict:
    """The marks of some rows: an expert's colour, a choice's shape, hollow if late."""
    return {
        "type": "points",
        "x": [x for x, _ in spots],
        "y": [y for _, y in spots],
        "color": rows.expert[some].tolist(),
        "shape": [SHAPES[choice] for choice in rows.choice[some].tolist()],
        "hollow": (~rows.kept[some]).tolist(),
    }
