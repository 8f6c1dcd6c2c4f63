"""Translation into English, dense against experts: by part, and along the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.course.checkpoints import arms_of
from moe_lib.course.columns import Columns
from moe_lib.course.measurements_03_translation import (
    GROUPS,
    at_equal_time,
    at_the_end,
    gaps,
)
from moe_lib.data.phrases import SHARES
from moe_lib.figures.panels import COLOURS, DASHES, SYMBOLS, grid_of_panels
from moe_lib.figures.style import INK, MUTED, figure

ROWS = ("all", *SHARES, *GROUPS)
NAMES = {"deep": "twice as deep, twice the arithmetic"}  # the others as they are
WHAT = {"exact": "translated exactly, %", "nats": "nats per character"}
TURNS = {
    "all phrases": ("all",),
    "by kind, equal steps": tuple(SHARES),
    "by size of language, equal steps": GROUPS,
}


def translation_quality(
    columns: Columns,
    what: str = "exact",
    *,
    theme: str = "both",
    title: str = "Who translates better, and what?",
) -> go.Figure:
    """A row for each kind of phrase and size of language, a dot for each seed.

    Left after equal steps, right after equal time; with one checkpoint only the left.

    Args:
        columns: as `columns_of` gives them.
        what: "exact" or "nats".
    """
    views = {"after equal steps": at_the_end}
    names = arms_of(columns)
    if columns[f"{names[0]}: seconds"].shape[1] > 1:
        views["after equal time"] = at_equal_time
    found = {
        view: {row: look(columns, f"{what}, {row}") for row in ROWS}
        for view, look in views.items()
    }
    fig = figure(alt=_quality_alt(found, what), title=title, height=560, theme=theme)
    grid_of_panels(fig, 1, list(views))
    for col, rows in enumerate(found.values(), start=1):
        for k, arm in enumerate(names):
            shift = 0.24 * (k - (len(names) - 1) / 2)
            scale = 100 if what == "exact" else 1
            mine = [scale * values[arm] for values in rows.values()]
            _dots(fig, mine, k, arm, shift, col)
    groups = [f"{row} resource" if row in GROUPS else row for row in ROWS]
    fig.update_yaxes(range=[len(ROWS) - 0.5, -0.5], tickvals=list(range(len(ROWS))),
                     ticktext=groups, showticklabels=False)  # fmt: skip
    fig.update_yaxes(showticklabels=True, col=1)
    for edge in (0.5, 0.5 + len(SHARES)):
        fig.add_hline(y=edge, line=dict(color=MUTED, width=1))
    fig.update_xaxes(title=dict(text=WHAT[what]), rangemode="tozero", matches="x")
    fig.update_traces(cliponaxis=False)
    return fig.update_layout(margin=dict(t=132, l=98), legend_y=1.09)


def translation_turn(
    columns: Columns,
    steps: Sequence[int],
    *,
    theme: str = "both",
    title: str = "Does the order turn with more steps?",
) -> go.Figure:
    """How far experts are ahead, in nats per character, along the training.

    Thick lines are means, thin ones the seeds; above zero the experts are better.

    Args:
        columns: of arms "dense" and "experts", as `columns_of` gives them.
        steps: of the checkpoints.
    """
    panels = {
        name: {part: gaps(columns, part) for part in parts}
        for name, parts in TURNS.items()
    }
    first = next(iter(panels.values()))
    first["equal steps"] = first.pop("all")
    first["equal time"] = gaps(columns, "all", equal_time=True)
    fig = figure(alt=_turn_alt(first, steps), title=title, height=900, theme=theme)
    grid_of_panels(fig, len(panels), [""] * len(panels), vertical_spacing=0.16)
    for row, (panel, lines) in enumerate(panels.items(), start=1):
        legend, top = f"legend{row}", fig.layout[f"yaxis{row}"].domain[1]
        fig.update_layout({legend: dict(
            orientation="h", x=0, xanchor="left", y=top + 0.01, yanchor="bottom",
            title=dict(text=f"{panel}: ", side="top", font=dict(size=13)),
        )})  # fmt: skip
        for k, (name, values) in enumerate(lines.items()):
            _gap(fig, steps, values, name, k, row, legend)
        fig.add_hline(y=0, line=dict(color=INK, width=1.5), row=row)
    fig.update_xaxes(title=dict(text="steps"), row=len(panels))
    fig.update_yaxes(title=dict(text="nats saved"))
    return fig.update_layout(margin=dict(t=128))


def _dots(
    fig: go.Figure, rows: Sequence[Tensor], k: int, arm: str, shift: float, col: int
) -> None:
    """One arm's marks in a panel: its seeds, and a bar at their mean."""
    look = dict(mode="markers", legendgroup=arm, row=1, col=col)
    marks = [(v, place + shift) for place, row in enumerate(rows) for v in row.tolist()]
    fig.add_scatter(
        x=[x for x, _ in marks], y=[y for _, y in marks], name=NAMES.get(arm, arm),
        marker=dict(color=COLOURS[k], symbol=SYMBOLS[k], size=8),
        showlegend=col == 1, hovertemplate=f"{arm}: %{{x:.3g}}<extra></extra>", **look,
    )  # fmt: skip
    fig.add_scatter(
        x=[row.mean().item() for row in rows],
        y=[place + shift for place in range(len(rows))],
        marker=dict(symbol="line-ns", size=13, line=dict(width=2, color=COLOURS[k])),
        showlegend=False, hoverinfo="skip", **look,
    )  # fmt: skip


def _gap(
    fig: go.Figure, steps: Sequence[int], values: Tensor, name: str, k: int, row: int,
    legend: str,
) -> None:  # fmt: skip
    """One part's line: ``values`` ``[S, C]``."""
    look = dict(color=(*COLOURS, INK)[k], dash=(*DASHES, "longdash")[k])
    at = dict(row=row, col=1, x=list(steps), legendgroup=f"{row}, {name}")
    for seed in values:
        fig.add_scatter(
            y=seed.tolist(), mode="lines", line=look | dict(width=1), opacity=0.4,
            showlegend=False, hoverinfo="skip", **at,
        )  # fmt: skip
    fig.add_scatter(
        y=values.mean(dim=0).tolist(), mode="lines+markers", name=name, legend=legend,
        line=look | dict(width=2.5), marker=dict(symbol=SYMBOLS[k], size=8),
        hovertemplate=f"{name}: %{{y:.3f}}<extra></extra>", **at,
    )  # fmt: skip


def _quality_alt(
    found: Mapping[str, Mapping[str, Mapping[str, Tensor]]], what: str
) -> str:
    told = []
    for view, rows in found.items():
        means = ", ".join(f"{arm} {v.mean():.3g}" for arm, v in rows["all"].items())
        told.append(f"{view} {means}")
    unit = "share translated exactly" if what == "exact" else WHAT[what]
    return (
        f"By kind of phrase and by size of language, {unit}, a dot for each seed."
        f" Over all unseen phrases, {'; '.join(told)}."
    )


def _turn_alt(lines: Mapping[str, Tensor], steps: Sequence[int]) -> str:
    ends = ", ".join(
        f"{values[:, -1].mean():+.3f} at {name}" for name, values in lines.items()
    )
    first = lines["equal steps"][:, 0].mean()
    return (
        "Nats per character that experts save against dense, along the training. Over"
        f" all phrases {first:+.3f} after {steps[0]:,} steps; after {steps[-1]:,},"
        f" {ends}. Below, by kind of phrase and by size of language."
    )
