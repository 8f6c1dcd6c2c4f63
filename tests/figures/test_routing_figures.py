"""Pictures of a routing: true numbers, each row once, kept filled or hollow."""

import dataclasses
import time
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import router_kinds
from moe_lib.figures.flow import flow
from moe_lib.figures.grammar import DECLINED, FULL, chooser, load_summary, marks
from moe_lib.figures.load import load
from moe_lib.figures.routing_map import routing_map
from moe_lib.figures.slots import slots
from moe_lib.figures.tokens_text import tokens_text
from moe_lib.figures.words import plain, sample
from moe_lib.notation import letter
from moe_lib.routing import Routing

THEMES = ("both", "light", "dark")
DRAW = {
    "map": routing_map,
    "flow": flow,
    "slots": lambda r, tokens, **how: slots(r, tokens, group=None, **how),
    "load": lambda r, tokens, **how: load(r, **how),
    "text": tokens_text,
}


def texts(routing: Routing) -> list[str]:
    words = ["the", "$5 and $6", "<b>bold", "\n", " cat", "a & b"]
    return [words[t % len(words)] for t in range(routing.num_tokens)]


def table(kind, count, num_experts=4, *, training=True, mask=None) -> Routing:
    router = router_kinds.make(kind, num_experts).train(training)
    torch.manual_seed(1)
    return router_kinds.route(router, *router_kinds.tokens(count), mask)


def drawn(fig) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """(symbol, rows) of all marks with a place, the filled ones and the hollow ones."""
    found = {"kept": [], "dropped": []}
    for trace in fig.data:
        if trace.type == "scatter" and trace.name in found and trace.x:
            symbols, count = trace.marker.symbol, len(trace.x)
            if isinstance(symbols, str):
                symbols = [symbols] * count
            assert len(symbols) == count
            rows = (
                trace.customdata if fig.layout.meta["name"] == "flow" else [1] * count
            )
            found[trace.name] += zip(symbols, rows, strict=True)
    assert not any("open" in s for s, _ in found["kept"])
    assert all("open" in s for s, _ in found["dropped"])
    return found["kept"], found["dropped"]


def picture(name, routing, **how):
    fig = DRAW[name](routing, texts(routing), **how)
    fig.update_layout(meta=dict(alt=fig.layout.meta["alt"], name=name))
    return fig


def by_hand(routing: Routing) -> dict:
    """What happened, from the rows one by one."""
    told = dict(real=0, kept=0, full=Counter(), declined=0)
    served, waiting = set(), set()
    for a in range(len(routing.token_index)):
        token = int(routing.token_index[a])
        if routing.token_mask is not None and not routing.token_mask[token]:
            continue
        told["real"] += 1
        if routing.kept[a]:
            told["kept"] += 1
            served.add(token)
        elif routing.capacity is not None and (
            routing.position_in_expert[a] >= routing.capacity
        ):
            told["full"][int(routing.expert_index[a])] += 1
        else:
            told["declined"] += 1
    for t in range(routing.num_tokens):
        if routing.token_mask is None or routing.token_mask[t]:
            waiting.add(t)
    return told | dict(alone=len(waiting - served))


def check(routing: Routing, theme: str = "both") -> None:
    told = by_hand(routing)
    dropped = told["real"] - told["kept"]
    for name in DRAW:
        fig = picture(name, routing, theme=theme)
        alt = fig.layout.meta["alt"]
        if name == "load":
            bars = {t.name: t.y for t in fig.data if t.type == "bar"}
            assert sum(v or 0 for v in bars["kept"]) == told["kept"]
            assert sum(v or 0 for v in bars["dropped"]) == dropped
        elif name != "text":
            filled, hollow = drawn(fig)
            if name == "slots" and any(t.type == "bar" for t in fig.data):
                sums = {t.name: sum(v or 0 for v in t.x)
                        for t in fig.data if t.type == "bar"}  # fmt: skip
                assert sums["kept"] == told["kept"]
                assert sums["dropped"] + sums["declined"] == dropped
            else:
                assert sum(rows for _, rows in filled) == told["kept"], name
                assert sum(rows for _, rows in hollow) == dropped, name
        assert f"{told['kept']:,} of {told['real']:,} assignment" in alt
        if told["full"]:
            _, over = told["full"].most_common(1)[0]
            first = min(e for e, n in told["full"].items() if n == over)
            s = "s" * (over != 1)
            assert f"xpert {letter(first)} is over capacity by {over:,} token{s}" in alt
            assert f", {sum(told['full'].values()):,} dropped" in alt
        else:
            assert "over capacity" not in alt
        assert (f", {told['declined']:,} declined" in alt) == (told["declined"] > 0)
        assert ("without an expert" in alt) == (told["alone"] > 0)
        if told["alone"]:
            s = "s" * (told["alone"] != 1)
            assert f"{told['alone']:,} token{s} without an expert" in alt


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", router_kinds.ALL)
def test_every_router_is_drawn_truly(kind, training):
    counts = [6, 24] if "groups" in kind else [1, 7, 24]
    for count, theme in zip(counts, THEMES, strict=False):
        check(table(kind, count, training=training), theme)


@pytest.mark.parametrize("kind", router_kinds.ALL)
def test_padding_is_never_drawn(kind):
    mask = torch.arange(24) % 5 != 3
    check(table(kind, 24, mask=mask))
    check(table(kind, 24, mask=torch.zeros(24, dtype=torch.bool)))


@pytest.mark.parametrize("kind", router_kinds.ALL)
def test_many_experts(kind):
    count = 6 if "groups" in kind else 5
    check(table(kind, count, 64))


@pytest.mark.parametrize("kind", ["switch", "gshard", "expert_choice", "top_k"])
def test_many_tokens_are_sampled_and_the_picture_says_so(kind):
    routing = table(kind, 2000, 8)
    told = by_hand(routing)
    said = {
        "map": "64 of 2,000 tokens, evenly spaced",
        "flow": "2,000 tokens in 8 bands of neighbours",
        "text": "the first 128 of 2,000 tokens",
    }
    for name, words in said.items():
        fig = picture(name, routing)
        assert words in fig.layout.meta["alt"]
        title = fig.layout.title.text.replace('<br><span style="font-size:12px">', " ")
        assert words in title.replace("</span>", "")
    filled, hollow = drawn(picture("flow", routing))
    assert sum(rows for _, rows in filled) == told["kept"]
    assert sum(rows for _, rows in hollow) == told["real"] - told["kept"]
    bars = {t.name: t.x for t in picture("slots", routing).data if t.type == "bar"}
    assert sum(v or 0 for v in bars["kept"]) == told["kept"]


def test_a_sampled_map_shows_the_rows_of_its_tokens():
    routing = table("gshard", 2000, 8)
    shown = set(sample(2000, 64)[0])
    rows = marks(routing)
    mine = np.isin(rows.token, list(shown))
    filled, hollow = drawn(picture("map", routing))
    assert len(shown) == 64
    assert len(filled) == (mine & rows.kept).sum()
    assert len(hollow) == (mine & ~rows.kept).sum()


def test_all_dropped_and_nothing_dropped():
    routing = table("top_k", 24)
    check(routing)
    nothing = torch.zeros_like(routing.kept)
    weights = torch.zeros_like(routing.combine_weights)
    check(dataclasses.replace(routing, kept=nothing, combine_weights=weights))
    late = routing.position_in_expert + 9
    check(dataclasses.replace(routing, kept=nothing, combine_weights=weights,
                              capacity=9, position_in_expert=late))  # fmt: skip


@st.composite
def tables(draw) -> Routing:
    """Any table: rows in any order, places with holes, several groups, a mask."""
    size, groups = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    count, experts = size * groups, draw(st.integers(1, 20))
    rows = draw(st.integers(0, 40))
    seed = draw(st.integers(0, 2**16))
    rng = torch.Generator().manual_seed(seed)
    token = torch.randint(count, (rows,), generator=rng)
    mask = torch.rand(count, generator=rng) < 0.8 if draw(st.booleans()) else None
    capacity = draw(st.none() | st.integers(1, 50))
    position = torch.randint(draw(st.integers(1, 60)), (rows,), generator=rng)
    kept = torch.rand(rows, generator=rng) < 0.7
    if capacity is not None:
        kept &= position < capacity
    if mask is not None:
        kept &= mask[token]
    logits = torch.randn(count, experts, generator=rng)
    return Routing(
        token_index=token,
        expert_index=torch.randint(experts, (rows,), generator=rng),
        combine_weights=torch.rand(rows, generator=rng) * kept,
        kept=kept,
        position_in_expert=position,
        router_logits=logits,
        router_probs=logits.softmax(1),
        capacity=capacity,
        group_size=size if groups > 1 else None,
        token_mask=mask,
    )


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from(THEMES))
def test_any_table_is_drawn_truly(routing, theme):
    check(routing, theme)


def test_load_summary_against_plain_counting():
    routing = table("gshard", 24)
    sums = load_summary(routing)
    demand = np.bincount(routing.expert_index, minlength=4)
    assert sums.demand == demand.tolist()
    assert sums.served == np.bincount(routing.expert_index[routing.kept], minlength=4
                                      ).tolist()  # fmt: skip
    assert sums.cv == pytest.approx(np.std(demand) / np.mean(demand))
    assert sums.max_over_mean == pytest.approx(demand.max() / demand.mean())
    assert sums.fair == demand.mean()
    assert sums.busiest == demand.argmax()
    told = f"CV {sums.cv:.2f}; {letter(sums.busiest)} is the busiest with"
    assert told in load(routing).layout.meta["alt"]
    line = next(t for t in load(routing).data if "fair share" in (t.name or ""))
    assert list(line.y) == [sums.fair] * 2


@pytest.mark.parametrize("kind", router_kinds.ALL)
@pytest.mark.parametrize("training", [True, False])
def test_who_chose_is_read_from_the_table(kind, training):
    expected = {"softmax": "all"}.get(kind, "tokens")
    if kind.startswith("expert_choice"):
        expected = "experts"
    for count in (6, 24):
        routing = table(kind, count, training=training)
        assert chooser(routing) == expected
    mask = torch.arange(24) % 5 != 3
    assert chooser(table(kind, 24, mask=mask)) == expected


def test_shapes_follow_the_choice():
    filled, _ = drawn(picture("map", table("top_k", 7)))
    assert Counter(s for s, _ in filled) == {"circle": 7, "diamond": 7}
    filled, _ = drawn(picture("map", table("expert_choice", 8)))
    assert {s for s, _ in filled} == {"square"}
    filled, _ = drawn(picture("map", table("softmax", 3)))
    assert Counter(s for s, _ in filled) == {"circle": 12}
    routing = table("hierarchical", 5)  # 2 groups, 2 experts of each
    filled, _ = drawn(picture("map", routing))
    assert Counter(s for s, _ in filled) == {"circle": 5, "diamond": 5, "square": 10}


def test_overflow_stands_beyond_the_wall():
    routing = table("gshard", 24)
    fig = slots(routing)
    wall = next(s for s in fig.layout.shapes if s.type == "line")
    for trace in fig.data:
        if trace.name == "kept" and trace.x:
            assert max(trace.x) < wall.x0
    rows = marks(routing)
    late = next(t for t in fig.data if t.name == "dropped" and t.x)
    assert sum(x > wall.x0 for x in late.x) == (rows.fate == FULL).sum() > 0
    assert sum(x < wall.x0 for x in late.x) == (rows.fate == DECLINED).sum() > 0
    dropless = slots(table("top_k", 24))
    assert not [s for s in dropless.layout.shapes if s.type == "line"]
    assert "No capacity" in dropless.layout.title.text


def test_one_group_or_all():
    routing = table("gshard_groups", 24)
    rows = marks(routing)
    for group in range(4):
        fig = slots(routing, group=group)
        fig.update_layout(meta=dict(alt=fig.layout.meta["alt"], name="slots"))
        filled, hollow = drawn(fig)
        assert len(filled) == (rows.kept & (rows.group == group)).sum()
        assert len(hollow) == (~rows.kept & (rows.group == group)).sum()
        assert f"group {group} of 0 to 3" in fig.layout.title.text
    assert "all 4 groups" in slots(routing, group=None).layout.title.text
    with pytest.raises(ValueError, match=r"group=4 but there are 4 groups: give"):
        slots(routing, group=4)
    with pytest.raises(ValueError, match=r"group=-1"):
        slots(routing, group=-1)


def test_a_token_without_expert_takes_the_residual_road():
    routing = table("switch", 24, 8)
    alone = by_hand(routing)["alone"]
    words = [a.text for a in flow(routing).layout.annotations]
    assert any("residual only" in text and str(alone) in text for text in words)
    calm = flow(table("top_k", 24)).layout.annotations
    assert not any("residual" in a.text for a in calm)


def test_text_and_hover():
    routing = table("gshard", 7)
    fig = tokens_text(routing, texts(routing))
    words = next(t for t in fig.data if t.name == "tokens")
    assert list(words.text) == [plain(t) for t in texts(routing)]
    best = routing.router_probs[2].topk(2)
    for e, p in zip(best.indices.tolist(), best.values.tolist(), strict=True):
        assert f"{letter(e)} {p:.0%}" in words.customdata[2]
    assert plain("$x$ <b> & \n") == "&#36;x&#36; &lt;b&gt; &amp; ↵"
    assert plain(" ") == "␣"


@pytest.mark.parametrize("name", DRAW)
def test_bad_input_is_named_in_one_line(name):
    routing = table("switch", 7)
    if name != "load":
        with pytest.raises(ValueError, match=r"tokens holds 3 texts but .* 7 tokens: "):
            DRAW[name](routing, ["a", "b", "c"])
        with pytest.raises(ValueError, match="tokens holds one text"):
            DRAW[name](routing, "a b c d")
    with pytest.raises(ValueError, match="theme='sepia': choose one of"):
        DRAW[name](routing, texts(routing), theme="sepia")


@pytest.mark.parametrize("name", DRAW)
def test_tables_that_require_grad_are_drawn_and_left_alone(name):
    routing = table("gshard", 7)
    assert routing.combine_weights.requires_grad
    picture(name, routing)
    assert routing.combine_weights.requires_grad
    assert routing.router_probs.grad_fn is not None


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", DRAW)
def test_figures_are_plain_json_and_carry_their_theme(name, theme):
    fig = picture(name, table("gshard", 7), theme=theme)
    paper = {"both": "rgba(0,0,0,0)", "light": "#ffffff", "dark": "#161923"}
    assert fig.layout.paper_bgcolor == paper[theme]
    assert '"bdata"' not in fig.to_json()  # packed arrays: plotly 5 cannot read them


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize("kind", ["gshard", "softmax", "expert_choice"])
def test_drawn_within_a_tenth_of_a_second(name, kind):
    routing = table(kind, 64, 16)
    words, took = texts(routing), []
    for _ in range(5):
        start = time.perf_counter()
        DRAW[name](routing, words).to_json()
        took.append(time.perf_counter() - start)
    assert min(took) < 0.1
