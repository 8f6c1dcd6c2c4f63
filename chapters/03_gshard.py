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
# # 3 · Room for so many, and no more (2020)
#
# @COLAB@
#
# **What if every expert had a fixed number of places, and whoever comes too late
# is not served?**
#
# *Paper:* Lepikhin, Lee, Xu, Chen, Firat, Huang, Krikun, Shazeer and Chen,
# "GShard: Scaling Giant Models with Conditional Computation and Automatic
# Sharding", ICLR 2021 · *Reading:* 30 minutes · *Running:* 40 seconds on two CPU
# cores · *Builds on:* [chapter 2](02_outrageously_large.ipynb) and
# [2b](02b_what_experts_cost.ipynb)
#
# We will see
#
# - your own sentence overflow, and what a larger **capacity** or smaller
#   **groups** do to it;
# - algorithm 1 of the paper, line by line, and why each line is there;
# - a loss that nobody wanted, standing in for one that has no slope;
# - how many tokens are dropped, as probability says and as we count;
# - names in ten languages, learnt by heart, and phrases in ten languages,
#   translated: what experts are good for, and for how much.

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
# ## See it first: a sentence overflows
#
# Each expert has room for a fixed number of tokens, and each token asks two
# experts. Put your own sentence below (its first 32 tokens count), run the
# cell, and move both sliders.

# %%
from moe_lib.figures.slots_scene import slots_scene
from moe_lib.widgets import Player

sentence = (
    "Every morning the two old bakers of our town carry warm bread up the"
    " hill, and the children who wait at the school gate take the first"
    " piece while it is hot."
)
Player(slots_scene(sentence))

# %% [markdown]
# *Pull the capacity factor down.* The wall moves left, and marks beyond it
# turn hollow: those tokens came too late. A word that both of its experts
# turned away is struck out. No expert reads it; its layer is the residual
# connection alone. *Now take more groups.* There are as many places as before,
# but each group has its own share of them, and a place that is empty in one
# group is of no use to another. At factor 2, with four experts, there is a
# place for every token that could come.

# %% [markdown]
# ## The idea in code: Algorithm 1
#
# A **group** is a part of the batch with its own places: of $N$ tokens in $G$
# groups each has $S = N/G$, and at each of $E$ experts a **capacity** of
# $C = 2N/(G E)$ places (two choices for each token, dealt out evenly) times the
# capacity factor. GShard's Algorithm 1 goes through a group twice. The numbers in
# the comments are its lines:

# %%
import torch
from torch.nn import functional as F


def top_2(row):  # of equal gates the lower index comes first
    e1, e2 = sorted(range(len(row)), key=lambda e: -row[e])[:2]
    return row[e1], e1, row[e2], e2


def algorithm_1(g, C, rnd):  # one group: gates [S, E], draws [S]
    S, E = g.shape
    G, m = torch.zeros_like(g), g.mean(0)  # 3
    position = torch.zeros(S, 2, dtype=torch.int64)
    kept = torch.zeros(S, 2, dtype=torch.bool)
    c = [0] * E  # 1
    for s, row in enumerate(g.tolist()):  # 4
        g1, e1, g2, e2 = top_2(row)  # 5
        position[s, 0] = c[e1]  # 7
        if c[e1] < C:  # 8
            G[s, e1], kept[s, 0] = g1 / (g1 + g2), True  # 6, 9
        c[e1] += 1  # 11
    l_aux = sum(c[e] / S * m[e] for e in range(E)) / E  # 13
    for s, row in enumerate(g.tolist()):  # 14
        g1, e1, g2, e2 = top_2(row)  # 15
        position[s, 1] = c[e2]  # 18
        g2 = g2 / (g1 + g2)  # 16
        if c[e2] < C and 2 * g2 > rnd[s]:  # 17, 19
            G[s, e2], kept[s, 1] = g2, True  # 20
        c[e2] += 1  # 22
    return G, position, kept, l_aux


# %% [markdown]
# Every line has its reason.
#
# | lines | what | why |
# |---|---|---|
# | 2, 3 | softmax gates $g$ and their mean $m$ over the group | the loss needs something with a gradient |
# | 6, 16 | the two gates divided by their sum, before anyone is dropped | a survivor's weight does not grow when its partner is lost |
# | 4, 14 | first choices of all tokens, then second ones | nobody loses a first choice to somebody's second |
# | 7, 8 | the counter is the position in the buffer | position $C$ is the first without a place |
# | 11, 22 | the counter goes on when the buffer is full | it counts demand; line 13 balances what was asked, not what was served |
# | 17, 19 | a second expert with probability $2 g_2$ | $g_2 \le 1/2$: near a tie it is sent almost always, with a small weight seldom |
# | none | a token that nobody took keeps $\mathcal G_s = 0$ | its output is 0, and the residual carries it on |
#
# The loop is clear and slow. Counters are cumulative sums, and all groups can
# be done at once:


# %%
def by_hand(gates, C, rnd):  # group by group: [G, S, E], [G, S]
    groups = [algorithm_1(g, C, r) for g, r in zip(gates, rnd)]
    return [torch.stack(part) for part in zip(*groups)]


def vectorised(gates, C, rnd):  # all groups at once
    S, E = gates.shape[1:]
    order = gates.sort(dim=-1, descending=True, stable=True).indices
    chosen = order[..., :2]  # [G, S, 2]
    g = gates.gather(-1, chosen)
    g = g / g.sum(-1, keepdim=True)
    first, second = F.one_hot(chosen, E).unbind(2)  # [G, S, E] each
    c = first.sum(1, keepdim=True)  # [G, 1, E], after the first loop
    queue = torch.stack([first.cumsum(1), c + second.cumsum(1)], 2)
    position = queue.gather(-1, chosen[..., None])[..., 0] - 1
    drawn = torch.stack([torch.ones_like(rnd), 2 * g[..., 1] - rnd], -1) > 0
    kept = (position < C) & drawn
    G = torch.zeros_like(gates).scatter(-1, chosen, g * kept)
    l_aux = (c[:, 0] * gates.mean(1)).mean(-1) / S
    return G, position, kept, l_aux


# %% [markdown]
# Are they the same, and is `GShardRouter` of the library? Try a thousand
# random cases with the same draws: ties, one place, one token, two experts,
# everybody at one expert, several groups.

# %%
from moe_lib.course.algorithm_1 import agreement_table, disagreements

wrong = disagreements(by_hand, vectorised)
agreement_table(wrong)

# %% [markdown]
# ## The loss that makes room
#
# Even demand would make the mean of $(c_e/S)^2$ as small as it can be. But
# $c_e$ is a count. So one of the two factors is replaced by the mean gate
# $m_e$, which follows the count and has a gradient:

# %%
torch.manual_seed(0)
S, E = 64, 8
logits = torch.randn(S, E, requires_grad=True)
gates = logits.softmax(-1)
c = gates.argmax(-1).bincount(minlength=E)
m = gates.mean(0)

wanted = (c / S).square().mean()
l_aux = (m * c / S).mean()  # line 13
slope = torch.autograd.grad(l_aux, m, retain_graph=True)[0]
print("the mean square has a gradient:", wanted.requires_grad)
print("l_aux has one:", l_aux.requires_grad)
print("it is c / (S E):", torch.allclose(slope, c / (S * E)))

# %% [markdown]
# The busier an expert, the steeper its mean gate is pushed down. Everybody has
# this loss, and hardly two write it in the same way. At balance, and when all
# tokens want one expert ($E = 8$, $k = 2$):

# %%
from moe_lib.course.balance_conventions import conventions_table

conventions_table()

# %% [markdown]
# So a balance loss of 1 in one log is 1/64 in another and 2 in a third; ask
# for the formula before you copy a coefficient. GShard counts first choices
# only. `load_balancing_loss` here counts all choices, before anything is
# dropped, and divides by $k$. For top-1 the two are the same up to $E^2$:

# %%
from moe_lib.losses import load_balancing_loss
from moe_lib.routers import SwitchRouter

top_1 = SwitchRouter(1, E).route(logits)
same = torch.allclose(E**2 * l_aux, load_balancing_loss(top_1))
print("E² l_aux is the library's loss:", same)

# %% [markdown]
# ## Who is dropped?
#
# Even with perfectly balanced gates the tokens of one group do not arrive
# evenly. If each token asks an expert with chance $2/E$, its queue is
# binomial, and what stands beyond the wall is $\mathbb E[\max(0, N - C)]$ with
# $N \sim \mathrm{Bin}(S, 2/E)$. Lines are this sum; marks are 1,024 tokens
# through `GShardRouter`, with eight experts:

# %%
from moe_lib.course.overflow import drops_by_balance, drops_by_factor
from moe_lib.figures.overflow import drop_curves

by_factor = drops_by_factor(seeds=course.pick(quick=12, full=40))
drop_curves(by_factor, "capacity factor")

# %% [markdown]
# *Look at factor 1.* All four have the same number of places. A count of mean
# $\mu$ strays by about $\sqrt\mu$, so its share that strays grows as groups
# shrink: four times as many groups, about twice the drops. Groups are what
# makes routing local and fast; this is their price. A quarter more room pays
# it for large groups, not for small ones.
#
# And if the gates are not balanced?

# %%
by_balance = drops_by_balance(seeds=course.pick(quick=12, full=40))
drop_curves(
    by_balance,
    "busiest expert's first choices, in fair shares",
    title="What do uneven gates cost?",
)

# %% [markdown]
# *Follow one line to the right.* Room helps against chance. Against a router
# that prefers some experts it is expensive: every expert gets the larger
# buffer, and the popular one fills it. That is why there is a loss.
#
# What does the lottery for the second expert free? A second expert of little
# weight is left out "to conserve the overall expert capacity", the paper says.
# Three rules on the same gates and draws, groups of 16, factor 1:

# %%
from moe_lib.course.second_expert import lottery_table, run_lottery

lottery = run_lottery()
lottery_table(lottery)

# %% [markdown]
# *Compare the third column.* The number before the brackets is by probability.
# First choices never notice the lottery, since they queue first. As printed,
# Algorithm 1 counts the declined too, so no second choice gets a better place:
# the lottery saves work, not room. Code of that time (Mesh TensorFlow,
# fairseq) takes the declined out before it counts, and then their places go to
# others. `GShardRouter` follows the print.

# %% [markdown]
# ## The experiment: a memory for names
#
# What are experts good for? GShard's answer: many languages in one model. We ask
# in two tasks, and get two answers. The first: nothing in "Deutschland" says
# "Germany"; a model knows it or does not. A very small network is to keep six
# thousand names of countries, languages and currencies, from ten languages of
# unequal size. Three networks: **dense**; a **mixture** of eight experts in every
# other layer that multiplies as much for each name; and **wide**, a dense one with
# as many parameters as the mixture, which multiplies more.

# %%
from moe_lib.data.lookup import load_lookup

data = load_lookup()
data

# %%
from moe_lib.course.lookup_runs import groups_of, train_lookup
from moe_lib.course.lookup_setup import ARMS, Setup
from moe_lib.course.measurements_03_lookup import lookup_columns
from moe_lib.figures.lookup import names_recalled

setup = Setup(steps=course.pick(quick=800, full=2000))
runs = {arm: [train_lookup(setup.but(arm=arm), data)] for arm in ARMS}
names_recalled(lookup_columns(runs), groups_of(data), setup)

# %% [markdown]
# *Look at the first group, then at the last.* At equal arithmetic the mixture
# remembers more, about as much as the wide model. Names that nobody taught it
# are no better known: memory is not generalisation. Five seeds, longer, each
# network at the best of three learning rates:

# %%
from moe_lib.course.lookup_tables import arms_table
from moe_lib.course.measurements import stored

arms_table(stored("03-lookup"))

# %% [markdown]
# A step of the mixture takes longer on a processor, so the table gives the dense
# model twice the steps as well. The roomy row shows what tight buffers and the
# lottery cost here. And mind the groups: the paper saw experts help languages with
# much data most. Here those with little gain most. One reading: the dense model
# spends its memory on the languages that it meets most. (Part of it is the learning
# rate: the dense model's best one is higher, and high rates forget what is rare.)
#
# Is it capacity, then? Make everything wider:

# %%
from moe_lib.figures.lookup_widths import names_by_width

widths = stored("03-lookup-widths")
names_by_width(widths, widths.data["config"]["widths"])

# %% [markdown]
# *Slide.* Far too narrow, experts help little. Wide enough, the dense model knows
# everything too. The gap lives in between, where memory is short.
#
# And who shares whose experts? The rows are languages, counted over source names
# only; letters of experts mean nothing across seeds.

# %%
from moe_lib.course.language_sharing import sharing, sharings_from
from moe_lib.figures.language_sharing import language_sharing

languages = stored("03-languages")
trained, untrained = (
    sharings_from(languages, name) for name in ("trained", "untrained")
)
mine = sharing(runs["mixture"][0].model, data)
language_sharing([mine, trained[1]], ["yours", "stored"])

# %%
from moe_lib.course.lookup_tables import sharing_table

sharing_table({"trained": trained[:2], "untrained": untrained[:2]})

# %% [markdown]
# *Latin script above, others below.* French and Spanish mostly go to the same
# experts. An untrained router tells the languages apart as well, or better, since each
# starts as a random vector of its own. What training brings is that like languages
# come together.

# %% [markdown]
# ## The experiment: translation
#
# Names are memory. Translation is more: dates are turned round, numerals copied,
# lists joined. Babel writes such phrases in any language, and the same phrase in
# two languages is a pair to learn from. Ten languages into English, thousands of
# pairs of the largest and hundreds of the smallest; an encoder-decoder with a
# mixture in every other layer of both sides, against a dense one with as much
# arithmetic. Watch both for a while:

# %%
from moe_lib.course.measurements_03_translation import columns_of
from moe_lib.course.translation_runs import train_translation
from moe_lib.course.translation_setup import QUICK, arms
from moe_lib.data.translation import SIZES, load_translation

half = {code: n // 2 for code, n in SIZES.items()}
phrases = load_translation(half, num_test=27, max_length=32)
small = QUICK.but(steps=course.pick(quick=320, full=1600))
race = {
    name: train_translation(arms(small)[name], phrases, device=course.device)
    for name in ("dense", "experts")
}

# %%
from moe_lib.figures.translation import translation_quality

columns = columns_of({n: [run] for n, run in race.items()}, phrases)
translation_quality(columns, "nats")

# %%
from moe_lib.course.translations_shown import translations_table

translations_table(race, phrases)

# %% [markdown]
# *Read the last columns.* After so few steps both have the form of a phrase, a
# number now and then, and no names. Which of them is ahead is chance. Three seeds
# of larger models for longer, with a third that has twice the layers (and so twice
# the arithmetic); lower is better:

# %%
translation_quality(stored("03-translation"), "nats")

# %% [markdown]
# *Read the left half, then the right.* After as many steps the experts are ahead,
# with every kind of phrase. A step takes them a little longer, and after as much
# time the two are level. Depth gains most for each step and costs twice the
# arithmetic; in the same time it is far behind. The paper saw experts help the
# languages with much data and depth those with little. Here both help all of them,
# and three seeds do not tell the groups apart.
#
# Would more steps turn the order at equal time, with more languages and fewer dates?
# Thirty languages:

# %%
from moe_lib.figures.translation import translation_turn

many = stored("03-translation-long")
translation_turn(many, many.data["config"]["checkpoints"])

# %% [markdown]
# *Follow the line of equal time.* It begins below zero, where dense is better, and
# crosses it. An expert sees a quarter of the tokens, so it may need longer to pay.
# (More steps, more languages or fewer dates? They changed together, and two seeds do
# not say which.) Note the height, too: experts gain far less here than they did with
# the names. Facts are theirs; rules are for everyone.

# %% [markdown]
# ## The paper's claims, and ours

# %%
from moe_lib.course import ClaimsTable
from moe_lib.course.claims_03 import (
    algorithm_claims,
    drop_claims,
    loss_claims,
    stored_claims,
)
from moe_lib.course.claims_03_lookup import arithmetic_claim as names
from moe_lib.course.claims_03_translation import arithmetic_claim as phrase

ClaimsTable(
    *algorithm_claims(wrong),
    *loss_claims(),
    *drop_claims(by_factor, by_balance, lottery),
    names(),
    phrase(small, len(phrases.characters)),
    *stored_claims(),
)

# %% [markdown]
# ## Your turn
#
# @EXERCISE 03.1@

# %%
from moe_lib.course import exercise, hint, solution


@exercise("03.1")
def positions(chosen, num_experts):
    """choices [T, k] of one group -> places in the queues [T, k]"""
    raise NotImplementedError


# %% [markdown]
# @EXERCISE 03.2@


# %%
@exercise("03.2")
def overflow(chosen, num_experts, group_size, capacity):
    """choices [T, k] -> [T] bool, True where no expert took the token"""
    raise NotImplementedError


# %% [markdown]
# ## What we saw
#
# - A buffer of fixed size makes routing a matter of arithmetic alone, and turns
#   late tokens away. The residual carries them.
# - Algorithm 1 is a queue for each expert: first choices, then second ones, and
#   counters that count what was asked.
# - The mean square of counts has no slope. Its stand-in is a product, with
#   another value at balance in every library.
# - Drops follow the binomial law: the smaller the group, the more stray. Uneven
#   gates cost more than chance does.
# - Experts are memory. Where memory is short they give more for the same
#   arithmetic; where there is enough, nothing. A translator gains a little for each
#   step, and in as much time only if it trains for long.
#
# All of this ran in one process. The paper's largest model had 600 billion
# weights, far too many for one machine. The experts must live elsewhere, and the
# tokens must travel: [chapter 3b](03b_experts_on_other_machines.ipynb).
#
# ### References
#
# - D. Lepikhin, H. Lee, Y. Xu, D. Chen, O. Firat, Y. Huang, M. Krikun,
#   N. Shazeer, Z. Chen (2021). GShard: scaling giant models with conditional
#   computation and automatic sharding. *ICLR*, arXiv:2006.16668.
# - Unicode Consortium. Common Locale Data Repository, through Babel: the names,
#   dates and lists in all languages.
