"""Fine-tuning with dropout: right answers on unseen and on learnt texts."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.course.columns import Columns
from moe_lib.course.measurements_04b_finetuning import over_tasks
from moe_lib.figures.panels import COLOURS, SYMBOLS
from moe_lib.figures.style import MUTED, figure

#: Of the paper's table 4, the average over GLUE; it gives no row without dropout.
GLUE = {
    "dense, d 0.1": 82.9,
    "Switch, d 0.1": 84.7,
    "Switch, d 0.2": 84.4,
    "Switch, d 0.3": 83.9,
    "Switch, d 0.1, experts 0.4": 85.2,
}
SIDES = {"test": "unseen texts", "train": "texts learnt from"}


def fine_tuning_figure(
    columns: Columns,
    *,
    theme: str = "both",
    title: str = "Which dropout helps with a small task?",
) -> go.Figure:
    """A row for each setting, a mark for each seed: the mean over the tasks.

    The line between the two kinds of marks is how far the model overfits. Beside a
    setting's name stands what the paper's table 4 has for it on GLUE.

    Args:
        columns: as `measure_fine_tuning` gives them.
    """
    found = {side: over_tasks(columns, f"{side} accuracy") for side in SIDES}
    arms = list(found["test"])
    fig = figure(alt=_alt(found), title=title, x="right answers, %", theme=theme,
                 height=120 + 58 * len(arms))  # fmt: skip
    for row, arm in enumerate(arms):
        ends = [100 * found[side][arm].mean().item() for side in SIDES]
        fig.add_scatter(
            x=ends, y=[row, row], mode="lines", line=dict(color=MUTED, width=1.5),
            showlegend=False, hoverinfo="skip",
        )  # fmt: skip
        paper = f"paper, GLUE: {GLUE[arm]}" if arm in GLUE else "not in the paper"
        fig.add_annotation(
            text=f"<b>{arm}</b> ({paper})", x=0, xref="paper", xanchor="left",
            y=row - 0.34, showarrow=False, font=dict(size=12),
        )  # fmt: skip
    for k, (side, name) in enumerate(SIDES.items()):
        marks = [
            (100 * share, row, arm)
            for row, arm in enumerate(arms)
            for share in found[side][arm].tolist()
        ]
        x, y, names = (list(column) for column in zip(*marks, strict=True))
        fig.add_scatter(
            x=x, y=y, text=names, mode="markers", name=name,
            marker=dict(color=COLOURS[k], symbol=SYMBOLS[k], size=9),
            hovertemplate=f"%{{text}}, {name}: %{{x:.1f}} %<extra></extra>",
        )  # fmt: skip
    fig.update_yaxes(range=[len(arms) - 0.6, -0.65], showticklabels=False, ticks="",
                     tickvals=list(range(len(arms))))  # fmt: skip
    return fig.update_layout(margin=dict(l=16, t=104), legend_y=1.01)


def _alt(found: Mapping[str, Mapping[str, Tensor]]) -> str:
    told = "; ".join(
        f"{arm}: {100 * found['test'][arm].mean():.1f} %"
        f" and {100 * found['train'][arm].mean():.1f} %"
        for arm in found["test"]
    )
    return (
        "Right answers after fine-tuning, mean over the tasks, on unseen texts and on"
        f" those learnt from. {told}."
    )
