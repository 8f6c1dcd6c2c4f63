"""Two levels of gates: how the tokens part, first by group, then by expert."""

from __future__ import annotations

import plotly.graph_objects as go

from moe_lib.figures.palette import colour, ink_on
from moe_lib.figures.style import figure, look_of
from moe_lib.figures.words import counted
from moe_lib.notation import letter
from moe_lib.routing import Routing


def two_levels(
    routing: Routing,
    branching: tuple[int, int],
    *,
    theme: str = "both",
    title: str = "How do two levels share out the rows?",
) -> go.Figure:
    """Inner ring: the groups. Outer ring: their experts. Angles: rows that ask.

    Args:
        routing: of a `HierarchicalRouter`.
        branching: its (groups, experts in each).

    Raises:
        ValueError: the branching does not give the table's number of experts.
    """
    groups, members = branching
    if groups * members != routing.num_experts:
        raise ValueError(
            f"branching={branching} makes {groups * members} experts but the table has"
            f" {routing.num_experts}: give the router's own branching"
        )
    rows = routing.demand_per_expert.view(groups, members)
    of_group, total = rows.sum(dim=1).tolist(), int(rows.sum())
    told = [
        f"group {i + 1} {count / max(total, 1):.0%}" for i, count in enumerate(of_group)
    ]
    look = look_of(theme)
    fig = figure(
        alt=f"Two rings of {counted(total, 'row')}: inside {counted(groups, 'group')},"
        f" {', '.join(told)}; outside the {members} experts of each.",
        title=title,
        height=420,
        theme=theme,
        margin=dict(l=12, r=12, t=52, b=12),
    )
    experts = list(range(groups * members))
    tints = [colour(e, theme) for e in experts]
    fig.add_sunburst(
        ids=[f"g{i}" for i in range(groups)] + [f"e{e}" for e in experts],
        labels=[f"group {i + 1}" for i in range(groups)] + [letter(e) for e in experts],
        parents=[""] * groups + [f"g{e // members}" for e in experts],
        values=of_group + rows.flatten().tolist(), branchvalues="total", sort=False,
        insidetextorientation="horizontal", leaf=dict(opacity=1),
        textfont=dict(color=[look.ink] * groups + [ink_on(tint) for tint in tints],
                      size=13),
        marker=dict(colors=["rgba(0,0,0,0)"] * groups + tints,
                    line=dict(color=look.muted, width=1)),
        hovertemplate="%{label}: %{value:,} rows, %{percentParent:.0%} of its"
        " parent's<extra></extra>",
    )  # fmt: skip
    return fig
