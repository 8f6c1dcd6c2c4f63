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
# # 0 · Start here
#
# @COLAB@
#
# **What is a mixture of experts, and how do you use this course?**
#
# *Reading:* ten minutes · *Running:* 10 seconds on two CPU cores ·
# *You need:* some PyTorch
#
# We will see
#
# - one network and two experts on the same data, and when the experts win;
# - a mixture of experts in five lines;
# - the one table that the whole course is about, and your own sentence routed;
# - how the course works, and whether your machine is ready for it.

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
import torch

from moe_lib.course import start

course = start()  # device, quick or full profile
course

# %% [markdown]
# ## See it first
#
# Eighty noisy points. Up to the middle they follow one straight line, after it
# another. Two models with about as many weights are fitted to them: one small
# network, and two straight lines with a **gate** that decides who speaks where.
# Run the cell: it fits both models to 33 versions of the data. Then drag the
# ring at the right end of the picture.

# %%
from moe_lib.course.toy import fit_toy
from moe_lib.figures.toy import toy_scene
from moe_lib.widgets import Player

fits = fit_toy(torch.linspace(-0.7, 0.9, 33))
Player(toy_scene(fits))

# %% [markdown]
# Near the middle of the slider both regimes join, and one net is enough. Move
# away from it: the net has to bend one curve through a jump, while each expert
# keeps its straight line and the gate turns over at the border. Nobody said
# where the border is, or which expert takes which side. That is the idea of a
# mixture of experts: **divide the inputs, not the outputs, and learn the
# division too**.

# %% [markdown]
# ## A mixture of experts in five lines
#
# An **expert** is a network. The **gate**, or **router**, is a network as well:
# it sees the same input and answers with one share per expert. The mixture's
# answer is the sum of the experts' answers by share,
#
# $$y = \sum_i p_i(x)\, o_i(x), \qquad p = \mathrm{softmax}(W x).$$

# %%
torch.manual_seed(0)
x = torch.randn(4, 3)  # [T, d]: four tokens
experts = [torch.nn.Linear(3, 2) for _ in range(5)]  # E = 5
gate = torch.nn.Linear(3, 5)

p = gate(x).softmax(dim=-1)  # [T, E]
o = torch.stack([expert(x) for expert in experts], dim=1)  # [T, E, 2]
y = (p.unsqueeze(-1) * o).sum(dim=1)  # [T, 2]
y.shape

# %% [markdown]
# The library says the same with a class. The reader owns the slow version, and
# a cell proves that the fast one is equal; you will see this in every chapter.

# %%
from moe_lib.models.adaptive_mixture import AdaptiveMixture

mixture = AdaptiveMixture(3, experts)
mixture.router.gate.load_state_dict(gate.state_dict())
assert torch.allclose(mixture.blend(x), y)
print("equal: five lines here, AdaptiveMixture in moe_lib")

# %% [markdown]
# ## The one table
#
# Thirty years of routers differ in one thing: **which expert sees which token,
# and what happens when too many want the same one**. The library writes this
# down as a table, a `Routing`, one row for each token and expert that meet:

# %%
from moe_lib.course.table import Table

_, routing = mixture(x)
rows = [
    [int(t), "ABCDE"[e], f"{w:.2f}", bool(k), int(s)]
    for t, e, w, k, s in zip(
        routing.token_index,
        routing.expert_index,
        routing.combine_weights,
        routing.kept,
        routing.position_in_expert,
    )
]
head = ["token", "expert", "weight", "kept", "slot"]
Table(head, rows[:7], "the first 7 of 20 rows")

# %% [markdown]
# One picture of it is a map, tokens by experts. An expert keeps its colour and
# its letter through the whole course; a mark is a row, the larger the more weight.

# %%
from moe_lib.figures import routing_map

routing_map(routing, title="Who serves whom under the gate of 1991?")

# %% [markdown]
# The gate of 1991 gives every token to every expert, so there are
# $4 \times 5$ rows. Later routers keep one or two rows a token and so save most
# of the arithmetic; then experts have room for only so many tokens, and rows
# turn up that are not *kept*. All of that is a change to this table:

# %%
print("tokens, experts:", routing.num_tokens, routing.num_experts)
print("rows:", len(routing.token_index))
print("served by each expert:", routing.tokens_per_expert.tolist())
assert torch.allclose(routing.dense().sum(dim=1), torch.ones(4))

# %% [markdown]
# ## Your sentence, routed
#
# Here are the routers of the next chapters, on a sentence of yours. The gate is
# real: a small language model of words, trained on the course's own text
# (`python -m moe_lib.widgets.train_small_router` trains it anew). Type something;
# then pull the capacity factor down and see tokens cross the wall.

# %%
from moe_lib.widgets import Playground

playground = Playground("switch")
playground

# %% [markdown]
# Each row is a token, each column an expert, each lane an expert's **buffer**.
# A token beyond the wall is **dropped**: no expert sees it. Take another router
# at the same capacity; lock one and compare two. A click on a cell of the map
# raises that token's logit, so you can push a token from expert to expert. What
# you see is a `Routing` like any other:

# %%
routing = playground.routing
print(type(routing).__name__, "of", routing.num_tokens, "tokens")
assert routing.kept.sum() == routing.tokens_per_expert.sum()

# %% [markdown]
# ## How the course works
#
# **Chapters** follow the papers, from 1991 on. Each one shows its phenomenon
# first, then the idea in a few lines, then an experiment on real data, and then
# a table of **claims**: what the paper says, what your machine measured, and a
# verdict that is computed. Some claims do not hold here, and the text says so.
# The book collects them on one page, the scoreboard.
#
# **Pictures.** An expert has a colour, a letter and a place, the same in all
# chapters. Figures can be zoomed and hovered over. What has a slider can be
# moved with the arrow keys, once you have clicked on it or reached it with Tab.
# None of it needs a running kernel: in the book the same pictures move as well.
# A notebook that you have not run yet shows a still.
#
# **Training** shows a progress bar, and you may stop it with the stop button (or
# Ctrl-C). A `Trainer` keeps what was learnt, and its `run` goes on from there. A
# cell that compares whole runs ends without a result: half a run would mislead.
# Run that cell again before you go on.
#
# **Profiles.** The *quick* profile runs each chapter in at most a minute and a
# half on two CPU cores. `start("full")` takes more seeds and more steps.
#
# **A GPU** is used where torch finds one: from chapter 2 on the language models
# and translators train on `course.device`, in mixed precision if the GPU
# multiplies bf16 (a T4 does not). In between they come back to the processor,
# where everything else is done, and what is smaller never leaves it. Numbers
# then differ from ours as with another version of torch, and "seconds" are the
# GPU's. `start(device="cpu")` leaves it alone. We had no GPU: tests on a
# pretended one show that a run there is the same run, not how fast it is.
#
# **Your numbers.** Everything is seeded: run a chapter twice, and all printed
# numbers are the same, seconds aside. Another processor changes last digits.
# Another version of Python or torch changes trained results, first of all since
# one kind of text is your Python's own source: about as much as another seed
# does, which tables show as ±. A verdict that was close may then turn.
#
# **Files.** Open the `.ipynb`, run it, write in it. The `.py` beside it is its
# source, for those who change the course. Exercises come with their solutions
# (below), and `make update` keeps aside what you wrote.
#
# **On Colab** click the badge at the top of a chapter. The first cell installs
# `moe_lib` and leaves Colab's own torch alone. For a GPU choose *Runtime,
# Change runtime type* before you start.
#
# **Exercises** check themselves as you run the cell. Try this one: replace
# `raise NotImplementedError` by your answer, and run.
#
# @EXERCISE 00.1@

# %%
from moe_lib.course import exercise, hint, solution


@exercise("00.1")
def blend(outputs, gates):
    """outputs [T, E, D], gates [T, E] -> [T, D]"""
    raise NotImplementedError


# %% [markdown]
# Until your function passes, the name stands for the reference, so the rest of
# a chapter always runs. A wrong answer is told with the smallest input on which
# it fails and, if it is a known one, with the likely mistake. `hint("00.1")`
# gives a push; `solution("00.1")` shows the reference.

# %%
assert torch.allclose(blend(o, p), y)

# %% [markdown]
# What you have done so far, over all chapters. It is kept in `progress.json`
# beside the notebooks; if you delete that file, it is forgotten and no more.

# %%
from moe_lib.course import progress

progress()

# %% [markdown]
# ## Is this machine ready?
#
# Run this cell when something seems wrong. The last column says what to do.

# %%
from moe_lib.course import self_test

self_test(course)

# %% [markdown]
# ## What we saw
#
# - Two experts and a gate beat one net of the same size where the data have two
#   regimes, and only there.
# - A mixture is a weighted sum whose weights are a function of the input.
# - A routing is a table; the rest of the course is about its rows.
#
# How do the experts find the division by themselves?
# [Chapter 1](01_adaptive_mixtures.ipynb) goes back to where it began.
