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
# # 2 · Outrageously large, and only k at work (2017)
#
# @COLAB@
#
# **How can a network have many times more weights than it uses for any one
# word, and still learn by plain back-propagation?**
#
# *Paper:* Shazeer, Mirhoseini, Maziarz, Davis, Le, Hinton and Dean,
# "Outrageously Large Neural Networks: The Sparsely-Gated Mixture-of-Experts
# Layer", ICLR 2017 · *Reading:* 30 minutes · *Running:* 60 seconds on two CPU
# cores, full profile eight minutes · *Builds on:*
# [chapter 1b](01b_from_one_gate_to_a_layer.ipynb)
#
# We will see
#
# - the winner take all, by itself, within a minute, and two small losses that
#   prevent it;
# - a gate that runs k experts of many and learns without any trick, as long as
#   k is more than one;
# - a count that has no slope, and the bell curve that gives it one;
# - language models with sixteen times the weights and the same arithmetic, and
#   what the extra weights need before they pay;
# - table 6 of the paper beside ours, row by row.

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
# A small language model reads twelve bytes and predicts the thirteenth. Its
# middle layer is a mixture of 16 experts, of which each byte gets two. The
# text comes from four domains that every installation has: English, Python,
# C++ and names from all over the world. We train it twice from the same start
# on the same bytes, once with two balancing losses and once without.

# %%
from moe_lib.data.text import load_text

text = load_text(course.pick(quick=800_000, full=2_600_000))
print(text)

# %%
from moe_lib.course.byte_runs import train_bytes
from moe_lib.course.byte_setup import Setup

small = Setup(num_experts=16, top_k=2, d_ff=128, steps=100, tokens=512)
both = train_bytes(small, text, device=course.device)
alone = small.but(w_importance=0, w_load=0)
none = train_bytes(alone, text, device=course.device)

# %%
from moe_lib.figures import history


def calm(run):
    """run.demand [steps, E] -> means over four steps, [frames, E]"""
    return run.demand.unflatten(0, (-1, 4)).mean(1)


history(
    {"no losses": calm(none), "both losses": calm(both)},
    steps=range(4, small.steps + 1, 4),
)

# %% [markdown]
# *Press play, and watch the upper row.* All experts start alike. One is a
# little better on the first bytes, gets more of them, learns more, and so on.
# Nobody planned it, and the task does not ask for it. The paper met the same
# and called it **self-reinforcing**; you saw it in chapter 1b as the winner
# who takes all. Most of the weights are then paid for and never used.

# %% [markdown]
# ## The idea in code
#
# In 1991 one case was one decision, and every expert ran for every case. Two
# things change. The mixture becomes a layer inside a network, asked at **every
# position of every text**: a batch of 32 texts of 64 bytes are $T = 2048$
# tokens, each with a choice of its own. And the choice is **sparse**: what the
# gate does not choose is not computed.
#
# $$y = \sum_{i} G(x)_i\, E_i(x), \qquad
# G(x) = \mathrm{Softmax}(\mathrm{KeepTopK}(H(x), k)),$$
# $$H(x)_i = (x W_g)_i + \mathcal N(0, 1) \cdot
# \mathrm{Softplus}\big((x W_{noise})_i\big).$$
#
# In words: a score for each expert, shaken by noise whose size is learnt too;
# the best k are kept, all others are set to minus infinity; the softmax then
# gives those exactly zero, and where $G_i = 0$ nobody need ask expert $i$.

# %%
from torch.nn.functional import softplus


def keep_top_k(h, k):
    value, index = h.topk(k, dim=1)  # [T, k]
    return torch.full_like(h, -torch.inf).scatter(1, index, value)


def noisy_top_k(x, w_gate, w_noise, k, noise):
    clean = x @ w_gate  # [T, E]
    spread = softplus(x @ w_noise)
    h = clean + noise * spread
    return keep_top_k(h, k).softmax(dim=1), clean, h, spread


# %% [markdown]
# `NoisyTopKRouter` answers with a table of rows (token, expert, weight) instead
# of a matrix that is mostly zeros. The same numbers:

# %%
from moe_lib.routers import NoisyTopKRouter

torch.manual_seed(0)
router = NoisyTopKRouter(d_model=8, num_experts=6, top_k=2).train()
for gate in (router.gate, router.noise):
    torch.nn.init.normal_(gate.weight)  # they start at zero: see below
x = torch.randn(100, 8)

torch.manual_seed(1)
routing = router(x)
torch.manual_seed(1)
noise = torch.randn(100, 6)
weights = router.gate.weight.T, router.noise.weight.T
g, clean, h, spread = noisy_top_k(x, *weights, 2, noise)
print("gates equal:", torch.allclose(routing.dense(), g))
print("experts with a gate above 0:", (g > 0).sum(1).unique().tolist())

# %% [markdown]
# **Why the noise?** A gate that is sure of itself would never try another
# expert. Noise gives the second best a chance, and its matrix lets the gate
# say *for which* inputs it is unsure.
#
# **Why start at zero?** With $W_g = W_{noise} = 0$ all scores are noise of
# size softplus(0) = ln 2. The first batches are spread by lot, which is as
# even as it gets, so no expert starts ahead, and no machine runs out of memory
# because one expert got everything.
#
# ### Softmax before or after?
#
# Tutorials disagree about the order. Move the slider over k:

# %%
from moe_lib.figures.softmax_order import softmax_order_scene
from moe_lib.widgets import Player

Player(softmax_order_scene(torch.tensor([2.0, 1.2, 0.3, -0.2, -0.5, -1.4])))

# %% [markdown]
# After the top-k (2017) or before it and **renormalised**: the same weights,
# since the softmax only knows ratios. Before it and *not*
# renormalised is another model, whose weights sum to less than one. Now look at
# k = 1. Renormalised, the one weight is always 1, and a constant has no slope:

# %%
for k in (1, 2):
    logits = torch.randn(50, 6, requires_grad=True)
    gates = keep_top_k(logits, k).softmax(dim=1)  # [T, E]
    answers = torch.randn(50, 6)  # of six experts, one number each
    (gates * answers).sum().backward()
    print(f"k = {k}: the gate learns:", bool((logits.grad != 0).any()))

# %% [markdown]
# That is why the paper asks for $k > 1$: two experts are compared on the same
# token, and the gate learns from the comparison. In 2021 Switch will need
# $k = 1$ and have to find a way round (chapter 4).

# %% [markdown]
# ### Two losses
#
# An expert's **importance** is the sum of its gates over a batch. Its spread
# over the experts, as the squared **coefficient of variation** (variance over
# squared mean, the variance of a population), is the first loss:
#
# $$\mathrm{Importance}(X) = \sum_{x \in X} G(x), \qquad
# L_{imp} = w_{imp}\, \mathrm{CV}(\mathrm{Importance}(X))^2.$$

# %%
from moe_lib.losses import importance_loss, load_loss


def cv_squared(v):
    return v.var(correction=0) / v.mean() ** 2


print(torch.allclose(cv_squared(g.sum(0)), importance_loss(routing)))

# %% [markdown]
# But an expert can have a large importance from few tokens with large gates,
# another the same from many with small ones, and the second runs out of
# memory. What should be even is the **load**, the *number* of tokens. A number
# has no slope: nudge a logit, and the count stays. So the paper asks instead
# how **probable** it is that expert $i$ is among the k, if its noise were drawn
# once more:
#
# $$P(x, i) = \Phi\!\left(\frac{(xW_g)_i - \mathrm{kth\_excluding}(H(x), k, i)}
# {\mathrm{Softplus}((xW_{noise})_i)}\right), \qquad
# \mathrm{Load}(X)_i = \sum_{x \in X} P(x, i).$$
#
# $\Phi$ is the normal distribution's CDF, and the threshold is the k-th largest
# score of *the others*: what $i$ has to beat. Drag the score of expert C:

# %%
from moe_lib.figures.load_estimator import load_estimator_scene

one = [v[3].detach() for v in (clean, h, spread)]  # one token's, [E]
Player(load_estimator_scene(*one, k=2, expert=2))

# %% [markdown]
# *Compare the curve with the step.* Counting is flat, then jumps. The
# probability is a smooth hill side, and the dots, 400 fresh draws each, lie on
# it. In code, and against 2,000 draws for each of our 600 cells:


# %%
def chance_to_be_chosen(clean, h, spread, k):
    best = h.topk(k + 1, dim=1).values  # [T, k + 1]
    chosen = h >= best[:, k - 1 : k]
    threshold = torch.where(chosen, best[:, k:], best[:, k - 1 : k])
    return torch.special.ndtr((clean - threshold) / spread)


# %%
from moe_lib.course.load_estimator import (
    monte_carlo_top_k,
    standard_errors_off,
)

p = chance_to_be_chosen(clean, h, spread, 2)
print("Load equal:", torch.allclose(p.sum(0), routing.expected_load))
same = torch.allclose(cv_squared(p.sum(0)), load_loss(routing))
print("load loss equal:", same)

draw = torch.Generator().manual_seed(0)
with torch.no_grad():
    often = monte_carlo_top_k(clean, h, spread, 2, 2000, draw)
    off = standard_errors_off(often, p, 2000)
print("all within four standard errors:", bool((off < 4).all()))

# %% [markdown]
# Both losses are *squared* CVs (summaries often drop the square), so both are
# scale-free: they ask how uneven, not how much. And where you read of an "expert
# diversity loss", the importance loss is meant. It evens out work; it does not
# make experts differ.

# %% [markdown]
# ## The experiment: more experts, the same arithmetic
#
# Now the promise of the title. We compare 1, 4, 16 and 64 experts. Each token
# uses four, each a quarter as wide as one layer would be, so the multiplications
# stay what they are, while of 64 experts' weights a sixteenth is at work. The
# router multiplies too, with two matrices; the dense model gets the largest
# router's share as extra width. Asserting is cheap. Here is the count:

# %%
from moe_lib.course.claims_02_exact import surplus
from moe_lib.course.measurements_02 import sizes

base = Setup(
    steps=course.pick(quick=160, full=1000),
    tokens=course.pick(quick=1024, full=2048),
)
models = sizes(base)
for experts, setup in models.items():
    size = setup.feed_forward
    print(
        f"{experts:>2} experts of width {size.d_ff:>3}:",
        f"{size.total_parameters:>9,} weights,",
        f"{size.active_parameters:>6,} of them at work",
    )
print("FLOPs per token beyond the dense model's:", surplus(models))

# %%
seeds = range(course.pick(quick=3, full=5))
runs = {
    experts: [
        train_bytes(setup, text, seed, device=course.device) for seed in seeds
    ]
    for experts, setup in models.items()
}

# %%
from moe_lib.figures.learning_curves import learning_curves

learning_curves(runs)

# %% [markdown]
# *Follow the lower lines, the runs against the dense model; above zero a mixture
# has paid for itself.* All models see the same bytes. Each of 64 experts gets a
# sixteenth of them, so its weights learn more slowly: in a short run the largest
# model comes last. Give it time, and the order turns round. These are the
# stored runs, six times as many steps of twice the size:

# %%
from moe_lib.course.measurements import stored
from moe_lib.figures.equal_arithmetic import equal_arithmetic

equal_arithmetic(stored("02-experts"))

# %% [markdown]
# *Read the panels one by one; they answer different questions.* From 4 experts
# on, predictions get better with every step up, on new text as on the text
# that was learnt. Arithmetic stays. Weights and the memory to train them grow;
# so does the time, since many small products are slower than one large one
# (chapter 2b measures that). The dense model had three learning rates to choose
# from and the mixtures one; it is wider by the arithmetic of the largest
# router; so if anybody is flattered, it is the dense one. Four experts of which
# all four work have no weights to gain, and do not beat it.
#
# ### The model of the paper: LSTM, mixture, LSTM
#
# Shazeer's network is recurrent: an **LSTM** reads the text, the mixture sees
# every position, a second LSTM predicts. All time steps go through the experts
# at once, as one large batch. The same four sizes, stored:

# %%
equal_arithmetic(stored("02-lstm"))

# %% [markdown]
# *The same order, smaller steps.* The LSTMs have most of the work here, so the
# layer between them has less to give. Train one now, to look inside:

# %%
lstm = Setup(
    model="lstm",
    d_ff=128,
    tokens=2048,
    steps=course.pick(quick=150, full=1500),
)
reader = train_bytes(
    lstm, text, label="LSTM, 16 experts", device=course.device
)

# %%
from moe_lib.course.placed import place
from moe_lib.figures.byte_text import byte_text

placed = place(reader.model, lstm, text)
byte_text(placed, stretch=5)

# %% [markdown]
# *Follow one sign through the lines*: a space, a line's end, an *s*. It keeps
# its expert, or shares two or three. The paper's table 9 lists what three of 2,048 experts
# liked. Here is ours, in full. *× 7* means: seven times as frequent among this
# expert's bytes as among all; the byte in ‹ › is the one being read.

# %%
from moe_lib.course.likes import likes_table

likes_table(placed)

# %% [markdown]
# It is tempting to name them, "the Python expert". So ask first what they
# follow: how much does an expert's letter tell you about the domain, how much
# about the byte that it reads?

# %%
from moe_lib.figures.who_follows_what import who_follows_what

who_follows_what(placed)

# %% [markdown]
# *Look at the last row first: it is all of the text.* An expert that followed
# nothing would look like it. As numbers, in bits, and beside them the same
# network before training, with a gate drawn at random:

# %%
from moe_lib.course.information import information
from moe_lib.figures.who_follows_what import what_experts_tell

fresh = lstm.but(noise=False)  # its gate starts at random, not at zero
torch.manual_seed(0)
untrained = place(fresh.build(), fresh, text)
what_experts_tell(
    {
        "trained": [information(placed)],
        "untrained": [information(untrained)],
    }
)

# %% [markdown]
# *Compare the marks with the lines across (all there is to tell) and the dotted
# one (what the byte alone says about the domain).* The expert tells much about
# the byte, and little about the domain: less than the byte itself would. And
# now the sobering mark: an untrained gate follows the byte as well, since the
# network's input is the byte. **Specialised** is not the same as **expert in a
# subject**. These are experts in letters, and partly by birth.

# %% [markdown]
# ## Table 6: what the losses do
#
# The headline. The paper trains 256 experts with six pairs of coefficients; our
# stored runs train 64, for a thousand steps, on three seeds:

# %%
from moe_lib.course.table_6 import table_6

table_6(stored("02-table6"))

# %%
from moe_lib.figures.table_6 import table_6_figure

table_6_figure(stored("02-table6"))

# %% [markdown]
# *Go down the columns.* Row one is the collapse, and it costs about as much of
# the perplexity as it did in the paper. Either loss prevents it, and each does
# its own job best: importance evens importance, load evens load and holds down
# the busiest expert. (You may read that 0.1 and 0.1 came out best. In the paper
# it is a tie, and here too.) Then look at the row with the largest coefficients.

# %% [markdown]
# The movie at the start was the first row. The rows whose claims we judge below
# are now trained here too, with 16 experts and a hundred steps:

# %%
from moe_lib.course.measurements_02 import balance_columns, weight_name

weights = (0, 0), (0.2, 0), (0, 0.2), (0.1, 0.1), (1, 1)
setups = {
    weight_name(w): small.but(w_importance=w[0], w_load=w[1]) for w in weights
}
three = range(course.pick(quick=3, full=5))
rows = balance_columns(
    {
        name: [
            train_bytes(setup, text, seed, device=course.device)
            for seed in three
        ]
        for name, setup in setups.items()
    }
)

# %% [markdown]
# ## Break it
#
# **Too much balance.** In the paper ten times the coefficients change nothing.
# Here they cost about as much as the collapse. The losses are computed on a
# batch. Theirs had some 300,000 words, ours has 2,048 bytes, 128 for each
# expert: the load is uneven by chance alone, and a strong loss may make the
# router fight noise. That is a guess. What it is not, we tried: without the
# clipping of the gradient, or at a lower learning rate, the row stays bad.
#
# **One expert per token.** Train with k = 1 and no losses, then look at the
# gate:

# %%
alone = small.but(top_k=1, w_importance=0, w_load=0, steps=60)
single = train_bytes(alone, text, device=course.device)
gate = single.model.body.ffns[0].router.gate
demand = place(single.model, alone, text).routing.demand_per_expert
print("largest weight of the gate:", gate.weight.abs().max().item())
print("experts at work without noise:", int((demand > 0).sum()))

# %% [markdown]
# Sixty steps, and the gate is still exactly zero. In training the noise hid it:
# every expert got its share by lot. Without noise all scores are equal, ties go
# to the first, and one expert does everything.

# %% [markdown]
# ## The paper's claims, and ours

# %%
from moe_lib.course import ClaimsTable
from moe_lib.course.claims_02 import (
    balance_claims,
    cited_claims,
    size_claims,
    stored_claims,
)
from moe_lib.course.claims_02_exact import exact_claims
from moe_lib.course.measurements_02 import size_columns

long_claims = stored_claims()
_, *by_size = size_claims(size_columns(runs))  # 4 against 1: too close so far
now = [*balance_claims(rows), *by_size]
names = {claim.id for claim in now}
ClaimsTable(
    *exact_claims(models),
    *now,
    *(claim for claim in long_claims if claim.id not in names),
    *cited_claims(),
    stored=long_claims,
)

# %% [markdown]
# Balance comes out in a minute, on a laptop, from a model a thousandth of
# theirs. Quality needs time: only the stored runs show what the experts add.
# What did not reproduce is marked so; the noise, praised for helping the
# balance, does not prevent the collapse by itself.

# %% [markdown]
# ## Your turn
#
# Run a cell as it is and it says *not written yet*; the chapter goes on with
# the reference. `hint("02.1")` and `solution("02.1")` are there.
#
# @EXERCISE 02.1@

# %%
from moe_lib.course import exercise, hint, solution


@exercise("02.1")
def keep_the_best(h, k):
    """h [T, E] -> [T, E], -inf outside the k largest of each row"""
    raise NotImplementedError


# %% [markdown]
# @EXERCISE 02.2@


# %%
@exercise("02.2")
def load_estimator(clean, noisy, spread, k):
    """each [T, E] -> the chance to be chosen [T, E]"""
    raise NotImplementedError


# %% [markdown]
# @EXERCISE 02.3@


# %%
@exercise("02.3")
def importance(gates):
    """gates [T, E] -> CV squared of the experts' importance"""
    raise NotImplementedError


# %% [markdown]
# **02.4 (stretch, open).** Beat table 6: a router whose load is evener than the
# reference's (both losses at 0.1), at a perplexity that is no worse. Both get
# the same bytes, steps and three seeds, four of 16 experts for each token, and
# nothing is dropped. Ten seconds the first time. It can be won.

# %%
from moe_lib.course.router_contest import score_router


class MyRouter(NoisyTopKRouter):
    def forward(self, x, token_mask=None, token_ids=None):
        """x [T, 64] -> Routing, 4 of 16 experts for each token"""
        raise NotImplementedError


my_losses = None  # or {loss_of_a_routing: coefficient}
score_router(lambda: MyRouter(64, 16, top_k=4), my_losses)

# %% [markdown]
# ## What we saw
#
# - Left alone, a sparse gate collapses within a hundred steps. It needs no bad
#   luck, only a start.
# - Top-k with minus infinity, a softmax over what is left, noise of a learnt
#   size, zeros at the start: that is the whole router. It learns by comparing
#   two experts, so with one it learns nothing.
# - Importance has a slope, load has none. The chance of being chosen again has
#   one, and adds up to the load.
# - Sixteen times the weights at the same arithmetic do predict better, after
#   enough tokens. In a short run they predict worse.
# - The experts follow letters, not subjects, and some of that they had before
#   they learnt anything.
# - Some balance is nearly free. None at all costs a tenth of the perplexity, and
#   ten times as much costs about the same.
#
# The arithmetic per token stays; so where is the bill? Each of 64 experts sees
# a sixteenth of the batch, all of them must be held in memory, and tokens must
# travel to them. [Chapter 2b](02b_what_experts_cost.ipynb) counts.
#
# ### References
#
# - N. Shazeer, A. Mirhoseini, K. Maziarz, A. Davis, Q. Le, G. Hinton, J. Dean
#   (2017). Outrageously large neural networks: the sparsely-gated
#   mixture-of-experts layer. *ICLR*, arXiv:1701.06538.
# - D. Eigen, M. Ranzato, I. Sutskever (2013). Learning factored
#   representations in a deep mixture of experts. *arXiv:1312.4314*.
# - Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin (2003). A neural
#   probabilistic language model. *JMLR* 3: the model of the sweeps.
# - S. Hochreiter, J. Schmidhuber (1997). Long short-term memory. *Neural
#   Computation* 9, 1735-1780.
