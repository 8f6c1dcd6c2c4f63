"""What the choice of expert depends on: the domain of the text, or the byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import torch
from torch import Tensor

from moe_lib.course.byte_names import CLASS_OF, CLASSES
from moe_lib.course.information import Information
from moe_lib.course.placed import Placed
from moe_lib.figures.panels import COLOURS, SYMBOLS, grid_of_panels
from moe_lib.figures.style import INK, MUTED, figure
from moe_lib.figures.tints import faded
from moe_lib.notation import letter

MOST = 16  # experts with a row of their own
ROW = 24  # px
WRITTEN, DEEP = 0.1, 0.5  # a share that is written into its cell; one in white
#: (share, opacity): either faint enough for grey figures, or deep enough for white.
DEPTH = ((0, 0.03), (DEEP, 0.26), (DEEP, 0.85), (1, 1))


def who_follows_what(
    placed: Placed,
    *,
    theme: str = "both",
    title: str = "Do experts follow topics, or bytes?",
) -> go.Figure:
    """A row for each expert: what its bytes are made of, by domain and by class.

    Numbers are per cent of the expert's gate weight. The last row holds all bytes: an
    expert that follows neither looks like it.

    Of more than 16 experts the 16 with the most weight are drawn.
    """
    weights = placed.weights.double()
    share = weights.mean(dim=0)
    shown = share.topk(min(MOST, len(share))).indices.sort().values.tolist()
    tables = [
        _within(weights[:, shown], placed.domain, len(placed.domains)),
        _within(weights[:, shown], CLASS_OF[placed.byte], len(CLASSES)),
    ]
    names = [*(letter(e) for e in shown), "all"]
    fig = figure(
        alt=_alt(tables, (placed.domains, CLASSES), names),
        title=title,
        height=ROW * len(names) + 190,
        theme=theme,
        showlegend=False,
        margin=dict(t=86, l=40, b=90),
    )
    grid_of_panels(fig, 1, ["by domain", "by class of byte"], horizontal_spacing=0.03,
                   column_widths=[0.32, 0.68])  # fmt: skip
    heat(fig, tables[0], placed.domains, names, 1)
    heat(fig, tables[1], CLASSES, names, 2)
    fig.update_yaxes(autorange="reversed", showgrid=False, ticks="", showline=False)
    fig.update_yaxes(showticklabels=False, col=2)
    fig.update_xaxes(showgrid=False, ticks="", showline=False, tickangle=-90)
    return fig


def _within(weights: Tensor, kind: Tensor, count: int) -> Tensor:
    """``[E + 1, kinds]``: each expert's weight by kind, and all bytes alike at last."""
    everyone = torch.cat([weights, torch.ones(len(weights), 1)], dim=1)
    table = weights.new_zeros(count, everyone.shape[1]).index_add(0, kind, everyone)
    return (table / table.sum(dim=0).clamp(min=1e-300)).T


def heat(
    fig: go.Figure, table: Tensor, kinds: Sequence[str], names: Sequence[str], col: int
) -> None:
    """Panel ``col``: a row for each name, shares ``[names, kinds]``, large ones
    written in per cent."""
    rows, at = table.tolist(), dict(row=1, col=col)
    fig.add_heatmap(
        x=list(kinds), y=list(names), z=rows, zmin=0, zmax=1, showscale=False,
        colorscale=[[p, faded(COLOURS[0], o)] for p, o in DEPTH], xgap=1, ygap=1,
        hovertemplate="%{y}: %{z:.1%} %{x}<extra></extra>", **at,
    )  # fmt: skip
    cells = [
        (kind, name, share)
        for name, row in zip(names, rows, strict=True)
        for kind, share in zip(kinds, row, strict=True)
        if share >= WRITTEN
    ]
    x, y, shares = zip(*cells, strict=True)
    fig.add_scatter(
        x=x, y=y, mode="text", text=[f"{100 * v:.0f}" for v in shares],
        textfont=dict(size=11, color=["#fff" if v > DEEP else INK for v in shares]),
        hoverinfo="skip", **at,
    )  # fmt: skip


def _alt(
    tables: Sequence[Tensor], kinds: Sequence[Sequence[str]], names: Sequence[str]
) -> str:
    told = []
    for table, labels in zip(tables, kinds, strict=True):
        *experts, everyone = table
        excess = torch.stack(experts) - everyone
        best = int(excess.argmax())
        e, kind = divmod(best, len(labels))
        told.append(
            f"most beyond the share of all: {names[e]}, {table[e, kind]:.0%}"
            f" {labels[kind]} against {everyone[kind]:.0%}"
        )
    return (
        f"Heat maps of {len(names) - 1} experts: shares of their bytes by domain,"
        f" {told[0]}; and by class of byte, {told[1]}."
    )


def what_experts_tell(
    trained: Mapping[str, Sequence[Information]],
    *,
    theme: str = "both",
    title: str = "What does the expert's letter tell?",
) -> go.Figure:
    """Bits of mutual information with each label, a mark per run.

    Bars: chance, what counting so many bytes gives for nothing. Lines across: all there
    is to tell, and, dotted, what the byte alone tells about the domain.

    Args:
        trained: name, such as "trained" or "untrained" -> `information` of each run.

    Raises:
        ValueError: no runs.
    """
    groups = {name: list(group) for name, group in trained.items() if group}
    if not groups:
        raise ValueError("no runs: give information(placed) of at least one")
    every = [one for group in groups.values() for one in group]
    labels = list(every[0].bits)
    fig = figure(
        alt=_bits_alt(groups, labels), title=title, height=430, theme=theme,
        x="bits of mutual information", bargap=0.5, margin=dict(t=96, l=96),
    )  # fmt: skip
    fig.update_layout(legend_entrywidth=62, title=dict(x=0.02, xref="container"))
    places = list(range(len(labels)))
    chance = [_mean([one.chance[name] for one in every]) for name in labels]
    fig.add_bar(x=chance, y=places, orientation="h", name="chance", opacity=0.6,
                width=0.7, marker_color=MUTED,
                hovertemplate="chance: %{x:.3f}<extra></extra>")  # fmt: skip
    most = [_mean([one.most[name] for one in every]) for name in labels]
    by_byte = _mean([one.byte_and_domain for one in every])
    here = labels.index("domain")
    for name, values, where, look in (
        ("at most", most, places, dict(color=INK, width=2)),
        ("byte alone", [by_byte], [here], dict(color=COLOURS[2], width=3, dash="dot")),
    ):
        fig.add_scatter(
            x=[x for value in values for x in (value, value, None)],
            y=[y for place in where for y in (place - 0.35, place + 0.35, None)],
            mode="lines", name=name, line=look,
            hovertemplate=f"{name}: %{{x:.3f}} bits<extra></extra>",
        )  # fmt: skip
    for k, (name, group) in enumerate(groups.items()):
        shift = 0.24 * (k - (len(groups) - 1) / 2)
        fig.add_scatter(
            x=[one.bits[label] for label in labels for one in group],
            y=[place + shift for place in places for _ in group],
            mode="markers", name=name, cliponaxis=False,
            marker=dict(color=COLOURS[k % 4], symbol=SYMBOLS[k % 4], size=10,
                        opacity=0.85),
            hovertemplate=f"{name}: %{{x:.3f}} bits<extra></extra>",
        )  # fmt: skip
    names = [label.replace(", ", ",<br>") for label in labels]
    fig.update_yaxes(tickvals=places, ticktext=names, showgrid=False,
                     range=[len(labels) - 0.5, -0.5])  # fmt: skip
    fig.update_xaxes(range=[0, 1.04 * max(most)])
    return fig


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _bits_alt(
    groups: Mapping[str, Sequence[Information]], labels: Sequence[str]
) -> str:
    told = []
    for name, group in groups.items():
        parts = (f"{label} {_mean([one.bits[label] for one in group]):.2f} of"
                 f" {_mean([one.most[label] for one in group]):.2f}"
                 for label in labels)  # fmt: skip
        told.append(f"{name}: {', '.join(parts)}")
    return (
        "Mutual information of the first expert with labels of its bytes, in bits, and"
        f" the most there is to tell. {'; '.join(told)}."
    )
