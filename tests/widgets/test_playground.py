"""The Python side of the playground: settings, calls, a router of one's own, bundle."""

import json
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib import Routing
from moe_lib.routers import SwitchRouter
from moe_lib.widgets import PLAYGROUND_MIME, Playground, module_text
from moe_lib.widgets.playground_tables import DEFAULTS, OWN, ROUTERS, SETTINGS

SENTENCE = "A small router sends each token to one expert, and the rest wait."
NAMED = [name for name in ROUTERS if name != OWN]


class MySwitch:
    """The few lines that a reader may write."""

    def route(self, router_logits):
        router = SwitchRouter(1, router_logits.shape[1], capacity_factor=1.0).eval()
        return router.route(router_logits)


def settings_of(router: str, draw) -> dict:
    """Settings that the page can make as well."""
    chosen = {key: draw(st.sampled_from(SETTINGS[key][1])) for key in SETTINGS}
    chosen["top_k"] = min(chosen["top_k"], chosen["num_experts"])
    if router == "expert_choice" and chosen["capacity_factor"] is None:
        chosen["capacity_factor"] = 2
    return {"router": router, **chosen}


@st.composite
def states(draw):
    cell = st.tuples(
        st.integers(0, 15), st.integers(0, 15), st.sampled_from([-2, 0.5, 1, 3])
    )
    router = st.sampled_from(NAMED)
    words = st.text("ab 'é漢\"\\\n{}", min_size=1).filter(lambda s: s.strip())
    state = settings_of(draw(router), draw)
    state |= {"text": draw(words), "seed": draw(st.integers(0, 9))}
    state |= {"nudges": draw(st.lists(cell, max_size=3))}
    if draw(st.booleans()):
        state["locked"] = settings_of(draw(router), draw)
    return state


def call_to_state(call: str, router: object = None) -> dict:
    """The state that a copied call makes."""
    return eval(call, {"Playground": Playground, "router": router}).state


@settings(max_examples=60, deadline=None)
@given(states())
def test_the_call_makes_an_equal_state(state):
    playground = Playground(**state)
    assert call_to_state(playground.call) == playground.state
    assert json.loads(json.dumps(playground.state)) == playground.state


def test_the_call_says_only_what_differs():
    assert Playground().call == "Playground()"
    playground = Playground("gshard", num_experts=4.0, locked={"router": "hash"})
    locked = 'locked=dict(router="hash")'
    assert playground.call == f'Playground(router="gshard", num_experts=4, {locked})'
    assert repr(playground) == playground.call


@settings(max_examples=40, deadline=None)
@given(states())
def test_the_routing_has_the_settings(state):
    playground = Playground(**state)
    routing, E = playground.routing, state["num_experts"]
    assert routing.num_experts == E
    has = ROUTERS[state["router"]][1]
    if "group_size" in has:
        assert routing.group_size == state["group_size"]
        assert routing.num_tokens % (state["group_size"] or 1) == 0
    if "capacity_factor" in has:
        assert (routing.capacity is None) == (state["capacity_factor"] is None)
    if "top_k" in has:
        assert len(routing.kept) == routing.num_tokens * state["top_k"]
    assert (playground.locked_routing is None) == ("locked" not in state)


def test_a_nudge_moves_one_logit():
    before, after = Playground(), Playground(nudges=[(3, 5, 2)])
    moved = after.routing.router_logits - before.routing.router_logits
    assert moved[3, 5].item() == pytest.approx(2)
    moved[3, 5] = 0
    assert moved.abs().max() == 0
    outside = Playground(nudges=[(60, 1, 5), (0, 12, 5)]).routing
    assert torch.equal(outside.router_logits, before.routing.router_logits)


def test_only_the_first_64_tokens_are_routed():
    assert Playground("top_k", text="word " * 100).routing.num_tokens == 64


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"router": "mixtral"}, "router='mixtral': choose one of softmax_gate"),
        ({"router": "own"}, "router='own': choose one of softmax_gate"),
        ({"num_experts": 3}, r"num_experts=3: give one of \[2, 4, 8, 16\]"),
        ({"top_k": 9}, "top_k=9 but num_experts=8: give a top_k of at most 8"),
        ({"capacity_factor": 0}, "capacity_factor=0: give a number from 0.25 to 4"),
        ({"noise": "loud"}, "noise='loud': give a number from 0 to 2"),
        ({"jitter_noise": 1}, "jitter_noise=1: give a number from 0 to below 1"),
        ({"temperature": 0}, "temperature=0: give a number from 0.25 to 4"),
        ({"group_size": 65}, "group_size=65: give a number from 1 to 64, or None"),
        ({"seed": 0.5}, "seed=0.5: give a whole number"),
        ({"text": " \n"}, r"text=' \\n': give at least one word"),
        ({"nudges": [(1, 2)]}, r"nudges hold \[1, 2\]: give \(token, expert, amount\)"),
        ({"locked": "switch"}, "locked='switch': give a dict of settings"),
        ({"locked": {"text": "a"}}, "locked setting='text': choose one of router"),
        ({"capacity": 2}, "setting='capacity': choose one of router, text"),
        (
            {"router": "expert_choice", "capacity_factor": None},
            "capacity_factor=None: expert choice fills every slot; give 0.25 to 4",
        ),
        ({"router": 3}, r"router is a int without route\(logits\): give such an"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        Playground(**arguments)
    assert "\n" not in str(caught.value)


def test_a_state_from_the_page_is_checked_too():
    playground = Playground()
    with pytest.raises(ValueError, match="num_experts=5"):
        playground.state = {**playground.state, "num_experts": 5}
    assert playground.state["num_experts"] == 8


def test_a_router_of_the_reader_is_pushed_with_every_state():
    playground = Playground(MySwitch(), SENTENCE, num_experts=4)
    assert playground.call.startswith("Playground(router=router, ")
    assert call_to_state(playground.call, MySwitch()) == playground.state
    twin = Playground("switch", SENTENCE, num_experts=4, capacity_factor=1)
    for nudges in ([], [[0, 3, 9], [2, 3, 9]]):
        for one in (playground, twin):
            one.state = {**one.state, "nudges": nudges}
        pushed, routing = playground.pushed, twin.routing
        assert pushed["capacity"] == routing.capacity
        rows = [(t, e, place, kept) for t, e, _, place, _, kept in pushed["rows"]]
        columns = (
            routing.token_index,
            routing.expert_index,
            routing.position_in_expert,
            routing.kept,
        )
        expected = zip(*(column.tolist() for column in columns), strict=True)
        assert rows == list(expected)
        assert pushed["probs"] == [
            pytest.approx(row, abs=1e-3) for row in routing.router_probs.tolist()
        ]


def test_choices_of_the_reader_s_router_are_ranked_by_preference():
    class Dense:
        def route(self, router_logits):
            from moe_lib.routers import SoftmaxGate

            return SoftmaxGate(1, router_logits.shape[1]).route(router_logits)

    pushed = Playground(Dense(), SENTENCE).pushed
    for t, e, choice, *_ in pushed["rows"]:
        row = pushed["probs"][t]
        assert sum(p > row[e] for p in row) <= choice


@pytest.mark.parametrize(
    "route, message",
    [
        (lambda logits: 1 / 0, "ZeroDivisionError in your router: division by zero"),
        (lambda logits: None, "ValueError in your router: route gave a NoneType"),
        (
            lambda logits: MySwitch().route(logits[1:]),
            r"ValueError in your router: route gave a table for [14, 8] tokens",
        ),
    ],
)
def test_an_error_of_the_reader_s_router_is_said_and_the_picture_stays(route, message):
    own = MySwitch()
    playground = Playground(own, SENTENCE)
    before = playground.pushed
    own.route = route
    playground.state = {**playground.state, "seed": 1}
    assert playground.pushed.pop("error").startswith(message)
    assert playground.pushed == before
    own.route = MySwitch().route
    playground.state = {**playground.state, "seed": 2}
    assert "error" not in playground.pushed


def test_the_bundle_holds_what_a_page_without_kernel_needs():
    data, _ = Playground("gshard", SENTENCE)._repr_mimebundle_()
    stored = data[PLAYGROUND_MIME]
    assert data["text/plain"] == f'Playground(router="gshard", text="{SENTENCE}")'
    assert set(stored) == {"model", "spec", "own", "state", "pushed", "alt"}
    assert json.loads(json.dumps(stored)) == stored
    assert len(json.dumps(stored)) < 40_000
    assert stored["alt"].startswith("GShard (2020): 15 tokens, 8 experts; ")
    assert Playground(MySwitch())._repr_mimebundle_()[0][PLAYGROUND_MIME]["pushed"]


def test_a_router_that_never_answers_a_table_has_a_bundle_all_the_same():
    playground = Playground(SimpleNamespace(route=lambda logits: 1 / 0))
    data, _ = playground._repr_mimebundle_()
    assert "division by zero" in data[PLAYGROUND_MIME]["pushed"]["error"]


def test_the_module_is_small_and_imports_nothing():
    for name in ("player", "playground"):
        text = module_text(name)
        assert "import " not in text and "\nexport default" in text
    assert len(module_text("playground").encode()) <= 30 * 1024
    assert Playground._esm == module_text("playground")
    with pytest.raises(ValueError, match="name='figure': choose one of player"):
        module_text("figure")


def test_the_defaults_are_those_of_the_slider_s_values():
    for key, (_, values, *_) in SETTINGS.items():
        assert DEFAULTS[key] in values


def test_the_routing_is_a_routing():
    assert isinstance(Playground().routing, Routing)
