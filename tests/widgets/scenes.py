"""Scenes for the tests: a small one, two for the eye, a heavy one for the clock."""

from __future__ import annotations

import numpy as np


def small(states: int = 5, variants: int = 1) -> dict:
    """A line that rises, with a handle at its end."""

    def state(v: int, i: int) -> dict:
        end = (i + 1) / states
        line = {"type": "line", "x": [0, end], "y": [0, (v + 1) / variants], "color": 0}
        return {
            "panels": [[{**line, "label": "A"}]],
            "caption": f"state {i}",
            "readout": [["length", f"{end:.2f}"]],
            "handle": {"panel": 0, "x": end, "y": 0.5},
        }

    scene = {
        "title": "How far does the line reach?",
        "alt": "A line that grows with the slider.",
        "slider": {"label": "step", "values": [f"step {i}" for i in range(states)]},
        "play": True,
        "interval_ms": 30,
        "panels": [
            {
                "title": "Line",
                "x": {"label": "x", "range": [0, 1.2]},
                "y": {"label": "y", "range": [0, 1.2]},
            }
        ],
        "states": [[state(v, i) for i in range(states)] for v in range(variants)],
    }
    if variants > 1:
        names = [f"slope {v}" for v in range(variants)]
        scene["variants"] = {"label": "slope", "names": names}
    return scene


def _digits(values: np.ndarray) -> str:
    return "".join(map(str, np.clip(values, 0, 9).astype(int).ravel()))


def rich(states: int = 21) -> dict:
    """Two regimes on a line, four experts on a plane, three sharpnesses of the gate."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 60))
    y = np.where(x < 0.1, -0.8 * x - 0.2, 1.4 * x - 0.5) + rng.normal(0, 0.06, 60)
    grid = np.linspace(-1, 1, 41)
    cloud = rng.normal(0, 0.16, (4, 14, 2))
    cloud += np.array([[-0.5, 0.5], [0.5, 0.55], [-0.45, -0.5], [0.5, -0.4]])[:, None]

    def regression(progress: float, sharp: float) -> tuple[list, float]:
        cut = 0.9 - 0.8 * progress
        gate = 1 / (1 + np.exp(-sharp * 8 * (grid - cut)))
        a = (-0.8 * progress) * grid - 0.2 * progress + 0.4 * (1 - progress)
        b = (1.4 * progress) * grid - 0.5 * progress
        mix = (1 - gate) * a + gate * b
        owner = (x > cut).astype(int)
        off = np.abs(np.interp(x, grid, mix) - y) > 0.3
        layers = [
            {"type": "band", "x": grid, "low": mix - 0.1, "high": mix + 0.1}
            | {"color": "muted", "opacity": 0.15},
            {"type": "points", "x": x, "y": y, "color": owner, "hollow": off},
            {"type": "line", "x": grid, "y": a, "color": 0, "label": "A"},
            {"type": "line", "x": grid, "y": b, "color": 1, "label": "B"},
            {"type": "line", "x": grid, "y": mix, "color": "ink", "dash": True},
            {"type": "text", "x": cut, "y": -1.1, "text": "gate: one half"}
            | {"color": "muted", "anchor": "middle"},
            {"type": "line", "x": [cut, cut], "y": [-1, 1.2], "color": "muted"}
            | {"width": 1},
        ]
        return layers, cut

    def territory(progress: float, sharp: float) -> tuple[dict, np.ndarray]:
        at = np.stack(np.meshgrid(grid[:40] + 0.025, grid[:40] + 0.025), -1)
        turn = 0.9 * (1 - progress)
        rotate = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        centres = rotate @ np.array([[-1, 1, -1, 1], [1, 1, -1, -1]])
        logits = 3 * sharp * (0.2 + progress) * (at @ centres)
        p = np.exp(logits - logits.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        strength = _digits((p.max(-1) - 0.25) / 0.75 * 9.99)
        area = {"type": "regions", "x": [-1, 1], "y": [-1, 1], "nx": 40, "ny": 40}
        owner = p.argmax(-1)
        return area | {"owner": _digits(owner), "strength": strength}, owner

    def state(v: int, i: int) -> dict:
        progress, sharp = i / (states - 1), (0.4, 1, 3)[v]
        left, cut = regression(progress, sharp)
        right, owner = territory(progress, sharp)
        share = np.bincount(owner.ravel(), minlength=4) / owner.size
        return {
            "panels": [left, [right]],
            "caption": "The gate has not moved yet: A serves nearly everything."
            if i < 4
            else "B has taken the right-hand regime, and the mean follows both.",
            "readout": [
                ["mean squared error", f"{0.21 * (1 - progress) + 0.004:.3f}"],
                ["gate at", f"{cut:.2f}"],
                ["largest share of the plane", f"{100 * share.max():.0f} %"],
            ],
            "handle": {"panel": 0, "x": cut, "y": 1.2},
        }

    marks = [("disc", "diamond", "square", "triangle")[k // 14] for k in range(56)]
    points = cloud.reshape(-1, 2)
    return {
        "title": "When do two experts beat one net?",
        "alt": "Left: two straight experts and their gated mean over noisy points. "
        "Right: which of four experts serves each place of a plane.",
        "caption": "Drag the circle, or press play: watch the gate find the kink.",
        "slider": {
            "label": "epoch",
            "values": [str(10 * i) for i in range(states)],
        },
        "start": states // 2,
        "variants": {"label": "gate", "names": ["soft", "medium", "sharp"]},
        "play": True,
        "panels": [
            {
                "title": "Two regimes, two experts",
                "x": {"label": "input x", "range": [-1, 1]},
                "y": {"label": "target y", "range": [-1.2, 1.3]},
                "weight": 1.3,
            },
            {
                "title": "Who serves the plane",
                "x": {"label": "F1 (Hz)", "range": [-1, 1]}
                | {"ticks": [[-1, "200"], [0, "700"], [1, "1,200"]]},
                "y": {"label": "F2 (Hz)", "range": [-1, 1]}
                | {"ticks": [[-1, "500"], [0, "1,500"], [1, "2,500"]]},
                "layers": [
                    {"type": "points", "x": points[:, 0], "y": points[:, 1]}
                    | {"color": "ink", "shape": marks, "size": 3.5, "front": True},
                ],
            },
        ],
        "legend": [
            {"line": "solid", "color": 0, "text": "expert A"},
            {"line": "solid", "color": 1, "text": "expert B"},
            {"line": "dash", "color": "ink", "text": "gated mean"},
            {"shape": "disc", "hollow": True, "text": "off by more than 0.3"},
            {"shape": "diamond", "color": "muted", "text": "vowel /i/"},
            {"shape": "badge", "color": 2, "text": "serves there"},
        ],
        "states": [[state(v, i) for i in range(states)] for v in range(3)],
    }


def eight(states: int = 9) -> dict:
    """Eight experts as lines that meet, and as bars: all colours, crowded labels."""
    x = np.linspace(0, 100, 30)

    def state(i: int) -> dict:
        t = i / (states - 1)
        ends = 0.5 + (np.arange(8) / 7 - 0.5) * (1 - t)
        lines = [
            {"type": "line", "x": x, "y": 0.5 + (e - 0.5) * x / 100, "color": k}
            | {"label": "ABCDEFGH"[k]}
            for k, e in enumerate(ends)
        ]
        bars = {"type": "bars", "x": list(range(8)), "value": ends / ends.sum()}
        bars |= {"color": list(range(8)), "label": list("ABCDEFGH")}
        two = {"type": "bars", "x": [0, 1], "value": [20 + 60 * t, 70]}
        two |= {"color": ["accent", "muted"], "label": ["mixture of experts", "net"]}
        return {
            "panels": [lines, [bars], [two]],
            "readout": [["spread", f"{1 - t:.2f}"]],
        }

    return {
        "title": "Do eight experts become one?",
        "slider": {"label": "step", "values": [f"{25 * i:,}" for i in range(states)]},
        "panels": [
            {
                "title": "Each expert's output",
                "x": {"label": "training step", "range": [0, 100]},
                "y": {"label": "output", "range": [0, 1]},
                "weight": 2,
            },
            {
                "title": "Share of the tokens",
                "x": {"label": "expert", "range": [-0.6, 7.6]},
                "y": {"label": "share", "range": [0, 0.3]},
            },
            {
                "title": "Accuracy on unseen speakers",
                "x": {"range": [-0.6, 1.6]},
                "y": {"label": "correct (%)", "range": [0, 100]},
            },
        ],
        "states": [[state(i) for i in range(states)]],
    }


def heavy(states: int = 41) -> dict:
    """600 points, 1600 cells and 12 lines in two panels, all of them moving."""
    rng = np.random.default_rng(1)
    x = np.linspace(0, 1, 60)
    spots = rng.uniform(0, 1, (600, 2))
    cells = np.linspace(0, 1, 40)

    def state(i: int) -> dict:
        lines = [
            {"type": "line", "x": x, "y": 0.5 + 0.4 * np.sin(6 * x + i / 5 + k)}
            | {"color": k, "label": chr(65 + k)}
            for k in range(12)
        ]
        moved = (spots + 0.02 * i * (spots[:, ::-1] - 0.5)) % 1
        owner = ((cells + cells[:, None]) * 6 + i / 4).astype(int) % 8
        strength = 9.9 * np.abs(np.sin(7 * cells + 5 * cells[:, None] + i / 6))
        area = {"type": "regions", "x": [0, 1], "y": [0, 1], "nx": 40, "ny": 40}
        area |= {"owner": _digits(owner), "strength": _digits(strength)}
        points = {"type": "points", "x": moved[:, 0], "y": moved[:, 1], "size": 3}
        points |= {"color": np.arange(600) % 8, "hollow": np.arange(600) % 5 == 0}
        return {"panels": [lines, [area, points]], "readout": [["step", str(i)]]}

    axis = {"range": [0, 1]}
    return {
        "title": "Everything at once",
        "slider": {"label": "step", "values": [str(i) for i in range(states)]},
        "panels": [{"x": axis, "y": axis}, {"x": axis, "y": axis}],
        "states": [[state(i) for i in range(states)]],
    }
