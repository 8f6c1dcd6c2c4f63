"""The calculator with split experts: its numbers, the page's, and how it looks."""

import random
from pathlib import Path

import pytest

from moe_lib.accounting import FeedForward
from moe_lib.widgets import CALCULATOR_MIME, Calculator, calculator
from moe_lib.widgets.calculator_numbers import filled, shown
from moe_lib.widgets.parallel_numbers import allowed, numbers
from moe_lib.widgets.parallel_tables import INPUTS, PARALLEL, PRESETS, START

from .page import frame
from .test_calculator_page import OVERLAPS, READ, show_state, slider

UNITS = PARALLEL["units"]
FOLDER = Path(calculator.__file__).with_name("js")
SOURCE = (FOLDER / "parallel.js").read_text("utf-8")
WORDS = (FOLDER / "calculation.js").read_text("utf-8")
LONG = {**START, "devices": 2048, "num_experts": 2048, "top_k": 8, "latency": 1000,
        "capacity_factor": 4, "tokens": 16384, "d_model": 8192, "d_ff": 16384,
        "speed": 0.01, "bandwidth": 0.1}  # fmt: skip
ALONE = {**START, "devices": 1, "num_experts": 4, "d_model": 64, "d_ff": 64,
         "tokens": 64, "bytes": 1, "latency": 3}  # fmt: skip


def made(preset=None, **settings):
    return Calculator(preset, spec=PARALLEL, **settings)


def random_state(seed: int) -> dict:
    """Settings that the sliders can reach."""
    draw, state = random.Random(seed), dict(START)
    for name, _, values, *_ in INPUTS:
        state[name] = draw.choice(allowed(name, values, state))
    return state


STATES = [random_state(seed) for seed in range(300)]


def test_bytes_and_arithmetic_are_those_of_the_layer():
    for state in STATES:
        found = made(**state).numbers
        d, e, width = state["devices"], state["num_experts"], state["bytes"]
        rows = state["top_k"] * state["capacity_factor"] * state["tokens"]
        expert = FeedForward(state["d_model"], state["d_ff"])
        whole = 4 * rows * state["d_model"] * width
        assert found["step"] + found["home"] == pytest.approx(whole)
        assert found["home"] * d == pytest.approx(whole)
        assert found["rows_only"] * state["capacity_factor"] == pytest.approx(
            found["step"]
        )
        assert found["everything"] == e * expert.total_parameters * width
        assert found["held"] * d == pytest.approx(found["everything"])
        seconds = 3 * rows * expert.flops(1) / (1e12 * state["speed"])
        assert found["compute"] == pytest.approx(seconds)
        assert found["travel"] >= found["start_up"]
        of_it = found["travel"] / (found["travel"] + found["compute"])
        assert found["share"] == pytest.approx(of_it)


def test_the_paper_s_sizes_and_the_square_root_come_out():
    names = ("GShard, 128 experts", "2,048 experts")
    small, large = (made(name).numbers for name in names)
    assert large["travel"] == pytest.approx(4 * small["travel"])  # 16 times the devices
    assert large["compute"] == small["compute"]
    assert 0.1 < small["share"] < large["share"] < 0.7
    assert shown(large["held"], "B") == "64\u00a0MiB"  # one expert, whatever D is
    assert small["held"] == large["held"]
    switch = made("2,048 experts", network=1).numbers
    assert switch["link_load"] == 1 - 1 / 2048


def different(run, text: str) -> set[str]:
    """Names of the numbers that the page and Python have not alike."""
    answers = run(text, "parallelNumbers", [[state] for state in STATES])
    wrong = set()
    for state, answer in zip(STATES, answers, strict=True):
        want = numbers(state)
        assert answer.keys() == want.keys()
        wrong |= {key for key in want if answer[key] != pytest.approx(want[key])}
    return wrong


def test_the_page_has_the_same_numbers(run):
    assert different(run, SOURCE) == set()
    calls = [[name, values, s] for s in STATES[:60] for name, _, values, *_ in INPUTS]
    assert run(SOURCE, "parallelAllowed", calls) == [allowed(*call) for call in calls]


@pytest.mark.parametrize(
    "right, changed, key",
    [
        ("Math.floor((n * n) / 4) / n", "Math.sqrt(devices) / 4", "hops"),
        ("Math.min(n - 1, 2)", "2", "link_load"),
        ("3 * slots * 2 * expert", "2 * slots * 2 * expert", "compute"),
        ("latency * (devices - 1)", "latency", "travel"),
        ("buffer * away,", "buffer,", "journey"),
        ("2 * away * everything", "2 * everything", "all_reduce"),
    ],
)
def test_a_mistake_in_the_page_is_found(run, right, changed, key):
    assert right in SOURCE
    assert key in different(run, SOURCE.replace(right, changed))


def test_seconds_are_written_alike(run):
    values = [(v, UNITS.get(k, "")) for s in STATES for k, v in numbers(s).items()]
    values += [(v, "s") for v in (0, 1e-9, 9.996e-7, 1e-6, 0.0123, 1, 4321)]
    words = [shown(*value) for value in values]
    assert run(WORDS, "shown", [list(value) for value in values]) == words
    assert [word.replace("\u00a0", " ") for word in words[-7:]] == [
        "0 ns", "1 ns", "1,000 ns", "1 µs", "12.3 ms", "1 s", "4,321 s",
    ]  # fmt: skip


def test_every_button_can_be_set_and_every_number_has_a_line():
    for name, settings in PRESETS.items():
        assert made(name).state == settings
        assert not set("{}") & set(made(name).alt)
    rows = [row for section in PARALLEL["sections"] for row in section["rows"]]
    assert {key for row in rows for key in row[1]} <= numbers(START).keys()
    assert made(devices=64).alt.startswith("What does the journey to the experts cost?")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"devices": 256}, "num_experts=128: give one of 256, 512, 1024, 2048$"),
        ({"network": 2}, "network=2: give one of 0, 1$"),
        ({"groups": 4}, "setting='groups': choose one of devices, num_experts"),
        ({"preset": "MoE-4"}, "preset='MoE-4': choose one of GShard, 128 experts"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message):
        made(**arguments)


@pytest.fixture
def open_page(show):
    def open_page(width=1024, theme="light"):
        data, _ = made()._repr_mimebundle_()
        return show(data[CALCULATOR_MIME], width, theme, "calculator")

    return open_page


def test_the_page_shows_python_s_numbers_and_keys_work(open_page):
    page = open_page()
    for one in [*map(made, PRESETS), made(**LONG), made(**ALONE)]:
        show_state(page, one)
        found = one.numbers
        answer = page.locator(".answer").text_content()
        assert answer == filled(PARALLEL["answer"], found, UNITS)
        for section, read in zip(
            PARALLEL["sections"], page.evaluate(READ), strict=True
        ):
            assert read["line"] == filled(section["line"], found, UNITS)
            words = [
                shown(sum(found[key] for key in row[1]), UNITS.get(row[1][0], ""))
                for row in section["rows"]
            ]
            assert [bar[1] for bar in read["bars"]] == words
    show_state(page, made())
    slider(page, "devices").focus()
    page.keyboard.press("ArrowRight")  # 256 devices: the experts follow
    frame(page)
    state = page.evaluate("calculator.state")
    assert (state["devices"], state["num_experts"]) == (256, 256)
    page.get_by_role("button", name="8 GPUs").focus()
    page.keyboard.press("Enter")
    frame(page)
    assert page.evaluate("calculator.state") == PRESETS["8 GPUs (H100)"]
    assert page.locator("[data-key=network] b").inner_text() == "switch"


@pytest.mark.parametrize("width, theme", [(390, "dark"), (1200, "light")])
def test_nothing_overlaps_and_nothing_jumps(open_page, width, theme):
    page = open_page(width, theme)
    heights = set()
    for one in [*map(made, PRESETS), made(**LONG), made(**ALONE)]:
        show_state(page, one)
        assert page.evaluate(OVERLAPS) == [], one
        heights.add(page.evaluate("calculator.root.offsetHeight"))
    assert len(heights) == 1
