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
# # 1b · From one gate to a layer (1994-2013)
#
# @COLAB@
#
# **How does one gate over a few experts become a layer that you can stack, and
# what stands in the way of running only the expert that was chosen?**
#
# *Papers:* Jordan and Jacobs, "Hierarchical Mixtures of Experts and the EM
# Algorithm", 1994; Eigen, Ranzato and Sutskever, "Learning Factored
# Representations in a Deep Mixture of Experts", 2013; Bengio, Léonard and
# Courville on gradients through hard choices, 2013 · *Reading:* 30 minutes ·
# *Running:* 30 seconds on two CPU cores, full profile six minutes · *Builds on:*
# [chapter 1](01_adaptive_mixtures.ipynb)
#
# We will see
#
# - a tree of gates that learns in tens of passes what gradient descent has not
#   learnt after hundreds, by two steps that never make it worse;
# - two layers of experts that divide the work between *where* and *what*,
#   though nobody told them;
# - one expert that takes everything, and the first rule written against it;
# - why a hard choice has no gradient, and what the substitutes cost.

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
# Four straight lines are to cover a zigzag of four pieces. Two gates stand one
# above the other: the first chooses a group, A and B or C and D, the second an
# expert within it. You see how it ended; press play.

# %%
from moe_lib.data.made import zigzag
from moe_lib.figures.em_movie import em_scene
from moe_lib.widgets import Player

x, y, piece = zigzag(110)
shown = [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 30]
Player(em_scene(x, y, {"quick": 4, "slow": 2, "stuck": 1}, shown))

# %% [markdown]
# Every slider step is one round of the same two questions: *who is responsible
# for which case?* and *given that, which line fits your cases best?* Watch the
# points change colour first and the lines follow. Then try the other starts.
# One of them gets stuck: a line lies across two pieces, and no small step
# frees it.

# %% [markdown]
# ## The idea in code
#
# In 1991 the experts were found by gradient descent, a thousand epochs for
# four vowels. Jordan and Jacobs saw that if only the **responsibilities** were
# known (chapter 1: the share an expert deserves once the target is known), no
# descent would be needed. Each expert would be a linear regression, each gate
# a logistic one, and statistics had solved those. The model is a tree:
#
# $$P(y \mid x) = \sum_i g_i(x) \sum_j g_{j \mid i}(x)\, P_{ij}(y \mid x),
# \qquad P_{ij} = \mathcal N(y;\, U_{ij}\,x,\, s_{ij}).$$
#
# In words: the top gate $g_i$ picks a group, the lower gate $g_{j \mid i}$
# picks an expert in it, and that expert draws the target around its line.
# Nobody knows which path a case took. **EM** (expectation, maximisation)
# alternates: guess the paths, then fit as if the guess were true.
#
# **The E-step** is Bayes' rule, prior times likelihood over the sum:

# %%
from moe_lib.models.em_steps import with_bias
from moe_lib.models.hierarchical_mixture import HierarchicalMixture

tree = HierarchicalMixture(d_in=1, d_out=1, branch=(2, 2), seed=4)
x1 = with_bias(x)  # [T, 2]: the input and a one


def e_step(tree, y):
    top = (x1 @ tree.top_gate.T).softmax(1)  # [T, I]
    low = torch.einsum("td,ijd->tij", x1, tree.low_gates).softmax(2)
    mean = torch.einsum("td,ijod->tij", x1, tree.experts)  # one target
    s = tree.log_variance.exp()  # [I, J]
    density = torch.exp(-((y[:, :, None] - mean) ** 2) / (2 * s))
    joint = top[:, :, None] * low * density / (2 * torch.pi * s).sqrt()
    return joint / joint.sum((1, 2), keepdim=True)  # h_ij [T, I, J]


# %%
with torch.no_grad():
    h = e_step(tree, y)
print("E-step equal:", torch.allclose(h, tree.responsibilities(x, y)[2]))

# %% [markdown]
# **The M-step** for an expert is **weighted least squares**: each case counts
# as much as the expert is responsible for it. Scaling a row by $\sqrt h$ makes
# its square count $h$ times.


# %%
def m_step_expert(h):
    root = h.sqrt()[:, None]  # [T, 1]
    line = torch.linalg.lstsq(root * x1, root * y).solution
    variance = (h[:, None] * (x1 @ line - y) ** 2).sum() / h.sum()
    return line.T, variance


fits = [m_step_expert(h[:, i, j]) for i in (0, 1) for j in (0, 1)]

# %% [markdown]
# A gate has no such closed form. It is a logistic regression with soft
# targets, and its slope is as short as in 1991: responsibility minus share.
# The library climbs it with Newton steps, halved until they help, so that it
# never goes down. One call does all of it:

# %%
before = tree.log_likelihood(x, y).item()
after = tree.em_step(x, y)

lines, variances = zip(*fits)
same = torch.allclose(torch.stack(lines), tree.experts.flatten(0, 1))
s = tree.log_variance.exp().flatten()
spread = torch.allclose(torch.stack(variances), s)
print("M-step equal, lines and variances:", same, spread)
print("the likelihood rose:", after > before)

# %% [markdown]
# Why can it not fall? Experts and variances go to the maximum of their part,
# the gates at least uphill, and the E-step makes the sum of these parts touch
# the true log-likelihood. Whatever raises the parts raises the whole. That is
# a promise you can test, on 20 random starts with 40 steps each:

# %%
histories = [
    HierarchicalMixture(1, 1, (2, 2), seed=s).fit(x, y, 40, label="20 starts")
    for s in range(20)
]
steps = torch.tensor(histories).diff()  # [20, 40]
never_falls = bool((steps > -1e-9).all())
print(f"{steps.numel()} steps, none of them down: {never_falls}")

# %% [markdown]
# ## The experiment, first half: passes over the data
#
# The same trees from the same starts, raising the same likelihood, by three
# ways: EM, plain gradient descent as in 1991, and Adam, which came twenty
# years after EM. Descent takes all data in each step, so a step is a pass too.

# %%
import math

from moe_lib.course.em_race import by_descent, by_em
from moe_lib.data.made import NOISE
from moe_lib.figures.between import em_race_figure

x, y, piece = zigzag(200)
seeds = range(course.pick(quick=10, full=30))
passes = course.pick(quick=600, full=10_000)
em = by_em(x, y, seeds, 40)
adam = by_descent(x, y, seeds, passes, adam=True, lr=0.03)
plain = by_descent(x, y, seeds, passes, adam=False, lr=0.1)

truth = -0.5 * math.log(2 * math.pi * NOISE**2) - 0.5
em_race_figure([em, adam, plain], ceiling=truth)

# %% [markdown]
# *Look along a horizontal line at 0.5.* Most of EM's starts cross it
# within ten to twenty-five passes. The starts of Adam that cross it need more
# than a hundred, and plain descent does not get there. But look at the shelves
# too: EM settles where it first finds rest, and from some starts that is a
# poor place. Fast is not the same as safe.
#
# The paper's own test was a simulated robot arm: from joint angles, speeds and
# torques, predict how the joints accelerate. It had four joints; ours has two.
# A tree of 4 x 4 experts under EM meets networks with 40 hidden units under
# back-propagation (BP).

# %%
from moe_lib.course.em_race import arm_table
from moe_lib.figures.between import arm_figure

arm = arm_table(range(course.pick(quick=4, full=10)))
arm_figure(arm)

# %% [markdown]
# *Follow the blue lines, then see where they end.* The tree is far below the
# linear fit before the networks have left it. Then the networks pass it and go
# on. The table printed in 1994 has both facts in it; the first one became
# famous.

# %% [markdown]
# ## The experiment, second half: a mixture becomes a layer
#
# EM needs experts and gates that statistics can fit. Nobody can fit a deep
# network that way. In 2013 Eigen, Ranzato and Sutskever went back to gradient
# descent and did the step that gives this chapter its name: they put one
# mixture **on top of** another.
#
# $$z_1 = \sum_i g^1_i(x)\, f^1_i(x), \qquad
# z_2 = \sum_j g^2_j(z_1)\, f^2_j(z_1).$$
#
# In words: the blend of the first layer is the input of the second, gate and
# experts alike. Four experts below and four above make sixteen paths from
# eight sets of weights. As code, a mixture has become something with an input,
# an output, and a routing table:

# %%
from moe_lib.models.deep_mixture import DeepMixture

net = DeepMixture(d_in=144, num_classes=10, num_experts=(4, 4))
images = torch.rand(32, 144)
logits, routings = net(images)
print(len(routings), "layers,", [tuple(r.dense().shape) for r in routings])

# %% [markdown]
# Their test images were handwritten digits that jump about on a larger sheet,
# so each image has two labels: **what** it shows and **where** it stands. We
# take 8 x 8 digits on a 12 x 12 sheet, at 25 places. Only the digit is ever
# taught. No original digit is both in training and in test.

# %%
from moe_lib.data.shifted_digits import shifted_digits

train, test = shifted_digits(max_shift=2)
print(train, test, sep="\n")

# %% [markdown]
# What does an expert stand for? Ask how much its name tells you about each
# label: the **mutual information**, 0 if nothing. With $p$ the table of how
# often label and winning expert come together, it is one line:

# %%
from moe_lib.specialisation import joint_table, mutual_information

label, gates = torch.arange(1000) % 4, torch.rand(1000, 4)
p = joint_table(gates, label)  # [labels, E], sums to 1
alone = p.sum(1, keepdim=True) * p.sum(0, keepdim=True)
by_hand = (p * (p / alone).log()).nansum()
same = abs(by_hand.item() - mutual_information(gates, label)) < 1e-12
print("equal to the library's:", same)

# %%
from moe_lib.course.where_and_what import train_deep_mixture, untrained

three = range(course.pick(quick=3, full=10))
length = course.pick(quick=800, full=4000)
balanced = [
    train_deep_mixture(train, test, seed=s, steps=length) for s in three
]
fresh = [untrained(test, seed=s) for s in three]

# %%
from moe_lib.figures.where_and_what import information_figure, layers_figure

layers_figure(balanced[1], test.places)

# %% [markdown]
# *Compare the two rows.* In the first layer the places fall into regions, and
# every digit gets much the same mix. In the second layer the map has little
# to say, and the bars differ: some digits have an expert of their own. Over
# the seeds, with the untrained networks as grey crosses:

# %%
information_figure(balanced, fresh)

# %% [markdown]
# *Read the filled marks against the crosses.* A random first gate already
# knows a little about places, because shifted digits light up different
# pixels. Training multiplies that. The second layer starts from nothing, and
# learns what the digit is. The hollow marks, where the whole gate counts and
# not only its winner, say the same more softly: these gates still blend.

# %% [markdown]
# ## Break it: the winner takes all
#
# The runs above had help. The authors saw that without it one expert is best
# on the first examples, gets a higher gate for that, is trained more for that,
# and so on until it has everything. Their remedy is the first balancing rule
# of this story: keep a running total of each expert's gate; who is more than a
# **margin** ahead of the mean must wait. Halfway through the training the rule
# is lifted. Take it away from the start:

# %%
alone = [
    train_deep_mixture(train, test, seed=s, steps=length, margin=math.inf)
    for s in three
]

# %%
from moe_lib.figures import history

every = length // 40


def upper_layer(run):
    shares = run.share[:, 1]  # [steps, E]
    return shares.unfold(0, every, every).mean(-1)  # [40, E]


runs = {"no balancing": alone[0], "balancing": balanced[0]}
history(
    {name: upper_layer(run) for name, run in runs.items()},
    steps=range(every, length + 1, every),
    title="Who gets the cases in the upper layer?",
)

# %% [markdown]
# *Press play, and look at the upper row.* The layer becomes a network with one
# expert, in about fifty steps; below, the rule makes the experts take turns,
# and after it is lifted they stay. (Trained five times as long, some runs let
# a second expert back in: see the stored column of the claims.) And now the
# sobering part, in the table below: the two test errors lie close together. On
# an easy task one small expert is enough, and the collapse costs you only what
# you paid the other three for.

# %% [markdown]
# ## A choice that saves work
#
# All of this still computes every expert for every case. In the same year
# Bengio, Léonard and Courville ask the question of the years to come, under a
# name that stayed, **conditional computation**: let the gate *draw* one
# expert, run that one alone. The expected loss is $\sum_e p_e L_e$, the loss
# 1.2 of chapter 1. But the draw has no derivative, and the sum needs every
# expert. Substitutes:
#
# - **REINFORCE**: the drawn expert's loss times the gradient of $\log p_z$.
#   Right on average, noisy; subtracting a **baseline**, the loss of the other
#   cases, calms it.
# - **Straight-through**: run the draw forward, and backward pretend it had
#   been the probabilities.
# - **Soft gate**: do not draw; blend all experts (no work saved).
#
# With two experts we can afford the sum, so we can look at what each one gets
# wrong:

# %%
from moe_lib.course.hard_gate_race import estimator_errors, sweep_the_gate
from moe_lib.figures.between import bias_noise_figure, sweep_figure

sweep_figure(sweep_the_gate())

# %% [markdown]
# *Compare each line with the dashed one.* REINFORCE lies on it, in a wide
# band. Straight-through crosses it at one half. No accident: for a squared
# error its mean **is** the gradient of the soft gate, and the two differ from
# the truth by $\pm\,p(1-p)(2p-1)(o_1-o_0)^2$. The more decided a gate is, the
# worse, in proportion, is the advice that it gets.

# %%
errors = estimator_errors()
bias_noise_figure(errors)

# %%
from moe_lib.course.hard_gate_race import train_hard_gates
from moe_lib.figures.between import hard_gate_figure

hard = train_hard_gates()
hard_gate_figure(hard)

# %% [markdown]
# *Look at the order in the end, then distrust it.* Two lines and a clean
# border are a small world: there the noise averages out quickly, and a bias
# stays. With a thousand experts it may be the other way round.

# %% [markdown]
# ## The papers' claims, and ours

# %%
from moe_lib.course import ClaimsTable
from moe_lib.course.claims_01b import (
    deep_claims,
    em_claims,
    gate_claims,
    price_table,
    stored_claims,
)

ClaimsTable(
    *em_claims(steps, arm),
    *deep_claims(balanced, alone),
    *gate_claims(errors, hard),
    stored=stored_claims(),
)

# %% [markdown]
# The speed of EM holds, with two footnotes: our arm is easier than theirs, and
# Adam has eaten most of the lead since. *Where* and *what* come out of a
# minute's training. The order of the estimators does not: our task has two
# experts and no depth, theirs had many gates inside a network.
#
# And the price of collapse, which nobody printed:

# %%
price_table({"balancing": balanced, "no balancing": alone})

# %% [markdown]
# ## Your turn
#
# Run a cell as it is and it says *not written yet*; the chapter goes on with
# the reference. `hint("01b.1")` and `solution("01b.1")` are there.
#
# @EXERCISE 01b.1@

# %%
from moe_lib.course import exercise, hint, solution


@exercise("01b.1")
def tree_responsibilities(top, low, density):
    """top [T, I], low and density [T, I, J] -> h_ij [T, I, J]"""
    raise NotImplementedError


# %% [markdown]
# @EXERCISE 01b.2@


# %%
@exercise("01b.2")
def fit_expert(x, y, h):
    """x [T, D], y [T, O], responsibility h [T] -> coefficients [D, O]"""
    raise NotImplementedError


# %% [markdown]
# @EXERCISE 01b.3@


# %%
@exercise("01b.3")
def allowed(totals, margin):
    """running totals [E] -> [E] bool, False for those who must wait"""
    raise NotImplementedError


# %% [markdown]
# @EXERCISE 01b.4@


# %%
@exercise("01b.4")
def reinforce_gradient(probs, chosen, losses):
    """probs [T, E], chosen expert [T], its loss [T] -> [T, E]"""
    raise NotImplementedError


# %% [markdown]
# **01b.5 (stretch, open).** Free the stuck start. Run EM from twenty starts
# for five iterations and go on with the best: how often do you arrive now, and
# what did the passes cost?

# %% [markdown]
# ## What we saw
#
# - A tree of gates can be fitted by EM: Bayes' rule, then regressions. It
#   takes tens of passes, never goes down, and may stop too early.
# - Stacked mixtures divide the work: the lower layer by where, the upper one
#   by what.
# - Left alone, one expert takes everything. A running total with a margin was
#   the first rule against it; the collapse cost no accuracy here, only
#   experts.
# - A hard choice can be learnt from noise without bias or from bias with less
#   noise. Either way only one expert runs.
#
# By 2013 the parts lie on the table: a gate in a layer, layers in a stack, a
# rule for balance, the wish to compute little. Nobody had put them together at
# a size where it counts. What if the gate keeps a few of its best experts,
# drops the rest *before* they run, and learns by plain back-propagation?
# [Chapter 2](02_outrageously_large.ipynb): keep only k.
#
# ### References
#
# - M. I. Jordan, R. A. Jacobs (1994). Hierarchical mixtures of experts and the
#   EM algorithm. *Neural Computation* 6, 181-214.
# - D. Eigen, M. Ranzato, I. Sutskever (2013). Learning factored
#   representations in a deep mixture of experts. *arXiv:1312.4314*.
# - Y. Bengio (2013). Deep learning of representations: looking forward.
#   *arXiv:1305.0445*: conditional computation.
# - Y. Bengio, N. Léonard, A. Courville (2013). Estimating or propagating
#   gradients through stochastic neurons for conditional computation.
#   *arXiv:1308.3432*.
# - R. J. Williams (1992). Simple statistical gradient-following algorithms for
#   connectionist reinforcement learning. *Machine Learning* 8, 229-256.
