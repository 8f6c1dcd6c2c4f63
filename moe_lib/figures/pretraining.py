"""Chapter 5's encoders: bits over steps, steps to the same loss, and tasks."""

from __future__ import annotations

import plotly.graph_objects as go

from moe_lib.course.checkpoints import last_bits
from moe_lib.course.claims_05_pretraining import by_task, right_answers, steps_to_top_2
from moe_lib.course.columns import Columns
from moe_lib.course.measurements_05_pretraining import ARMS, CHOICE, HALF, MARKS, TOP_2
from moe_lib.figures.palette import THEMES
from moe_lib.figures.panels import SYMBOLS, grid_of_panels
from moe_lib.figures.style import figure, look_of

#: Arm -> points over top-2's average, of tables 2 and 4 (100M/64E).
PAPER = {
    "top-1 + loss": -3.8,
    "hash": -0.9,
    CHOICE: 1.8,
    f"{CHOICE}, cap 2": 1.0,
    f"{CHOICE}, cap 3": 1.8,
}
#: Drawn as lines; the others are in the lower panel only.
LINES = ("dense", "top-1 + loss", TOP_2, "hash", CHOICE)
DASHES = ("solid", "dot", "dash", "dashdot", "longdash")
SHORT = {HALF: "choice 0.5, ½ work"}


def steps_to_the_same_loss(
    columns: Columns,
    *,
    theme: str = "both",
    title: str = "Who needs how many steps?",
) -> go.Figure:
    """Bits over steps, mean and SD; below, each seed's steps to top-2's last bits.

    Args:
        columns: as `measure_pretraining` gives them.
    """
    look, colours = look_of(theme), THEMES[theme]
    fig = figure(
        alt=_steps_alt(columns), title=title, height=740, theme=theme,
        margin=dict(t=176, l=132, b=48), legend_y=1.05,
    )  # fmt: skip
    heads = ["bits per hidden byte, held out", "steps to the last bits of top-2"]
    grid_of_panels(fig, 2, heads, vertical_spacing=0.12, row_heights=[0.5, 0.5])
    for k, arm in enumerate(LINES):
        bits = columns[f"{arm}: bits"]
        fig.add_scatter(
            x=list(MARKS), y=bits.mean(dim=0).tolist(), mode="lines+markers", name=arm,
            error_y=dict(array=bits.std(dim=0).tolist(), thickness=1, width=3),
            line=dict(color=colours[k], width=2, dash=DASHES[k]),
            marker=dict(color=colours[k], symbol=SYMBOLS[k], size=8),
            hovertemplate=f"{arm}, step %{{x}}: %{{y:.3f}}<extra></extra>",
            row=1, col=1,
        )  # fmt: skip
    fig.add_hline(y=last_bits(columns, TOP_2).mean().item(), row=1, opacity=0.9,
                  line=dict(color=look.muted, width=1.5, dash="dash"))  # fmt: skip
    never = MARKS[-1] * 1.2
    for y, arm in enumerate(ARMS):
        steps = steps_to_top_2(columns, arm)
        fig.add_scatter(
            x=steps.where(steps.isfinite(), never).tolist(), y=[y] * len(steps),
            mode="markers", showlegend=False, row=2, col=1,
            marker=dict(size=9, color=colours[LINES.index(arm)] if arm in LINES
                        else look.ink, opacity=0.8,
                        symbol=["x-thin-open" if s.isinf() else "circle"
                                for s in steps]),
            hovertemplate=f"{arm}: %{{text}}<extra></extra>",
            text=["never" if s.isinf() else f"{s:.0f} steps" for s in steps],
        )  # fmt: skip
    fig.add_vline(x=MARKS[-1] / 2, row=2, line=dict(color=look.muted, dash="dot"))
    fig.update_xaxes(range=[0.15 * MARKS[0], MARKS[-1] * 1.3])
    fig.update_xaxes(
        tickvals=[*MARKS, never], ticktext=[*map(str, MARKS), "never"], row=2,
        tickangle=0,
        title=dict(text="steps (dotted: half of top-2's)", standoff=6),
    )  # fmt: skip
    fig.update_xaxes(tickvals=list(MARKS), row=1)
    fig.update_yaxes(
        range=[len(ARMS) - 0.5, -0.5], tickvals=list(range(len(ARMS))), row=2,
        ticktext=[SHORT.get(a, a.replace("expert ", "")) for a in ARMS],
    )  # fmt: skip
    return fig


def tasks_dots(
    columns: Columns,
    *,
    theme: str = "both",
    title: str = "Which router learns the tasks best?",
) -> go.Figure:
    """Right answers over those of top-2, seed by seed: by arm and task, mean and SD.

    The bar across is the average of the tasks; a hollow diamond the paper's.

    Args:
        columns: as `measure_pretraining` gives them.
    """
    look, colours = look_of(theme), THEMES[theme]
    found, average = by_task(columns), right_answers(columns)
    tasks, arms = list(found[TOP_2]), [arm for arm in ARMS if arm != TOP_2]
    fig = figure(
        alt=_tasks_alt(columns), title=title, x="points over top-2 + loss",
        height=216 + 74 * len(arms), theme=theme, margin=dict(t=186, l=16, b=52),
        legend_y=1.005,
    )  # fmt: skip
    fig.add_vline(x=0, line=dict(color=look.muted, width=1.5))
    series = {task: {arm: found[arm][task] for arm in ARMS} for task in tasks}
    series["average"] = average
    for k, (task, right) in enumerate(series.items()):
        gaps = [right[arm] - right[TOP_2] for arm in arms]
        whole = task == "average"
        colour = look.ink if whole else colours[k]
        fig.add_scatter(
            x=[gap.mean().item() for gap in gaps],
            y=[row + 0.14 * (k - 1.4) for row in range(len(arms))],
            error_x=dict(array=[gap.std().item() for gap in gaps], width=3,
                         thickness=2.5 if whole else 1),
            mode="markers", name=task, text=arms,
            marker=dict(color=colour, size=11 if whole else 8,
                        symbol=SYMBOLS[k]),
            hovertemplate=f"%{{text}}<br>{task}: %{{x:+.1f}}<extra></extra>",
        )  # fmt: skip
    fig.add_scatter(
        x=[PAPER[arm] for arm in arms if arm in PAPER],
        y=[row + 0.14 * (len(tasks) - 1.4) for row, arm in enumerate(arms)
           if arm in PAPER],
        mode="markers", name="paper's average (64 experts)",
        marker=dict(symbol="diamond-open", size=12, color=look.ink,
                    line=dict(width=2)),
        hovertemplate="paper: %{x:+.1f}<extra></extra>",
    )  # fmt: skip
    for row, arm in enumerate(arms):
        fig.add_annotation(
            text=f"<b>{arm}</b>", x=0, xref="paper", xanchor="left", y=row - 0.38,
            showarrow=False, font=dict(size=12, color=look.ink),
        )  # fmt: skip
    return fig.update_yaxes(range=[len(arms) - 0.35, -0.6], showticklabels=False,
                            ticks="", showgrid=False)  # fmt: skip


def _steps_alt(columns: Columns) -> str:
    told = []
    for arm in ARMS:
        steps = steps_to_top_2(columns, arm)
        when = "never" if steps.isinf().any() else f"after {steps.mean():.0f} steps"
        told.append(f"{arm} {last_bits(columns, arm).mean():.3f} bits, {when}")
    return (
        f"Bits per hidden byte after {MARKS[-1]} steps, and when each model is where"
        f" top-2 ends (never: not in all runs). {'; '.join(told)}."
    )


def _tasks_alt(columns: Columns) -> str:
    average = right_answers(columns)
    gaps = {arm: right - average[TOP_2] for arm, right in average.items()}
    told = (f"{a} {g.mean():+.1f}, SD {g.std():.1f}" for a, g in gaps.items())
    return (
        "Right answers after fine-tuning by router and task, in points over top-2."
        f" Averages: {'; '.join(told)}."
    )
