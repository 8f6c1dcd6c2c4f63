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
# # 4b · Keeping one expert in line (2021, 2022)
#
# @COLAB@
#
# **With one expert there is no second opinion. What goes wrong then, and which of
# the paper's remedies can you see working?**
#
# *Papers:* Fedus, Zoph and Shazeer, "Switch Transformers", JMLR 2022; Zoph et al.,
# "ST-MoE: Designing Stable and Transferable Sparse Expert Models", 2022 · *Reading:*
# 30 minutes · *Running:* 35 seconds on two CPU cores · *Builds on:*
# [chapter 4](04_switch.ipynb)
#
# We will see
#
# - a softmax in half the bits send tokens to the wrong expert, and the small island
#   of float32 that prevents it;
# - how often a token changes its expert while training goes on, and a loss that keeps
#   logits small;
# - smaller first weights, four ways to try another expert, and a second chance for
#   those who found no room;
# - dropout inside the experts, when there is little to learn from;
# - one layer on many machines, cut three ways;
# - a leaderboard, with a place for your model.

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
# ## See it first: half the bits
#
# Train a Switch model of sixteen experts, just long enough for its router to have
# opinions.

# %%
from moe_lib.course.switch_runs import switch_trainer, train_in_turns
from moe_lib.course.switch_setup import Setup
from moe_lib.data.text import load_text

text = load_text(course.pick(quick=800_000, full=2_600_000))
setup = Setup(steps=course.pick(quick=250, full=1000))
model = switch_trainer(setup, text, label="a first look").run(100).model

# %% [markdown]
# **bfloat16** keeps 8 bits of a number, and the step between two neighbours grows with
# the number: near 20 it is 1/8. The softmax turns that into a wrong probability, and
# the largest logit may not stay the largest. The slider multiplies the logits of your
# own router:

# %%
from moe_lib.course.precision import probe
from moe_lib.figures.precision import rounding_by_scale

seen = probe(model, text, setup.span)
rounding_by_scale(seen)

# %% [markdown]
# *Follow the squares in the middle panel, then in the lowest one.* A token is in danger
# only on the dashed line or above it. Two things happen, and they are not the same. The
# error of a probability grows with the logits; this is what the paper fears. The share
# of tokens that change their expert does not, since bf16 rounds relative to size:
# twice the logits have twice the gaps and twice the rounding. It even rises for small
# logits, where it is the probabilities that become equal.

# %% [markdown]
# ## The idea in code: an island of float32
#
# **Selective precision**: the model computes in bf16, the router alone in float32, and
# its answer is cast back before anything travels. `RouterGate` of the library always
# does this. What it promises is exact: on the same input it chooses as float32 does.

# %%
import torch

torch.manual_seed(0)
bf16 = torch.bfloat16
x = torch.randn(4096, 64).to(bf16)
w = torch.randn(16, 64).to(bf16)
sea = (x @ w.T).argmax(dim=1)
island = (x.float() @ w.float().T).argmax(dim=1)
exact = (x.double() @ w.double().T).argmax(dim=1)
print("all in bf16, some tokens go elsewhere:", bool((sea != exact).any()))
print("on the island, all stay:", bool((island == exact).all()))

# %% [markdown]
# No island brings back the bits that were lost before, when its input was rounded. And
# the price? A float32 copy of the tokens that never leaves the machine:

# %%
from moe_lib.course.island_cost import island_cost

island_cost(seen)

# %% [markdown]
# The time is this machine's: a processor without fast bf16 may be slower without the
# island. Table 2 of the paper trains in three precisions. So did we, for a while:

# %%
from moe_lib.course.measurements import stored
from moe_lib.course.stability_tables import precision_table, stability_table

precision_table(stored("04b-precision"))

# %% [markdown]
# *Compare the third column.* All three learn alike here. The bf16 router sends a few
# tokens elsewhere and takes no harm. The paper's run in bf16 went astray; it was far
# larger and longer, and autocast is kinder than bf16 everywhere, since weights and the
# sums between layers stay in float32. You can see the mechanism on this machine, not the
# disaster. (Nor the speed: bf16 is for processors that multiply it fast.)
#
# ## Tokens that change their mind, and a loss on logits
#
# While the router learns, a token's expert changes, and what it had learnt there is lost
# on the way. ST-MoE adds the **router z-loss**, the mean of
# $(\log\sum_j e^{h_j})^2$. Its gradient is $2 \log\sum_j e^{h_j}$ times the softmax:
# all logits of a token are pulled down, the largest most, as long as their logsumexp is
# above 0. Train with it and without, and look at the router every fifty steps:

# %%
from moe_lib.course.measurements_04b_stability import (
    judge_logits,
    stability_of,
)
from moe_lib.figures.flips import settling

looks = range(50, setup.steps + 1, 50)
runs = train_in_turns(
    {"no z-loss": setup, "z-loss 0.001": setup.but(w_z=0.001)},
    text,
    checkpoints=looks,
    judge=lambda model: judge_logits(model, text, setup),
    device=course.device,
)
settling({name: stability_of(run) for name, run in runs.items()}, looks)

# %% [markdown]
# *The top panel:* how many of 4,096 held-out tokens have another expert than fifty steps
# ago. It falls, and not to zero. *Below:* the logsumexp falls with the new loss, as it
# must. The largest logit need not: what the loss asks for is a logsumexp near 0, and a
# router gets there by moving all its logits down together. Three seeds, and a learning
# rate seven times as high:

# %%
stability_table(stored("04b-stability"))

# %% [markdown]
# *The paper's runs above ours:* other models, other losses; compare rows within a block.
# No run of ours is unstable. At the high rate the router never settles and all learn
# less, but nothing jumps beyond the noise of a batch, so the z-loss has nothing to
# rescue. *Now the last column.* It moved all logits of a token down together, which
# changes no probability, to where bf16's grid is coarser than around 0: rounding sends
# as many tokens elsewhere as before, or more. ST-MoE's logits were large. Ours are not,
# and a remedy without its disease brings nothing; at ten times its dose it costs.

# %% [markdown]
# ## How large should the first weights be?
#
# Switch draws every weight matrix from a normal of variance $s/n$ with $n$ inputs, cut at
# two deviations. The usual $s$ is 1; the paper takes 0.1 and reports better and much
# steadier first steps. Eight seeds, four scales:

# %%
from moe_lib.figures.start import exploration_costs, initial_scales

initial_scales(stored("04b-initialisation"))

# %% [markdown]
# *Look at the ends first.* Ten times the usual scale starts badly and stays behind; a
# hundredth of it has to be woken up. Between 1 and 0.1 we see no difference, neither in
# the loss nor in its spread. The paper's had 32 experts and thousands of steps, and some
# of its seeds at $s = 1$ nearly failed. A model this small does not fail, so there is
# nothing to save.
#
# ## Should the router try other experts?
#
# A router that always takes the best expert never learns what the others would have
# done. Three ways out: draw the expert from the softmax, punch holes into the router's
# input, or let that input jitter by one per cent. In evaluation all take the best. How
# far does each go? Catch what your better trained router reads, and ask.

# %%
from moe_lib import MoE
from moe_lib.language_modelling import evaluate

model = runs["no z-loss"].model
(layer,) = [part for part in model.modules() if isinstance(part, MoE)]
inputs = []
hook = layer.router.register_forward_pre_hook(
    lambda router, args: inputs.append(args[0].detach())
)
evaluate(model, text, setup.span)
hook.remove()
x = torch.cat(inputs)

# %%
from moe_lib.course.exploring import WAYS, exploring_router, sent_elsewhere
from moe_lib.course.table import Table

rows = []
for way in WAYS:
    router = exploring_router(setup, way)
    router.load_state_dict(layer.router.state_dict())
    torch.manual_seed(0)
    rows.append([way, f"{sent_elsewhere(router, x):.1%}"])
head = ["in training", "bytes not sent to their best expert"]
Table(head, rows, f"{len(rows)} ways to explore")

# %% [markdown]
# Jitter is a nudge. Drawing from the softmax sends most bytes to an expert that is not
# their best, and each expert learns from bytes that it will never see in earnest.
#
# ### No token left behind
#
# At a capacity factor of 1 there is a place for every byte, but not where it wants to
# go. Why drop the late ones? Send them to their second choice, then to the third.


# %%
def sent_on(probs, capacity):
    """The expert of each token; None where all are full."""
    ranked = probs.argsort(dim=1, descending=True, stable=True).tolist()
    free = [capacity] * probs.shape[1]
    expert = [None] * len(ranked)
    for choice in range(len(free)):
        for token, wishes in enumerate(ranked):
            asked = wishes[choice]
            if expert[token] is None and free[asked]:
                expert[token] = asked
                free[asked] -= 1
    return expert


# %%
from moe_lib.course.left_behind import (
    NoTokenLeftBehindRouter,
    first_choice_loss,
)

router = NoTokenLeftBehindRouter(setup.d_model, setup.num_experts)
router.load_state_dict(layer.router.state_dict())
table = router(x[:2048])
mine = sent_on(table.router_probs, table.capacity)
print("the same experts:", mine == table.expert_index.tolist())
print("dropped:", int((~table.kept).sum()))

# %% [markdown]
# There is a trap. The balancing loss counts where bytes were sent. Now all experts are
# full, so it reports perfect balance and stops pushing. Count what was wanted instead:

# %%
from moe_lib.losses import load_balancing_loss

counted = load_balancing_loss(table).item()
wanted = first_choice_loss(table).item()
print("what was wanted is less even:", wanted > counted)

# %% [markdown]
# Does any of it pay? Seed by seed, against a router that does none of it:

# %%
exploration_costs(stored("04b-exploration"))

# %% [markdown]
# The order is the paper's: drawing from the softmax is far behind, holes in the input
# cost little or nothing, and jitter is level with doing nothing. Nobody left behind
# brings nothing either, as the paper found: perhaps a byte that found no room at its
# expert is no better off at one that was not trained for it.
#
# ## Little to learn from: dropout in the experts
#
# A mixture has many weights, so a small task is soon learnt by heart. The paper's remedy
# is dropout: a little everywhere, and much more inside the experts. Two models are
# pre-trained with equal arithmetic; then copies learn three tasks of 60 texts a class.
# A row is a setting. Its line is the gap between texts learnt from and unseen ones:

# %%
from moe_lib.figures.fine_tuning import fine_tuning_figure

fine_tuning_figure(stored("04b-finetuning"))

# %% [markdown]
# *Follow the right ends, then the left ones.* More dropout takes away what was learnt by
# heart. What is known of unseen texts hardly moves, with dropout in the experts or
# without. What the mixture gained in pre-training does survive.
#
# ## One layer on many machines, cut three ways
#
# One layer, eight cores. Share out the tokens over $n$ rows: **data parallelism**. Cut
# every expert into $m$ columns: **model parallelism**. Give each row other experts:
# **expert parallelism**. Move the two sliders.

# %%
from moe_lib.figures.who_holds_what_scene import who_holds_what_scene
from moe_lib.widgets import Player

Player(who_holds_what_scene(cores=8))

# %% [markdown]
# *Begin with one expert and 8 x 1:* eight copies, and all gradients travel. *Then raise E
# to 8:* a core holds as much as before, the layer is eight times as large, and now tokens
# travel instead. At 1 x 8 no token travels, but every output is a sum of eight parts. In
# between you pay both.

# %%
from moe_lib.course.who_holds_what import Layout, layouts_table

cuts = [(8, 1, 1), (1, 8, 1), (4, 2, 1), (8, 1, 8), (4, 2, 4)]
layouts_table([Layout(n, m, experts) for n, m, experts in cuts])

# %% [markdown]
# These are bytes by formula. A claim below checks them on a layer that really is cut
# into pieces: each computes with what it holds, and what one sends another is counted.
#
# ## The papers' claims, and ours

# %%
from moe_lib.course import ClaimsTable
from moe_lib.course.claims_04_parallel import parallel_claims
from moe_lib.course.claims_04b import stored_claims
from moe_lib.course.claims_04b_stability import (
    cited_claims,
    island_claim,
    z_loss_claims,
)

ClaimsTable(
    island_claim(seen),
    *z_loss_claims(seen),
    *parallel_claims(),
    *stored_claims(),
    *cited_claims(),
)

# %% [markdown]
# ## Your turn
#
# @EXERCISE 04b.1@

# %%
from moe_lib.course import exercise, hint, solution


@exercise("04b.1")
def route(x, weight):
    """x [T, D] and weight [E, D] in bf16 -> expert [T], weight [T] in bf16"""
    raise NotImplementedError


# %% [markdown]
# **04b.2 (open): beat the leaderboard.** Your entry trains for 60
# seconds of processor time on one thread, set by the speed of the baseline on your
# machine. A byte may cost as many FLOPs forward as chapter 4's Switch; weights are free.
# Bits per byte of held-out text decide. Looking ahead, more arithmetic, or knowing the
# text beforehand is refused, with the reason. Below every run of the two plain entries
# passes; the third is our own attempt.

# %%
from moe_lib.course.leaderboard import Entry, down_to_zero, entry_of
from moe_lib.course.leaderboard_contest import leaderboard, score_entry
from moe_lib.figures.leaderboard import leaderboard_figure

leaderboard_figure(leaderboard())


# %%
def my_entry():
    # such as: return entry_of(Setup(d_ff=96, lr=0.007))
    raise NotImplementedError


score_entry(my_entry, name="my entry")

# %% [markdown]
# ## What we saw
#
# - bf16 moves probabilities by more the larger the logits are, and a token changes its
#   expert when two are nearly level. A router in float32 ends its own part of this, not
#   what its input had lost before.
# - Tokens go on changing their experts, less and less. The z-loss holds the logsumexp.
# - A hundredth of the usual first weights, or ten times them, cost something; a tenth
#   does not, and gains nothing here either.
# - Exploring by lot is bad, a little noise harmless, and sending on those who found no
#   room useless.
# - Dropout takes away what was learnt by heart. That it helps with new texts we did not
#   see.
# - A layer can be cut by tokens, by columns and by experts. Each cut makes something else
#   travel.
#
# A Switch layer has two faults that no remedy here has touched. It drops tokens, and it
# needs a loss that asks experts to be alike in number, if not in kind. What if the
# experts chose the tokens? [Chapter 5](05_expert_choice.ipynb): expert choice.
#
# ### References
#
# - W. Fedus, B. Zoph, N. Shazeer (2022). Switch Transformers: scaling to trillion
#   parameter models with simple and efficient sparsity. *JMLR* 23, arXiv:2101.03961.
# - B. Zoph, I. Bello, S. Kumar, N. Du, Y. Huang, J. Dean, N. Shazeer, W. Fedus (2022).
#   ST-MoE: designing stable and transferable sparse expert models. arXiv:2202.08906.
