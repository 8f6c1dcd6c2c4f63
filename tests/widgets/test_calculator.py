"""The calculator: its numbers against the accounting, the page's against both."""

import json
import random
from pathlib import Path

import pytest
import torch

from book_cells import rich
from moe_lib.accounting import FeedForward
from moe_lib.widgets import CALCULATOR_MIME, Calculator, calculator, module_text
from moe_lib.widgets.calculator_numbers import allowed, filled, numbers, shown
from moe_lib.widgets.calculator_tables import INPUTS, PRESETS, SPEC, START
from tidy import CALCULATOR, VIEWS, tidied

SOURCE = Path(calculator.__file__).with_name("js") / "calculation.js"
CASES = 300


def random_state(draw: random.Random) -> dict:
    """Settings that the sliders can reach."""
    state = dict(START)
    for name, _, values, *_ in INPUTS:
        state[name] = draw.choice(allowed(name, values, state))
    return state


STATES = [random_state(random.Random(seed)) for seed in range(CASES)]


def test_the_numbers_are_the_accounting_s():
    for state in STATES:
        n, k, width = state["num_experts"], state["top_k"], state["bytes"]
        sizes = {"num_experts": None if n == 1 else n, "top_k": k}
        layer = FeedForward(state["d_model"], state["d_ff"], **sizes)
        dense = FeedForward(state["d_model"], k * state["d_ff"])
        found = Calculator(**{**state, "groups": 1}).numbers
        dtype = {2: torch.bfloat16, 4: torch.float32}[width]
        memory, rows = layer.memory(8, dtype), state["tokens"] * state["devices"]
        assert found["total_parameters"] == layer.total_parameters
        assert found["active_parameters"] == layer.active_parameters
        assert found["dense_parameters"] == dense.total_parameters
        assert found["expert_flops"] + found["router_flops"] == layer.flops(1)
        assert found["expert_flops"] == dense.flops(1)
        assert found["whole_memory"] == memory.total - memory.activations
        assert found["rows_all"] * n == pytest.approx(layer.useful(rows))
        shared = found["expert_flops"] / (found["expert_flops"] + found["rest_flops"])
        assert shared == pytest.approx(state["expert_share"])
        # work on a vector, which travels to its expert and back
        vector = 2 * state["d_model"] * width
        work = FeedForward(state["d_model"], state["d_ff"]).flops(1)
        assert found["flops_per_byte"] == pytest.approx(work / vector)


def test_the_paper_s_numbers_come_out():
    found = Calculator("20 experts, k = 5").numbers
    assert found["expert_saving"] == 4 and found["sent"] == 0
    assert found["model_saving"] == pytest.approx(0.4 * 4 + 0.6, rel=1e-3)
    assert Calculator("MoE-4").numbers["expert_saving"] == 1
    found = Calculator("131,072 experts").numbers
    assert shown(found["total_parameters"]) == "138\u00a0billion"  # 137.6, table 8
    assert found["device_experts"] == 1024 and found["rows_all"] == 64
    assert found["device_memory"] > 12 * 2**30  # Adam would not have fitted a K40
    flat = Calculator("131,072 experts", groups=1).numbers
    assert flat["router_cost"] == 16 and found["router_cost"] < 0.2


def test_two_levels_of_routers_ask_the_groups_and_two_of_them():
    found = Calculator("MoE-4096-h").numbers
    assert found["router_flops"] == 2 * 512 * (16 + 2 * 4096 / 16)
    assert found["total_parameters"] == 4096 * 2**20 + 512 * (16 + 4096)
    one = Calculator("MoE-4096-h", top_k=1).numbers
    assert one["router_flops"] == 2 * 512 * (16 + 4096 / 16)


def different(run, text: str) -> set[str]:
    """Names of the numbers that the page and Python have not alike."""
    answers = run(text, "numbers", [[state] for state in STATES])
    wrong = set()
    for state, answer in zip(STATES, answers, strict=True):
        want = numbers(state)
        assert answer.keys() == want.keys()
        wrong |= {key for key in want if answer[key] != pytest.approx(want[key])}
    return wrong


def test_the_page_has_the_same_numbers(run):
    assert different(run, SOURCE.read_text("utf-8")) == set()


@pytest.mark.parametrize(
    "right, changed, key",
    [
        ("n === 1 ? 0 : d * (groups === 1 ? n : groups + n)", "d * n", "weights"),
        ("Math.min(2, k)", "2", "router_flops"),
        ("bytes < 4 ? 3 : 2", "2", "optimiser"),
        ("Math.ceil(n / devices)", "n / devices", "device_experts"),
        ("(1 - 1 / devices)", "1", "sent"),
    ],
)
def test_a_mistake_in_the_page_is_found(run, right, changed, key):
    text = SOURCE.read_text("utf-8")
    assert text.count(right) == 1
    assert key in different(run, text.replace(right, changed))


def test_the_page_writes_the_same_words(run):
    text = SOURCE.read_text("utf-8")
    values = [
        (v, SPEC["units"].get(k, "")) for s in STATES for k, v in numbers(s).items()
    ]
    values += [
        (v, u) for v in (0, 1.125, 0.0015, 999.5, 1023.6, 1e6) for u in ("", "B")
    ]
    words = [shown(*value) for value in values]
    assert run(text, "shown", [list(value) for value in values]) == words
    line = SPEC["answer"]
    calls = [[line, numbers(state), SPEC["units"]] for state in STATES[:9]]
    assert run(text, "filled", calls) == [filled(*call) for call in calls]
    calls = [[name, values, s] for s in STATES[:30] for name, _, values, *_ in INPUTS]
    assert run(text, "allowed", calls) == [allowed(*call) for call in calls]


@pytest.mark.parametrize(
    "value, unit, words",
    [
        (0, "", "0"), (4096, "", "4,096"), (0.5, "", "0.5"), (1.125, "", "1.13"),
        (1.05e6, "", "1.05 million"), (137_500e6, "", "138 billion"),
        (4 * 2**30, "B", "4 GiB"), (0.0313, "%", "3.13 %"), 
        (2e18, "", "2,000 quadrillion"),
    ],
)  # fmt: skip
def test_numbers_as_words(value, unit, words):
    assert shown(value, unit) == words.replace(" ", "\u00a0")


def test_every_button_can_be_set_and_every_number_has_a_line():
    for name, settings in PRESETS.items():
        made = Calculator(name)
        assert made.state == settings
        assert eval(repr(made), {"Calculator": Calculator}).state == settings
        assert not set("{}") & set(made.alt)
    rows = [row for section in SPEC["sections"] for row in section["rows"]]
    drawn = {key for row in rows for key in row[1]}
    assert drawn <= numbers(START).keys()


def test_the_state_can_be_set_and_stays_in_order():
    made = Calculator(d_ff=512.0, devices=8)
    assert repr(made) == "Calculator(d_ff=512, devices=8)"
    made.state = {**made.state, "num_experts": 64, "groups": 16}
    assert made.numbers["rows_all"] == 5 * 16384 * 8 / 64


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"experts": 4}, "setting='experts': choose one of num_experts"),
        ({"preset": "MoE-5"}, "preset='MoE-5': choose one of 20 experts, k = 5"),
        ({"d_model": 500}, "d_model=500: give one of 16, 32"),
        ({"num_experts": 4}, "top_k=5: give one of 1, 2, 3, 4$"),
        ({"groups": 16}, "groups=16: give one of 1, 4$"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message):
        Calculator(**arguments)


def test_a_chapter_can_bring_its_own_table():
    inputs = [list(row) for row in INPUTS]
    inputs[0][4] = 2048
    spec = {**SPEC, "title": "Who has the memory?", "inputs": inputs, "presets": []}
    made = Calculator(spec=spec)
    assert made.state["num_experts"] == 2048 and repr(made) == "Calculator()"
    assert made.alt.startswith("Who has the memory? 2.15")


def test_the_bundle_is_enough_for_a_page_without_a_kernel(tmp_path):
    data, _ = Calculator("MoE-256")._repr_mimebundle_()
    raw = {"output_type": "execute_result", "data": data, "metadata": {}}
    (output,) = tidied([raw])
    assert set(output["data"]) == {"text/plain", CALCULATOR_MIME}
    assert VIEWS[CALCULATOR] == "calculator" and CALCULATOR == CALCULATOR_MIME
    stored = data[CALCULATOR_MIME]
    assert stored["alt"] == Calculator("MoE-256").alt
    assert stored["state"] == PRESETS["MoE-256"]
    assert json.loads(json.dumps(stored)) == stored
    assert 'data-kind="calculator"' in rich(output, tmp_path)


def test_the_module_is_one_small_file():
    assert len(module_text("calculator").encode()) <= 18 * 1024
    assert Calculator._esm == module_text("calculator")
