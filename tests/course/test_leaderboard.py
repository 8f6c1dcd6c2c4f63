"""Exercise 04b.2: what is refused, what is scored and kept, what the board shows."""

import json
import re

import pytest
import torch
from torch import nn

from moe_lib.course import leaderboard as racing
from moe_lib.course import leaderboard_contest as contest
from moe_lib.course import leaderboard_rules as rules
from moe_lib.course import leaderboard_standings as standings
from moe_lib.course import measurements_04b_leaderboard as long
from moe_lib.course.checking import FAILS, NOT_WRITTEN, PASSES
from moe_lib.course.leaderboard import Entry, Result, entry_of
from moe_lib.course.switch_setup import Setup
from moe_lib.data.domain_text import DomainText
from moe_lib.data.text import load_text
from moe_lib.figures.leaderboard import leaderboard_figure

TINY = Setup(num_experts=4, d_model=16, d_ff=16, num_heads=2, lr=0.01)


def columns(best=3.0):
    """As the measurement gives them: two plain entries and a better one."""
    table = {"step": torch.tensor([0.03, 0.03], dtype=torch.float64)}
    for k, name in enumerate(long.ENTRIES):
        bits = torch.tensor([best - 0.2 * k, best - 0.2 * k + 0.1])
        row = {"bits": bits, "steps": bits * 0 + 900, "seconds": bits * 0 + 60,
               "flops": bits * 0 + 1e5, "parameters": bits * 0 + 1e6}  # fmt: skip
        table |= {f"{name}: {what}": values for what, values in row.items()}
    return table


@pytest.fixture(scope="module")
def text():
    every = load_text(300_000)
    return DomainText(
        every.train[2:], every.heldout[2:], every.domains[2:], every.sha256[2:]
    )


def score(make, text, **how):
    return contest.score_entry(make, text=text, columns=columns(), seconds=0.3, **how)


def tiny():
    return entry_of(TINY, texts=8)


class Bytes(nn.Module):
    """Logits from the byte before alone; `spoil` changes what it answers."""

    def __init__(self, spoil=lambda model, tokens, logits: logits):
        super().__init__()
        self.table, self.spoil = nn.Embedding(256, 256), spoil
        nn.init.normal_(self.table.weight, std=0.02)
        self.seen = 0.0

    def forward(self, tokens):
        return self.spoil(self, tokens, self.table(tokens)), []


def spoilt(spoil):
    def make():
        model = Bytes(spoil)
        return Entry(model, torch.optim.SGD(model.parameters(), lr=0.1))

    return make


def peek(model, tokens, logits):
    return logits + torch.nn.functional.one_hot(tokens.roll(-1, 1), 256)


def look_around(model, tokens, logits):
    return logits + logits.mean(dim=0, keepdim=True) * 5 * (not model.training)


def remember(model, tokens, logits):
    model.seen += 1.0
    ramp = torch.arange(256.0)
    return logits + ramp * model.seen * (not model.training)


def only_in_training(model, tokens, logits):
    big = torch.ones(600, 600)
    return logits + (big @ big @ big).sum() * 0 * model.training


def too_short(model, tokens, logits):
    return logits[:, -1]


def not_a_number(model, tokens, logits):
    return logits * torch.nan


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (spoilt(peek), "it looks at the future: byte 1"),
        (spoilt(look_around), "depends on the other texts"),
        (spoilt(remember), "it remembers what it reads|looks at the future"),
        (spoilt(only_in_training), "FLOPs a byte in training: 198,656 are allowed"),
        (spoilt(too_short), r"its logits are \[2, 256\]: give \[2, 64, 256\]"),
        (spoilt(not_a_number), "a logit is NaN"),
        (lambda: Bytes(), "it is of type Bytes: return an Entry"),
        (lambda: entry_of(TINY.but(d_ff=5000)), "FLOPs a byte"),
        (lambda: 1 / 0, "it raises ZeroDivisionError"),
    ],
)
def test_what_breaks_a_rule_is_refused_in_one_line(make, why, text, progress_path):
    verdict = score(make, text).verdict
    assert verdict.state == FAILS and verdict.message.startswith("refused: ")
    assert re.search(why, verdict.message), verdict.message
    assert "\n" not in verdict.message
    assert not progress_path.with_name("leaderboard.json").exists()


def test_a_model_that_has_learnt_before_is_refused(text):
    def make():
        entry = spoilt(lambda model, tokens, logits: logits)()
        counts = torch.bincount(text.train.flatten().long(), minlength=256) + 1.0
        entry.model.table.weight.data[:] = counts.log()
        return entry

    message = score(make, text).verdict.message
    assert "it knows the text before its first step" in message


def test_bits_that_only_held_out_text_gives_do_not_count(text):
    model = Bytes()
    honest = rules.evaluate(model, text, Setup().span).mean().item()
    assert rules.fault_at_end(model, text, honest, 4) == ""
    fault = rules.fault_at_end(model, text, honest - 1, 4)
    assert "it has seen what is held out" in fault


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "attention", "grouped", "vector"])
def test_the_counter_misses_no_product(kind):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.read = nn.Embedding(256, 8)
            self.net = getattr(nn, kind)(8, 16) if kind in ("LSTM", "GRU") else None

        def forward(self, tokens):
            x = self.read(tokens)
            if self.net:
                return self.net(x)
            if kind == "attention":
                return nn.functional.scaled_dot_product_attention(x, x, x)
            if kind == "vector":
                return x @ torch.ones(8)
            ends = torch.tensor([128, 512], dtype=torch.int32)
            return torch._grouped_mm(
                x.flatten(0, 1).bfloat16(), torch.ones(2, 8, 16).bfloat16(), offs=ends
            )

    gates = {"LSTM": 4, "GRU": 3}
    expected = {
        **{name: 2 * (8 + 16) * 16 * n for name, n in gates.items()},
        "attention": 4 * 64 * 8, "grouped": 2 * 8 * 16, "vector": 2 * 8,
    }  # fmt: skip
    assert rules.flops_per_byte(Model().eval()) == expected[kind]


def test_the_budget_is_that_of_both_plain_entries():
    for name in long.BASELINES:
        model = long.ENTRIES[name][0].build().eval()
        assert rules.flops_per_byte(model) == pytest.approx(rules.BUDGET, rel=0.02)
        assert rules.flops_per_byte(model) <= rules.BUDGET


def unwritten():
    raise NotImplementedError


def test_a_stub_trains_nothing_and_shows_the_board(progress_path, monkeypatch):
    monkeypatch.setattr(contest, "train_entry", lambda *a, **k: pytest.fail("trained"))
    found = contest.score_entry(unwritten, columns=columns())
    assert found.verdict.state == NOT_WRITTEN
    assert repr(found).startswith("04b.2  not written yet")
    assert "Switch, 16 experts" in found._repr_html_()
    assert not progress_path.exists()


def test_an_entry_is_trained_scored_and_kept(text, progress_path):
    found = score(tiny, text, name="mine <1>")
    assert found.verdict.state == FAILS and "to pass, get below 2.800" in repr(found)
    kept = json.loads(progress_path.with_name("leaderboard.json").read_text())
    assert kept["mine <1>"]["steps"] >= 1 and 0.3 <= kept["mine <1>"]["seconds"] < 3
    again = contest.leaderboard(columns())
    assert [one.name for one in again.standings][-1] == "mine <1>"
    assert "mine &lt;1&gt; (yours)" in again._repr_html_()
    assert "mine" not in repr(again)


def test_the_best_result_under_a_name_stays(progress_path):
    for bits in (2.5, 2.9, 2.4, 2.6):
        standings.keep("mine", Result(bits, 10, 60, 1e5, 10))
    (own,) = [one for one in contest.leaderboard(columns()).standings if one.yours]
    assert own.bits == 2.4
    progress_path.with_name("leaderboard.json").write_text("{broken")
    assert len(contest.leaderboard(columns()).standings) == len(long.ENTRIES)


@pytest.mark.parametrize(("bits", "state"), [(2.79, PASSES), (2.81, FAILS)])
def test_it_passes_below_every_run_of_the_plain_entries(bits, state):
    verdict = contest.judge(Result(bits, 10, 60, 1e5, 10), columns())
    assert verdict.state == state


@pytest.mark.parametrize(("slower", "scale"), [(1, 1), (2, 2), (100, 4), (0.01, 0.25)])
def test_the_clock_is_set_by_the_baseline(slower, scale, text, monkeypatch):
    asked = {}

    def train(make, text, seed, *, seconds, label):
        asked["seconds"] = seconds
        return Result(2, 1, 1, 1, 1)

    monkeypatch.setattr(contest, "baseline_step", lambda text: 0.03 * slower)
    monkeypatch.setattr(contest, "train_entry", train)
    contest.score_entry(tiny, text=text, columns=columns())
    assert asked["seconds"] == pytest.approx(60 * scale)


@pytest.mark.parametrize("schedule", racing.SCHEDULES.values())
def test_a_schedule_warms_up_and_stays_within_the_rate(schedule):
    rates = [schedule(k / 100) for k in range(101)]
    assert rates[0] == 0 and max(rates) == 1
    assert rates[:6] == sorted(rates[:6]) and min(rates) >= 0
    assert racing.down_to_zero(1) == 0


def test_the_measurement_has_every_entry_and_the_clock(monkeypatch, text):
    monkeypatch.setattr(long, "load_text", lambda size: text)
    monkeypatch.setattr(long, "baseline_step", lambda text: 0.03)
    config = {
        "bytes": 1, "seconds": 0.1,
        "entries": {name: (TINY.config, "warm-up") for name in long.ENTRIES},
    }  # fmt: skip
    found = long.measure_leaderboard(config, [3])
    assert found.pop("step") == [0.03]
    assert len(found) == 5 * len(long.ENTRIES)
    board = contest.leaderboard({k: torch.tensor(v) for k, v in found.items()})
    assert {one.name for one in board.standings} == set(long.ENTRIES)


def test_the_figure_marks_the_reader_s_entry(progress_path):
    alone = leaderboard_figure(contest.leaderboard(columns()))
    assert [trace.name for trace in alone.data] == ["the course's"]
    standings.keep("mine", Result(2.45, 10, 60, 1e5, 10))
    fig = leaderboard_figure(contest.leaderboard(columns()))
    assert fig.data[1].name == "yours" and list(fig.data[1].x) == [2.45]
    assert "mine (yours) 2.450" in fig.layout.meta["alt"]
