"""Exercise 05b.2: a router of a few lines races without a change to the library."""

import pytest
import torch

from moe_lib.course import progress_file, race_contest
from moe_lib.course.checking import FAILS, NOT_WRITTEN, PASSES
from moe_lib.course.race_contest import enter_race, place, usual_noise
from moe_lib.course.race_runs import run_race
from moe_lib.course.race_setup import Setup, choosing
from moe_lib.data.text import load_text
from moe_lib.routers import TopKRouter
from moe_lib.routers.router import Router
from moe_lib.routers.token_choice import token_choice_table

SMALL = dict(d_model=16, d_ff=16, num_experts=4, steps=6, warmup=2, tokens=256)


class Mine(Router):
    """A reader's: sigmoids, the best two."""

    def table(self, router_logits, noisy_logits, token_mask):
        weights, experts = router_logits.sigmoid().topk(2, dim=1)
        probs = router_logits.softmax(dim=1)
        return token_choice_table(experts, weights, router_logits, probs, token_mask)


class NotWritten(Router):
    def table(self, router_logits, noisy_logits, token_mask):
        raise NotImplementedError


class Wrong(Router):
    def table(self, router_logits, noisy_logits, token_mask):
        return router_logits @ router_logits  # oops


@pytest.fixture(scope="module")
def text():
    return load_text(400_000)


@pytest.fixture(scope="module")
def runs(text):
    base = Setup(**SMALL)
    setups = {
        "Switch": choosing(base, "Switch", 1),
        "Mixtral top-2": choosing(base, "top-k", 2),
    }
    return run_race(setups, text, 3)


@pytest.fixture(autouse=True)
def notes(monkeypatch):
    kept = []
    monkeypatch.setattr(progress_file, "record", lambda v: kept.append(v) or "")
    return kept


def test_a_reader_s_router_is_trained_like_the_others_and_placed(runs, text, notes):
    score = enter_race(Mine, runs, text)
    assert score.verdict.state == PASSES and notes[-1].id == "05b.2"
    assert f"of {len(runs) + 1}, " in score.verdict.message
    names = [row[0] for row in score.board.rows]
    assert sorted(names) == ["Mixtral top-2", "Switch", "▶ yours"]
    html = score._repr_html_()
    assert "▶ yours" in html and "MB in training" in html
    # Mixtral's own router, entered, is Mixtral's run: same start, batches and losses.
    again = enter_race(lambda d, e: TopKRouter(d, e, top_k=2), runs, text, name="again")
    rows = {row[0]: row[1:4] for row in again.board.rows}
    assert rows["▶ again"] == rows["Mixtral top-2"]


def test_losses_of_the_reader_s_are_used(runs, text):
    asked = []

    def mine(routing):
        asked.append(routing.num_tokens)
        return routing.router_logits.square().mean()

    score = enter_race(Mine, runs, text, losses={mine: 0.1})
    assert score.verdict.state == PASSES and asked.count(256) >= 6


def test_what_cannot_race_is_told_why(runs, text, notes, monkeypatch):
    blank = enter_race(NotWritten, runs, text)
    assert blank.verdict.state == NOT_WRITTEN and not notes
    assert repr(blank).startswith("05b.2  not written yet")
    wrong = enter_race(Wrong, runs, text)
    assert wrong.verdict.state == FAILS and "RuntimeError" in wrong.verdict.message
    assert "router_logits @ router_logits" in wrong.verdict.line.text
    three = enter_race(lambda d, e: TopKRouter(d, e, top_k=3), runs, text)
    assert three.verdict.message.startswith("refused: a token gets 3 experts")
    with pytest.raises(ValueError, match="name='Switch' is in the race already"):
        enter_race(Mine, runs, text, name="Switch")

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(race_contest, "train_in_turns", stopped)
    score = enter_race(Mine, runs, text)
    assert score.verdict.message.startswith("stopped by hand in training; run the")
    assert score.board is None
    assert all(note.state == FAILS for note in notes)


class Inherits(TopKRouter):
    def route(self, router_logits, token_mask=None, **noise):
        return self.table(router_logits[0], router_logits[0], token_mask)  # oops


def test_the_line_shown_is_the_reader_s_where_the_library_raises(runs, text):
    line = enter_race(Inherits, runs, text).verdict.line
    assert line.text == (
        "return self.table(router_logits[0], router_logits[0], token_mask)  # oops"
    )


def test_a_router_that_learns_nothing_is_told_so(runs, text):
    told = "no gradient reached its weights"

    class Deaf(Mine):
        def forward(self, x, token_mask=None, token_ids=None):
            return self.route(self.gate(x).detach(), token_mask)

    score = enter_race(Deaf, runs, text)
    assert score.verdict.passed and told in score.verdict.message
    assert told not in enter_race(Mine, runs, text).verdict.message


def test_more_experts_on_text_than_the_race_allows_are_refused(runs, text):
    class Undecided(Router):
        """Four experts for a byte whose logits are close, and one for the others."""

        def table(self, router_logits, noisy_logits, token_mask):
            probs = router_logits.softmax(dim=1)
            weights, experts = probs.topk(4, dim=1)
            accepted = torch.ones_like(weights, dtype=torch.bool)
            accepted[:, 1:] = (weights[:, :1] < 0.9) & (weights[:, 1:] > 0)
            accepted[0, 1:] = False
            return token_choice_table(
                experts, weights, router_logits, probs, token_mask, accepted=accepted
            )

    message = enter_race(Undecided, runs, text).verdict.message
    assert message.startswith("refused: once trained, a byte gets ")
    assert message.endswith("on average (in training), the arithmetic of the race"
                            " allows 2")  # fmt: skip


def test_what_training_makes_of_a_router_is_checked_again(runs, text):
    class Grows(TopKRouter):
        def __init__(self, d_model, num_experts):
            super().__init__(d_model, num_experts, top_k=2)

        def table(self, *arguments):
            self.top_k = 3 if self.gate.weight.abs().max() > 1 else 2
            return super().table(*arguments)

    def make(d_model, num_experts):
        router = Grows(d_model, num_experts)
        with torch.no_grad():
            router.gate.weight.clamp_(-0.9999, 0.9999)
            router.gate.weight[0, 0] = 0.9999
        return router

    score = enter_race(make, runs, text, losses={shrink: -100.0})
    assert score.verdict.message.startswith("refused: once trained, a token gets 3")


def shrink(routing):
    return routing.router_logits.square().mean()


def test_places_come_from_the_last_bits_and_the_stored_noise(runs):
    bits = {name: run.bits[-1].item() for name, run in runs.items()}
    best = min(bits, key=bits.get)
    told = place(runs, best)
    assert told.startswith(f"place 1 of 2, {bits[best]:.3f} bits")
    assert 0 < usual_noise(600) < usual_noise(60) < 0.5
    (other,) = set(runs) - {best}
    close = bits[other] - bits[best] < usual_noise(6)
    assert (f"level with {other}" in told) == close
