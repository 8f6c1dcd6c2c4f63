# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5b · The leak, and the race of all routers (2022)
#
# @COLAB@
#
# **Expert choice is perfectly balanced and learns well. Why do models that write text
# seldom use it? And which router of this course wins, on the same bytes and at the
# same arithmetic?**
#
# *Papers:* Zhou et al., "Mixture-of-Experts with Expert Choice Routing", 2022; Raposo
# et al., "Mixture-of-Depths", 2024; Dai et al., "DeepSeekMoE", 2024 · *Reading:* 30
# minutes · *Running:* 40 seconds on two CPU cores · *Builds on:*
# [chapter 5](05_expert_choice.ipynb)
#
# We will see
#
# - one letter at the end of a text that changes the answers before it;
# - the price of that leak when a model writes, and three repairs with theirs;
# - eight routers in one race, as a movie, a table and a sentence read twice;
# - the order that a paper of 2024 reports, beside ours;
# - the family tree of the ideas, and a place in the race for your own router.

# %% tags=["setup"]
# Only where moe_lib is missing: on Colab, or if you have this one file alone.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("moe_lib") is None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
    library = "git+@REPOSITORY@"
    subprocess.run([*pip, library], check=True)

# %%
from moe_lib.course import start

course = start()  # device, quick or full profile
course

# %% [markdown]
# ## See it first: the last letter
#
# Eight small language models, one for each router of the course. They read the same
# 64 bytes, and tell after each one what the next will be. None has learnt anything
# yet; this needs no training. Now change the last byte, and ask again. An answer that
# came *before* that byte must not move.

# %%
import torch

from moe_lib.course.leak import model_leak
from moe_lib.course.race_setup import Setup, field
from moe_lib.figures.leak import leak_map

before = "The last letter of this text has not been written yet, has it? N"
after = before[:-1] + "y"
one, other = (torch.tensor(list(s.encode())) for s in (before, after))

moved = {}
for name, setup in field(Setup()).items():
    torch.manual_seed(0)
    moved[name] = model_leak(setup.build(), one, other, start=63)
leak_map(moved, text=before)

# %% [markdown]
# *Look for squares.* Seven rows have none. Those are zeros, not small numbers: the
# models are compared in float64, and nothing moves. With **expert choice** answers move
# far back in the text. In training such a model may read the future off the choices of
# its experts. When it writes, there is no future to read.
#
# ## The idea in code: who pushes whom out
#
# The whole leak fits in one expert with two places:

# %%
scores = torch.tensor([0.5, 0.2, 0.3])  # of one expert, for three tokens
for seen in (2, 3):
    taken = scores[:seen].topk(2).indices.sort().values.tolist()
    print(f"{seen} tokens are there: it takes {taken}")

# %% [markdown]
# Token 1 had a place until token 2 came. A row of $S^\top$ is ranked as a whole, and
# a rank tells of everybody else. With $w_t$ for the weights that a router gives token
# $t$, a **causal** router has
#
# $$w_t(x_1, \dots, x_t, \dots, x_T) = w_t(x_1, \dots, x_t) \quad \text{for all } t.$$
#
# To test it, replace what stands behind a token and compare $w_t$; `router_leak` of the
# library does it from any place on. Who else looks ahead?

# %%
from moe_lib.course.leak import router_leak
from moe_lib.course.table import Table
from moe_lib.routers import ExpertChoiceRouter, SwitchRouter, TopKRouter

routers = {
    "top-2": TopKRouter(8, 4, top_k=2),
    "Switch, tight": SwitchRouter(8, 4, capacity_factor=0.5),
    "Switch, tight, best first": SwitchRouter(
        8, 4, capacity_factor=0.5, batch_prioritized_routing=True
    ),
    "expert choice": ExpertChoiceRouter(8, 4),
}
draw = torch.Generator().manual_seed(0)
x, z = torch.randn(2, 40, 8, generator=draw)
for name, router in routers.items():
    torch.nn.init.normal_(router.gate.weight, generator=draw)
    ahead = any(router_leak(router, x, z, t).any() for t in range(1, 40))
    print(f"{name:26} looks ahead: {ahead}")

# %% [markdown]
# It is the comparison that leaks, not the word "expert". Switch serves whoever comes
# first, and later tokens cannot push earlier ones out. As soon as places go to the best
# instead (**batch prioritised routing**), the future is in it again. Every router of
# `moe_lib` has this test.

# %% [markdown]
# ## What the leak is worth
#
# Zero or not is exact. How much a model *uses* it has to be measured. Train two
# decoders; in one of them the experts choose among the 64 bytes of each text. Then
# tell held-out texts twice: **teacher-forced**, where the model reads whole texts at
# once, as in training, and **step by step**, where for each byte it gets only what
# stands before it. For a causal model the two are the same number.

# %%
from moe_lib.course.leak_runs import (
    OfThisLength,
    step_by_step_bits,
    teacher_forced_bits,
)
from moe_lib.course.leak_setup import Setup as LeakSetup
from moe_lib.course.leak_setup import ways_to_choose
from moe_lib.course.switch_runs import train_in_turns
from moe_lib.data.text import load_text

text = load_text(course.pick(quick=800_000, full=2_600_000))
ways = ways_to_choose(LeakSetup(steps=course.pick(quick=120, full=600)))
pair = ("Mixtral top-2", "expert choice, per text")
both = {name: ways[name] for name in pair}
trained = train_in_turns(both, text, device=course.device)

# %%
rows = []
for name, run in trained.items():
    model = OfThisLength(run.model)  # a text grows while it is written
    read = teacher_forced_bits(model, text, texts=128).item()
    written = step_by_step_bits(model, text, texts=128).item()
    lost = round(written - read, 4) + 0.0
    rows.append([name, f"{read:.4f}", f"{written:.4f}", f"{lost:+.4f}"])
head = ["router", "bits/byte read", "written step by step", "lost by writing"]
Table(head, rows, "2 models, read and written")

# %% [markdown]
# *The last column.* Top-2 loses nothing, and expert choice does. If it was ahead of
# top-2 in the first column, look at the second. Every number of such a model is too
# good by about this much, its training loss first of all, and only this test tells.
#
# ## Three repairs
#
# - **Same position.** Experts choose among the tokens at one place of all texts, never
#   along a text. Nothing ahead is looked at, and what a text gets now depends on its
#   neighbours in the batch. The paper names this way out.
# - **A threshold.** Expert $e$ takes token $t$ if $S_{te} \ge \theta_e$, a level that it
#   remembers from earlier batches, as in appendix F of chapter 2's paper. Loads are even
#   on average only.
# - **A predictor.** Choose as ever in training, and train a small net beside it that
#   says from the token alone whether it will be taken. In use it decides. This is how
#   **mixture of depths** writes.
#
# The same test again:

# %%
moved = {}
for name, setup in ways.items():
    torch.manual_seed(0)
    moved[name] = model_leak(setup.build(), one, other, start=63)
leak_map(moved, text=before, title="After the repairs: whose answer moves?")

# %% [markdown]
# Repaired. What does it cost? All six ways for 400 steps with three seeds, read and
# written:

# %%
from moe_lib.course.measurements import stored
from moe_lib.figures.leak import leak_costs

leak_costs(stored("05b-leak"))

# %% [markdown]
# *In the left panel compare discs with diamonds, row by row.* They part in two rows:
# expert choice over the batch loses a little when it writes, and expert choice within
# each text far more: a byte's rank among the 64 of its own text says more of what comes
# next than its rank among two thousand. In the repaired rows they coincide. *Now compare
# the diamonds of different rows.* The threshold is level with top-2. The predictor is a
# little behind. Same position is clearly behind: 32 strangers at one place are a poor
# choice of candidates.
#
# *The right panel is what is left of the balance.* A threshold and a predictor give up
# the exact zero, and still load their experts more evenly, on the whole, than top-2 with
# its loss.
#
# One more trap. A text that is written *alone* gets more experts than in training: of
# a single token $C$ is rounded up to one, so every expert takes it. Such a model even
# looks better alone, and pays for that in arithmetic.

# %% [markdown]
# ## The race
#
# Every router of the course, on the same bytes, in the same order. Mixtures of $k$
# experts have $k$ times as many of $1/k$ of the width, so that all of them multiply
# alike and (but for the gate of 1991, which asks everybody) have the same weights. The
# dense model is as wide as that arithmetic allows.

# %%
from moe_lib.course.race_runs import run_race
from moe_lib.figures.race_movie import race_movie

racing = field(Setup(steps=course.pick(quick=60, full=600)))
runs = run_race(racing, text, device=course.device)
race_movie(runs)

# %% [markdown]
# *Press play.* Left, bits per byte of the batches; right, a bar for each expert. At
# first everybody learns which bytes are frequent, and the router does not matter. Sixty
# steps are a start, not a result. What does a router do with *your* sentence? Two
# sliders choose the two models:

# %%
from moe_lib.course.compare_routers import read_with
from moe_lib.figures.compare_scene import compare_scene
from moe_lib.widgets import Player

sentence = "def area(r): return 3.14 * r ** 2  # of a circle, says Anna"
readings = read_with(runs, sentence, text)
Player(compare_scene(sentence, readings, left="expert choice"))

# %% [markdown]
# *Put hash on one side.* Equal letters have equal experts, always. *Then Switch:* one
# expert for a byte, and hollow marks where it was full. *Then expert choice:* a plus
# where many came, a stroke where nobody did. The gate of 1991 reads everything with
# everybody. Below, the bits of each byte: they hardly differ where the models have had
# sixty steps.
#
# Now the long race: 600 steps, three seeds, for the next byte and for hidden ones.

# %%
from moe_lib.figures.race_result import race_result

causal = stored("05b-race-causal")
masked = stored("05b-race-masked")
race_result(causal, title="Who tells the next byte best?")

# %%
race_result(masked, title="Who tells hidden bytes best?")

# %% [markdown]
# *A bar is a mean and its spread; do not crown anyone whose bar overlaps.* On the next
# byte all sparse routers but noisy top-2 beat the dense model clearly. The dense gate
# does not: at equal arithmetic its many experts are all too narrow. Expert choice has a
# row of its own where it is told step by step; that one counts. On hidden bytes the
# field is closer, and expert choice stands in front by less than its spread. All of it
# in numbers:

# %%
from moe_lib.course.race_board import race_board

race_board(causal)

# %%
race_board(masked)

# %% [markdown]
# ### The order of a paper
#
# DeepSeekMoE's table 1 has dense, hash, Switch and GShard at one arithmetic, with two
# billion parameters and a hundred billion tokens. Beside it ours:

# %%
from moe_lib.course.claims_05b_race import honest_bits
from moe_lib.course.deepseek_order import order_table

order_table(honest_bits(causal))

# %% [markdown]
# Two of the three steps are the same. One is not: here the fixed **hash** is ahead of
# Switch. It is worth an explanation rather than an excuse. A hash of the byte gives each
# of our 256 tokens its own expert from the first step, no expert is ever moved, and the
# vocabulary is so small that the byte tells much. A learned router has to find that out
# while its experts learn. With tens of thousands of tokens and a long training, context
# should be worth more than the head start. Two learned experts of a byte are level with
# the hash already here.

# %% [markdown]
# ## From 1991 to today
#
# Every wall of this course, and who found the way round. Filled marks have a chapter:

# %%
from moe_lib.figures.ideas_timeline import ideas_timeline

ideas_timeline()

# %% [markdown]
# *Follow one lane down.* The second is the one that most of today's models live in:
# tokens choose, and since 2024 a small bias per expert does what the losses did.
# Expert choice lives on in the third, wherever nobody has to write byte by byte.
#
# ## The papers' claims, and ours

# %%
from moe_lib.course import ClaimsTable
from moe_lib.course.claims_05b import stored_claims
from moe_lib.course.claims_05b_leak import exact_leak_claims

ClaimsTable(*exact_leak_claims(), *stored_claims())

# %% [markdown]
# ## Your turn
#
# @EXERCISE 05b.1@

# %%
from moe_lib.course import exercise, hint, solution


@exercise("05b.1")
def leaks(answer, tokens, other):
    """answer: [T, d] -> [T, n]; tokens, other [T, d] -> bool [T]"""
    raise NotImplementedError


# %% [markdown]
# **05b.2 (open): enter the race.** Write a router of a few lines. `table` gets the
# logits of T tokens and answers with a `Routing`; `token_choice_table` makes one of
# `experts` and `weights`, both [T, k], and a bool `accepted` [T, k] if you want to turn
# some away. It is checked first: sound columns, no weight on a dropped row, no look at
# the future, and, over real text, no more than two experts of a token on average. What
# breaks a rule is refused with the reason. Then it learns what the others above have
# learnt, in a few seconds, and stands on the board. `losses={}` takes the balancing loss
# away, `each=1` gives you sixteen wide experts, one of a token. (Ideas: sigmoids; a
# second expert only for those in doubt; the hash of a byte and the one before it in its
# text of 64; a bias that each batch corrects.)

# %%
from moe_lib.course.race_contest import enter_race
from moe_lib.routers.router import Router
from moe_lib.routers.token_choice import token_choice_table


class MyRouter(Router):
    def table(self, router_logits, noisy_logits, token_mask):
        # such as:
        # probs = router_logits.softmax(dim=1)
        # weights, experts = probs.topk(2, dim=1)
        # return token_choice_table(
        #     experts, weights, router_logits, probs, token_mask
        # )
        raise NotImplementedError


enter_race(MyRouter, runs, text, device=course.device)

# %% [markdown]
# ## What we saw
#
# - A choice among all tokens is a look at all tokens. Changing the last byte moves
#   answers before it under expert choice, and moves nothing under token choice, first
#   come first served, thresholds and predictors.
# - The leak flatters a model that reads whole texts, and more so where experts choose
#   within a text. A threshold repairs it at no price that we could measure.
# - In the race most sparse routers end close together, ahead of the dense model. What
#   separates the papers' routers at this size is often no more than what separates two
#   seeds.
# - The hash, which learns nothing, is among the best at the size of this course. That
#   is a finding about bytes and short training.
#
# You have followed one question through thirty years: *who should compute this?* A gate
# that blends everybody; the best few, with noise; the best two, if there is room; the
# best one; and at last the experts themselves. Take the layer that you now own, and look
# into the code of a model of this year. You will know most of its lines.
#
# ### References
#
# - Y. Zhou et al. (2022). Mixture-of-Experts with expert choice routing. *NeurIPS* 35,
#   arXiv:2202.09368.
# - D. Raposo, S. Ritter, B. Richards, T. Lillicrap, P. Humphreys, A. Santoro (2024).
#   Mixture-of-Depths: dynamically allocating compute in transformer-based language
#   models. arXiv:2404.02258.
# - D. Dai et al. (2024). DeepSeekMoE: towards ultimate expert specialization in
#   mixture-of-experts language models. arXiv:2401.06066.
# - S. Roller, S. Sukhbaatar, A. Szlam, J. Weston (2021). Hash layers for large sparse
#   models. *NeurIPS* 34, arXiv:2106.04426.
# - N. Shazeer et al. (2017). Outrageously large neural networks. *ICLR*,
#   arXiv:1701.06538 (appendix F).
