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
# # 4 · One expert is enough (2021)
#
# @COLAB@
#
# **Everybody knew that a router must compare at least two experts to learn.
# What if it sends each token to one only?**
#
# *Paper:* Fedus, Zoph and Shazeer, "Switch Transformers: Scaling to Trillion
# Parameter Models with Simple and Efficient Sparsity", JMLR 2022 (2021) ·
# *Reading:* 30 minutes · *Running:* 30 seconds on two CPU cores · *Builds on:*
# [chapter 3](03_gshard.ipynb)
#
# We will see
#
# - your sentence through one expert instead of two, at the same room: who is
#   lost, who works, what travels;
# - how a router learns that is never shown a second opinion;
# - transformers with up to 32 experts and one token's arithmetic: what the
#   famous "7 times faster" is a ratio of, and what it is here;
# - table 1 of the paper beside ours;
# - two knobs, room and pressure, and what they cost.

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
# ## See it first: two opinions, or one
#
# Chapter 3 gave each word two experts. Give it one. Put your own sentence below
# (its first 32 tokens count), run the cell, and move the slider.

# %%
from moe_lib.figures.one_or_two_scene import one_or_two_scene
from moe_lib.widgets import Player

sentence = (
    "Our train left Berlin at 7:45, stopped twice for snow, and reached"
    ' Prague by noon: "late again", said Anna, who had read 300 pages of'
    " her book."
)
Player(one_or_two_scene(sentence))

# %% [markdown]
# *Look at factor 1.* Both sides have the same buffers: **capacity factor** times
# tokens / experts places at each expert, whatever $k$. That is how Switch counts.
# (Chapter 3's factor counts both choices in: GShard's 1 is 2 here.) Top-2 asks
# for twice as many places as there are. First choices queue first, so second ones
# find the busy experts full. They seldom save a word that the right side loses.
#
# *Now go to factor 2.* The second choices get in, and this is what they cost:
# more rows through experts, more rows that travel. Where buffers have a fixed
# size, empty places cost as much as full ones, and the factor is a price. One
# expert is content with half of it. (One short sentence is far less even than a
# large batch. Do not read a drop rate from it.)

# %% [markdown]
# ## The idea in code
#
# Why did everybody ask for $k > 1$? In chapter 2 the gate learnt nothing from
# one expert: a single weight, renormalised, is always 1. Switch keeps the
# probability as it is:
#
# $$p = \mathrm{softmax}(W_r x), \qquad i = \mathrm{argmax}_j\, p_j, \qquad
# y = p_i\,E_i(x).$$
#
# The weights no longer sum to 1. But $p_i$ moves with every logit:

# %%
import torch

torch.manual_seed(0)
logits = torch.randn(50, 6, requires_grad=True)
answers = torch.randn(50)  # of the chosen expert, one number each
best = logits.softmax(dim=1).max(dim=1, keepdim=True).values
for name, weight in {
    "renormalised": best / best.sum(dim=1, keepdim=True),
    "the probability": best,
}.items():
    (slope,) = torch.autograd.grad(
        (weight[:, 0] * answers).sum(), logits, retain_graph=True
    )
    print(f"{name}: the router learns:", bool((slope.abs() > 1e-6).any()))

# %% [markdown]
# What does it learn? If more of $E_i(x)$ lowers the loss, $p_i$ rises, and all
# others fall. It compares nobody: only the expert that was asked has answered.
# The layer in the obvious lines:

# %%
import math

from torch.nn import functional as F


def switch_layer(x, W, experts, capacity_factor):
    T, E = len(x), len(W)
    logits = x.float() @ W.float().T  # [T, E], in float32
    p = logits.softmax(dim=-1)
    i = logits.argmax(dim=-1)  # [T], of equals the first
    capacity = math.ceil(capacity_factor * T / E)
    arrivals = F.one_hot(i, E)  # [T, E]
    position = (arrivals.cumsum(0) * arrivals).sum(1) - 1  # from 0
    kept = position < capacity
    y = torch.zeros_like(x)  # dropped: it stays 0
    for e in range(E):
        mine = kept & (i == e)
        y[mine] = p[mine, e, None] * experts.one(e, x[mine])
    return y


# %% [markdown]
# Is it `SwitchRouter` of the library, gradients of router and experts included?
# Try random layers: ties, one place, one token, everybody at one expert.

# %%
from moe_lib.course.switch_layer import differences, differences_table

worst = differences(switch_layer)
differences_table(worst)

# %% [markdown]
# **One expert is the dense layer.** With $E = 1$ the softmax of a single logit
# is exactly 1, and at factor 1 everybody has a place. So the layer is a dense
# feed-forward layer, to the bit, in all gradients; its router gets none:

# %%
from moe_lib.course.switch_layer import dense_differences

wrong, layers = dense_differences()
print(f"{wrong} of {layers} layers differ from a dense one in any bit")

# %% [markdown]
# ### So few lines, and yet
#
# These are slips of published code: of libraries, of a well-read tutorial, even
# of the listing in the paper (the released code has neither of its two). For each
# there is an input that shows it. The slip's own formula answers, then the
# library.

# %%
from moe_lib.course.published_slips import slips_table

slips_table()

# %% [markdown]
# *Look at what they have in common.* None of them crashes. A layer that wastes
# one place of each expert, or whose loss looks balanced because the dropped were
# counted as expert A's, only learns a little less. A check with one right answer
# is what finds them.

# %% [markdown]
# ## The experiment: many experts, one token's arithmetic
#
# A small decoder reads 64 bytes of English, Python, C++ or names. In the first
# of its two feed-forward layers Switch puts 16 experts, each as wide as the
# **dense** model's layer. A byte goes through one, so the arithmetic is the
# same; the dense model gets a few hidden units more, in exchange for the router.
# Train both on the same bytes:

# %%
from moe_lib.course.switch_runs import train_in_turns
from moe_lib.course.switch_setup import Setup, as_much_arithmetic
from moe_lib.data.text import load_text

text = load_text(course.pick(quick=800_000, full=2_600_000))
setup = Setup(steps=course.pick(quick=300, full=1000))
setups = {"dense": as_much_arithmetic(setup), "switch 16": setup}
marks = [setup.steps * n // 6 for n in range(1, 7)]
runs = train_in_turns(setups, text, checkpoints=marks, device=course.device)

# %%
from moe_lib.course.scaling_ladder import ladder_of_runs, stored_ladder
from moe_lib.figures.scaling import loss_by

mine = ladder_of_runs(runs)
loss_by(mine, title="What do sixteen experts gain in your own run?")

# %% [markdown]
# *Follow the bar to the left.* It begins where the dense model ends and stops
# where the experts have the same loss: that is "7 times faster", a ratio of steps
# to one loss. Press *by processor time* and it is a ratio of seconds, which is
# smaller, since a step of the mixture takes longer here. Now all of it: 2 to 32
# experts, three seeds, more steps. The dense model has the best of three learning
# rates, the mixtures have one:

# %%
ladder = stored_ladder()
loss_by(ladder)

# %%
from moe_lib.course.scaling_tables import memory_table, speed_up_table

speed_up_table(ladder)

# %% [markdown]
# *Read the two ratios.* Both grow with the number of experts, and depend on the
# loss that you ask for and on what the dense model lacks, so nobody's 7 is yours.
# (The large dense model was tried at two rates only, and the lower was better.)
# The time is of one thread of a processor, where a step with experts is a little
# slower. In the paper the two ratios are nearly the same.
#
# What you pay is memory. Experts cost no arithmetic, but each has weights,
# gradients and two moments of Adam:

# %%
memory_table(ladder)

# %%
from moe_lib.widgets import Calculator

Calculator(num_experts=16, top_k=1, d_model=64, d_ff=128, tokens=2048)

# %% [markdown]
# *Double the experts and look at the memory; double k and look at the
# arithmetic.*
#
# ### What hides the gain
#
# We chose this model so that experts matter: narrow layers, and the mixture
# comes first, where it sees the bytes. Choose otherwise, and:

# %%
from moe_lib.course.measurements import stored
from moe_lib.figures.hidden_gain import hidden_gain

changes = {"wide": "4 x as wide", "tables": "n-grams", "late": "layer 2"}
hidden_gain(stored("04-hidden"), changes)

# %% [markdown]
# A layer four times as wide leaves experts less to do. Hashed tables of two,
# three and four bytes are a huge sparse memory already, without a router. And a
# mixture in the second layer sees what attention has mixed.
#
# *Look at the right panel before you choose your own experiment.*
# %% [markdown]
# ### What do sixteen experts know?
#
# The first pictures of this subject send the word *More* to one expert and
# *Parameters* to another. Your model reads bytes, not words. So ask it.

# %%
from moe_lib.course.phrase_routed import in_domains, route_phrase
from moe_lib.figures.phrase_routed import phrase_routed

model = runs["switch 16"].model
phrase_routed([route_phrase(model, "More Parameters")])

# %% [markdown]
# *Put your own phrase in, up to 64 bytes.* Each letter has its own expert: a
# word is shared out. Now the same phrase after 40 bytes of each domain:

# %%
phrase_routed(in_domains(model, text, "More Parameters"))

# %% [markdown]
# *Read down a column.* Most letters keep their expert, whatever stands before
# them. What do the experts like?

# %%
from moe_lib.course.likes import likes_table
from moe_lib.course.placed import place

placed = place(model, setup, text)
likes_table(placed)

# %%
from moe_lib.course.information import foretold
from moe_lib.course.table import Table

told = foretold(placed)
Table(
    ("what you know", "experts that you guess"),
    [(name, f"{share:.0%}") for name, share in told.items()],
    "what foretells the expert of a byte",
)

# %% [markdown]
# You guess each byte's expert from what it was in the other half of the text.
# The domain helps little. The byte alone helps most, and with the two bytes
# before it you guess better still. So an expert follows letters and short
# endings, not subjects.

# %% [markdown]
# ## Table 1 of the paper
#
# The paper asks how soon a model has a negative log perplexity of -1.5. You ask
# how soon it has the loss that your dense model ends with. At one capacity factor
# all routers have the same buffers, so top-2 must fit twice the choices into
# them.

# %%
from moe_lib.course.scaling_tables import table_1

table_1(ladder)

# %%
from moe_lib.figures.switch_table import quality_against_time

quality_against_time(ladder)

# %% [markdown]
# *Compare the order, not the numbers:* a byte is not a piece of a word, and your
# processor is not a TPU.
# In both, top-2 gains from room and loses when buffers are small. In the paper one
# expert is ahead at factor 1.25 already; here two are, and they draw level at 1.
# What a second expert costs is arithmetic in a few layers and traffic, and one
# processor has no traffic. So the case for one expert is a case for a machine
# whose experts live elsewhere.
# %% [markdown]
# ## Two knobs: room and pressure
#
# The capacity factor may differ between training and evaluation. Six trainings
# (rows), each judged with six factors (columns); a frame marks a model that is
# judged as it was trained:

# %%
from moe_lib.figures.capacity_grid import capacity_grid

room = stored("04-capacity")
capacity_grid(room)

# %% [markdown]
# *Read along a row.* The same model never drops more with more room. *Then down a
# column on the left.* A model that had little room in training has learnt to live
# with little: evaluated tightly, it beats models that were spoilt. Given room,
# it is the other way round.
#
# What does room cost? A layer that pads its buffers multiplies every place, full
# or not. Ours multiplies the rows that were kept, so its time hardly depends on
# the factor:

# %%
from moe_lib.course.room_costs import room_costs

room_costs(Setup(), room)

# %% [markdown]
# The second knob is the coefficient $\alpha$ of the balancing loss, from nothing
# to as much as the main loss:

# %%
from moe_lib.figures.balance_price import balance_price

balance_price(stored("04-balance"))

# %% [markdown]
# *Left to right:* the load becomes even, at first for nothing. At 1 the bits rise.
# Textbooks say that experts then grow alike. These do not: their answers to the
# same tokens differ as much as before. It is the router that gives in, and asks
# for everybody with a small weight. And without any loss no expert dies, unlike
# with chapter 2's noisy top-k; a hard limit alone evens out the load, since a
# dropped token teaches its expert nothing.

# %% [markdown]
# ## The paper's claims, and ours

# %%
from moe_lib.course import ClaimsTable
from moe_lib.course.claims_04 import stored_claims
from moe_lib.course.claims_04_exact import layer_claims, loss_claims
from moe_lib.course.claims_04_scaling import arithmetic_claim, cited_claims

ClaimsTable(
    *layer_claims(worst),
    *loss_claims(),
    arithmetic_claim(),
    *stored_claims(),
    *cited_claims(),
)

# %% [markdown]
# ## Your turn
#
# @EXERCISE 04.1@

# %%
from moe_lib.course import exercise, hint, solution


@exercise("04.1")
def switch_dispatch(expert, num_experts, capacity_factor):
    """experts [T] -> slots [T] int64, kept [T] bool"""
    raise NotImplementedError


# %% [markdown]
# @EXERCISE 04.2@


# %%
@exercise("04.2")
def router_gradient(logits, outputs, kept, upstream):
    """[T, E], [T, D], [T], [T, D] -> gradient of the logits [T, E]"""
    raise NotImplementedError


# %% [markdown]
# ## What we saw
#
# - One expert is enough to learn by. The router learns because its probability multiplies
#   what the expert says, and a Switch layer of one expert is a dense layer.
# - Two experts learn more where they find room; in the tightest buffers they are
#   level. One expert saves arithmetic, places and traffic, and only the first of
#   these is felt on one processor.
# - At one token's arithmetic every doubling of the experts helped. "7 times" is a
#   ratio of steps to one loss; yours is smaller, and in seconds smaller still.
#   Memory pays.
# - Wide layers, n-gram tables and a late place hide the gain.
# - Experts follow letters and short endings, not subjects and not words.
# - A model gets used to the room that it had. A balancing loss of 0.01 is cheap;
#   at 1 it costs, though not in the way that is usually told.
#
# The layer is simple. Training it was not: the paper's authors met runs that
# diverged, in half the bits above all, and found remedies one by one.
# [Chapter 4b](04b_keeping_one_expert_in_line.ipynb).
#
# ### References
#
# - W. Fedus, B. Zoph, N. Shazeer (2022). Switch Transformers: scaling to trillion
#   parameter models with simple and efficient sparsity. *JMLR* 23,
#   arXiv:2101.03961.
# - B. Zoph, I. Bello, S. Kumar, N. Du, Y. Huang, J. Dean, N. Shazeer, W. Fedus
#   (2022). ST-MoE: designing stable and transferable sparse expert models.
#   arXiv:2202.08906.
