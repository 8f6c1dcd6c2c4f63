"""Names recalled from memory, by arm and group of languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from moe_lib.course.columns import Columns
from moe_lib.course.lookup_setup import ARMS, Setup
from moe_lib.course.measurements_03_lookup import FULL, PARTS, best_name
from moe_lib.figures.panels import COLOURS, SYMBOLS
from moe_lib.figures.style import figure, look_of
from moe_lib.figures.tints import faded

CALLED = {
    "dense": "dense",
    "mixture": "mixture",
    "wide": "dense and wide",
}
PATTERNS = ("/", "", "x")  # of the bars: a second sign besides colour


def names_recalled(
    columns: Columns,
    groups: Mapping[str, Sequence[str]],
    base: Setup = FULL,
    *,
    theme: str = "both",
    title: str = "Who remembers more names?",
) -> go.Figure:
    """Bars: per cent of the facts that each arm recalls, mean of the runs; dots: runs.

    Arms that were measured at several learning rates count at their best.

    Args:
        columns: as `lookup_columns` or the stored measurement name them.
        groups: as `groups_of` gives them, for the labels.
        base: sizes of the models, for FLOPs and parameters in the legend.
    """
    parts = ["all", *(part for part in PARTS if part in groups), "unseen"]
    labels = [
        "all",
        *(_group_label(p, groups[p]) for p in parts[1:-1]),
        "never<br>seen",
    ]
    best = {arm: best_name(columns, arm) for arm in ARMS}
    means = {
        arm: [columns[f"{name}: {part}"].mean().item() for part in parts]
        for arm, name in best.items()
    }
    fig = figure(
        alt=_bars_alt(means, parts),
        title=title,
        y="per cent of the names",
        height=460,
        theme=theme,
        bargap=0.2,
        bargroupgap=0.05,
        margin=dict(t=128, b=70),
    )
    look = look_of(theme)
    for k, arm in enumerate(ARMS):
        setup = base.but(arm=arm)
        fig.add_bar(
            x=list(range(len(parts))), y=means[arm], width=0.25, offset=0.27 * k - 0.4,
            name=f"{CALLED[arm]}: {setup.flops:,} FLOPs,"
            f" {setup.parameters:,} parameters",
            marker=dict(color=faded(COLOURS[k], 0.55), pattern_shape=PATTERNS[k],
                        line=dict(color=COLOURS[k], width=1)),
            customdata=[part.replace("unseen", "never seen") for part in parts],
            hovertemplate=f"{arm}, %{{customdata}}: %{{y:.1f}} %<extra></extra>",
        )  # fmt: skip
        values = [columns[f"{best[arm]}: {part}"].tolist() for part in parts]
        fig.add_scatter(
            x=[x + 0.27 * k - 0.275 for x, runs in enumerate(values) for _ in runs],
            y=[value for runs in values for value in runs],
            mode="markers", showlegend=False,
            marker=dict(size=6, symbol=SYMBOLS[k], color=look.ink, opacity=0.9),
            hovertemplate=f"{CALLED[arm]}, one run: %{{y:.1f}} %<extra></extra>",
        )  # fmt: skip
    fig.update_xaxes(tickvals=list(range(len(parts))), ticktext=labels, showgrid=False)
    fig.update_yaxes(range=[0, 104])
    return fig.update_layout(legend=dict(orientation="v", y=1.02))


def _group_label(group: str, languages: Sequence[str]) -> str:
    lines = [" ".join(languages[i : i + 3]) for i in range(0, len(languages), 3)]
    return "<br>".join([f"<b>{group}</b>", *lines])


def _bars_alt(means: Mapping[str, Sequence[float]], parts: Sequence[str]) -> str:
    told = (
        f"{CALLED[arm]} "
        + ", ".join(f"{part} {v:.0f}" for part, v in zip(parts, values, strict=True))
        for arm, values in means.items()
    )
    return (
        "Per cent of the names recalled, mean over the runs, of all, by group of"
        f" languages, and of names never seen. {'; '.join(told)}."
    )
