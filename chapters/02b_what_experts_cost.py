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
# # 2b · What experts cost, and eight ways to get them wrong
#
# @COLAB@
#
# **If the arithmetic stays while the weights grow, who pays, and how would you
# notice that your mixture is broken?**
#
# *Paper:* Shazeer et al., "Outrageously Large Neural Networks", ICLR 2017,
# section 3 and appendix B · *Reading:* 30 minutes · *Running:* 20 seconds on
# two CPU cores · *Builds on:*
# [chapter 2](02_outrageously_large.ipynb)
#
# We will see
#
# - a batch that shrinks as experts multiply, and what small products cost;
# - how many devices turn the shrinking batch round, and what travels then;
# - what "four times less" leaves out;
# - two levels of gates, and the load of an expert in a group;
# - a mixture of forty lines that trains well and is wrong in eight places.

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
# ## See it first: the shrinking batch
#
# A dense layer sees all $b$ tokens of a batch. Each of $n$ experts sees about
# $k\,b/n$ of them. Route 8,192 real windows with fresh gates and count:

# %%
from moe_lib.course.shrinking_batch import route_to_more_experts
from moe_lib.data.domain_text import Span
from moe_lib.data.text import load_text
from moe_lib.figures.shrinking_batch import shrinking_batch
from moe_lib.models.byte_tables import ByteTables

text = load_text(course.pick(quick=800_000, full=2_600_000))
windows = text.heldout_windows(Span(12))[:, ::4].flatten(0, 1)
torch.manual_seed(0)
x = ByteTables(12, 64).window(windows[:, :12]).detach()  # [8192, 64]
batches = route_to_more_experts(x, top_k=4)
shrinking_batch(batches)

# %% [markdown]
# *Compare the ticks with the marks.* The mean is $k\,b/n$ to the token, for
# every token takes $k$ places. What spreads is the fate of single experts: a
# gate that starts at zero deals its tokens out by chance, and among a thousand
# experts someone gets half of the mean, someone twice.
#
# Why does it matter? The arithmetic is the same. Do it in one product of
# 1,024 rows, then in 1,024 products of one row:

# %%
from moe_lib.course.shrinking_batch import measure_products
from moe_lib.figures.shrinking_batch import product_speed

speed = measure_products()
product_speed(speed)

# %% [markdown]
# *Read it from right to left.* An expert's weights must be fetched whether one
# row uses them or a hundred. With few rows the processor waits for weights.

# %% [markdown]
# ## Data times experts
#
# The way out: let $d$ devices work in step. Each has its own batch and its
# own copy of the dense layers, as in plain data parallelism. But of each expert
# there is one in all. The tokens of all devices travel to it: $k\,b\,d/n$.

# %%
from moe_lib.figures.parallel_shares import shares_scene
from moe_lib.widgets import Player

Player(shares_scene())

# %% [markdown]
# *Move the slider, then choose "2 experts on each device" and move it again.*
# First the experts' batch grows with the devices. Then the **model** grows with
# them, and neither the experts' batch nor the memory of a device changes. That is
# how 137 billion parameters were possible in 2017. (Where you read of 6 billion,
# that is the same paper's largest model for a billion words; the other one read
# a hundred billion.)
#
# The price is the journey. For each row $d_\text{model}$ numbers go to the
# expert and as many come back; in between it does
# $2\,d_\text{model}\,h$ multiply-adds. The ratio is $h$:

# %%
from moe_lib.course.shrinking_batch import numbers_copied_per_second
from moe_lib.figures.parallel_shares import compute_over_traffic

multiply_adds = speed.at(1024).median().item() * 1e9 / 2  # a second
here = multiply_adds / numbers_copied_per_second()
compute_over_traffic(
    levels={
        "2017, GPUs and network": 1000,
        "this machine, copying": here,
    }
)

# %% [markdown]
# *Where the line is above a level, computing takes longer than travelling.*
# The paper puts GPUs at "thousands to one" and makes its experts wide, 1,024
# and more. (In FLOPs the ratio is $2h$, in FLOPs per byte of float32 $h/2$:
# say which one you mean.)

# %% [markdown]
# ## "20 experts, k = 5: four times less"
#
# Less of what?

# %%
from moe_lib.course.expert_costs import savings_table, time_ratios

savings_table(times=time_ratios())

# %% [markdown]
# Four times less is true of the experts. In the paper's models they are 37 to
# 46 % of the arithmetic, so the model as a whole saves a little over two. In
# memory nothing is saved but activations: all 20 experts have weights,
# gradients and two moments of Adam.

# %% [markdown]
# Now turn all the knobs at once. Press *20 experts, k = 5*; then move *n* up and
# watch each expert's tokens shrink until, past the dotted line, a product
# waits for its weights. Then press *131,072 experts*, the largest model of the
# paper, and look at the memory of a device.

# %%
from moe_lib.widgets import Calculator

Calculator("20 experts, k = 5")

# %% [markdown]
# ## The idea in code: two levels
#
# A flat gate makes a logit for each expert, and that is not free:

# %%
from moe_lib.course.expert_costs import gating_table

gating_table()

# %% [markdown]
# Beyond a few thousand experts the gate would cost more than the experts that
# it chooses. So choose twice: $k$ of $a$ groups, then $k$ of $b$ experts in each.
#
# $$y_H=\sum_i\sum_j G_{\text{primary}}(x)_i\,G_i(x)_j\,E_{ij}(x)$$

# %%
from torch.nn.functional import softplus

from moe_lib.routers import HierarchicalRouter

a, b, k = 3, 4, 2  # groups, experts in each, choices on both levels
torch.manual_seed(0)
router = HierarchicalRouter(64, (a, b), top_k=k)
for w in router.parameters():  # away from zero, as after training
    torch.nn.init.normal_(w, std=0.2)
few = x[::20]  # [410, 64]

torch.manual_seed(1)
routing = router(few)
torch.manual_seed(1)  # the same noise once more
clean = router.gate(few)  # [T, a + a*b]: groups, then each one's experts
spread = softplus(router.noise(few))
noisy = clean + torch.randn_like(clean) * spread


# %%
def G(h):  # softmax over the k largest, 0 elsewhere
    best, index = h.topk(k)
    return torch.zeros_like(h).scatter(-1, index, best.softmax(-1))


def levels(h):  # [T, a + a*b] -> [T, a] and [T, a, b]
    return h[:, :a], h[:, a:].view(-1, a, b)


primary, inside = map(G, levels(noisy))
weight = primary[:, :, None] * inside  # [T, a, b]
importance = weight.sum(0)  # [a, b]: (13)
print("G equal:", torch.allclose(weight.flatten(1), routing.dense()))
same = torch.allclose(importance.flatten(), routing.dense().sum(0))
print("Importance_H equal:", same)

# %%
from moe_lib import MoE
from moe_lib.experts import Experts

experts = Experts(a * b, 64, 32)
every = torch.stack([experts.one(e, few) for e in range(a * b)], 1)
y_H = torch.einsum("te,ted->td", weight.flatten(1), every)
torch.manual_seed(1)
y, _ = MoE(router, experts)(few)
print("y_H equal:", torch.allclose(y_H, y, atol=1e-5))

# %%
from moe_lib.figures.two_levels import two_levels

two_levels(routing, (a, b))

# %% [markdown]
# The load is the harder half. $\mathrm{Load}_i(X_i)_j$, the smooth count of
# chapter 2 among the tokens $X_i$ that group $i$ was sent, knows nothing of
# how they came there: those who are in $X_i$ were counted, not estimated. The
# paper multiplies by the primary load and divides by the count:
#
# $$\mathrm{Load}_H(X)_{ij}=
# \frac{\mathrm{Load}_{\text{primary}}(X)_i\;\mathrm{Load}_i(X_i)_j}{|X_i|}$$

# %%
from moe_lib.routers.noisy_top_k import probability_in_top_k


def load(clean, noisy, spread):  # (10), of any gate: [T, n] -> [n]
    chosen = noisy.topk(k).indices
    return probability_in_top_k(clean, noisy, spread, chosen).sum(0)


first, second = zip(*map(levels, (clean, noisy, spread)))
load_primary = load(*first)  # [a]
sent = primary > 0  # [T, a]: column i says who is in X_i
load_in = torch.stack(
    [load(*(h[sent[:, i], i] for h in second)) for i in range(a)]
)  # [a, b]
load_H = (load_primary / sent.sum(0))[:, None] * load_in
expected = routing.expected_load
same = torch.allclose(load_H.flatten(), expected, rtol=1e-4)
print("Load_H equal:", same)


# %%
def teaches_primary_gate(load):
    loss = (load.flatten() * torch.arange(a * b)).sum()  # anything uneven
    weight = router.gate.weight
    (slope,) = torch.autograd.grad(loss, weight, retain_graph=True)
    return bool(slope[:a].any())  # its first a rows


print("Load_i alone teaches the primary gate:", teaches_primary_gate(load_in))
print("Load_H teaches it:", teaches_primary_gate(load_H))

# %% [markdown]
# And does it estimate what it should? Draw all noise anew, 200 times:

# %%
with torch.no_grad():
    draws = [router(few) for _ in range(200)]
counted = torch.stack([r.demand_per_expert for r in draws]).double().mean(0)
smooth = torch.stack([r.expected_load for r in draws]).mean(0)
off = (smooth / counted - 1).abs().max()
print("means of formula and count within 5 %:", bool(off < 0.05))

# %% [markdown]
# ### A mixture as an expert of a mixture
#
# The same thing once more, without a new router: let every expert of a
# mixture be a mixture.

# %%
from moe_lib.models.nested import NestedExperts
from moe_lib.routers import NoisyTopKRouter

groups = [
    MoE(NoisyTopKRouter(64, b, top_k=k), Experts(b, 64, 32)) for _ in range(a)
]
nested = MoE(NoisyTopKRouter(64, a, top_k=k), NestedExperts(groups)).eval()
with torch.no_grad():  # the weights of the flat layer
    top, *low = router.gate.weight.split([a] + a * [b])
    nested.router.gate.weight.copy_(top)
    for i, group in enumerate(groups):
        group.router.gate.weight.copy_(low[i])
        for name in ("w_in", "w_out"):
            bank = getattr(experts, name)[i * b : (i + 1) * b]
            getattr(group.experts, name).copy_(bank)

# %%
flat = MoE(router, experts).eval()
same = torch.allclose(nested(few)[0], flat(few)[0], atol=1e-5)
print("a mixture of mixtures is the layer with two levels:", same)
logits = a + a * b, a + k * b
print("logits for a token:", *logits)

# %% [markdown]
# One difference is in the work. `HierarchicalRouter` has all its logits in one
# matrix and computes $a + ab$ of them, more than a flat gate: it is there for
# its table, not for speed. In the nested layer a group's gate sees only the
# tokens of its group, $a + kb$ logits each. That is the saving of the table
# above. The other is in the losses: the nested layer hands out the outer table
# alone, so balance every expert with the flat one.

# %% [markdown]
# ## Break it: the repair lab
#
# So much for the bill. Now for the mistakes. Below is a mixture of ten experts
# for handwritten digits, in about forty lines. It runs, it trains, and it names
# nearly all test images rightly (the table below counts). It contains **eight mistakes** of the kind that
# printed tutorials contain.

# %%
import torch
from torch import nn
from torch.nn import functional as F


class Gate(nn.Module):
    def __init__(self, d_in, experts, top_k):
        super().__init__()
        self.top_k = top_k
        self.score = nn.Linear(d_in, experts, bias=False)
        self.spread = nn.Linear(d_in, experts, bias=False)

    def forward(self, x):
        logits = self.score(x)  # [T, E]
        noise = torch.randn_like(logits)
        logits = logits + noise * F.softplus(self.spread(x))
        weights, index = logits.softmax(dim=1).topk(self.top_k)
        return weights, index  # [T, k] each


# %%
def make_expert(d_in, width, d_out):
    first = nn.Linear(d_in, width, bias=False)
    second = nn.Linear(width, d_out, bias=False)
    return nn.Sequential(first, nn.ReLU(), second)


class DigitMoE(nn.Module):
    def __init__(self, d_in=64, classes=10, experts=10, top_k=2):
        super().__init__()
        self.gate = Gate(d_in, experts, top_k)
        bank = [make_expert(d_in, 32, classes) for _ in range(experts)]
        self.experts = nn.ModuleList(bank)
        self.shared = nn.Linear(d_in, classes)

    def forward(self, x):
        shared = self.shared(x)  # [T, C]
        weights, index = self.gate(x)  # [T, k] each
        gates = x.new_zeros(len(x), len(self.experts))  # [T, E]
        for t in range(len(x)):
            gates[t, index[t]] = weights[t]
        y = torch.zeros_like(shared)
        for e, expert in enumerate(self.experts):
            y = y + gates[e] * expert(x)
        head = nn.Linear(y.shape[1], y.shape[1])
        y = y + head(y)
        return shared + y, weights.sum(dim=0)


# %%
def balance_loss(importance):
    return importance.var() / importance.mean() ** 2


# %% [markdown]
# The check looks at the model from outside. It names what it sees, never the
# line. Edit the three cells above, run them, and check again, in any order.
# Keep the names `gate` and `experts`. `repair_hint(4)` gives a push.

# %%
from moe_lib.course.repair_lab import (
    check_repair,
    repair_hint,
    repair_solution,
)

check_repair(DigitMoE, balance_loss)

# %% [markdown]
# What did the mistakes cost? The version above as it is printed, and the one
# with all eight mended, three seeds each:

# %%
from moe_lib.course.repair_lab import lab_runs, lab_table

runs = lab_runs()  # yours as well: lab_runs((DigitMoE, balance_loss))
lab_table(runs)

# %%
from moe_lib.figures.repair_lab import lab_load_figure

lab_load_figure(
    {name: runs[name][0].load for name in ("as printed", "mended")}
)

# %% [markdown]
# *Look at the last row of the table.* As printed, the mixture is as good as one
# linear layer, because that is what it has become: most of its experts are
# never chosen, all ten are computed, and five times the arithmetic is done.
# The accuracy told you nothing of it. A mixture can be broken in its gate, its
# balance and its sparsity, and the rest of the network makes up for it. So
# look at the load, count the arithmetic, and ask the same question twice.
#
# One of the eight is no mistake in itself. Softmax before top-k, without
# renormalising, is what Switch does on purpose with k = 1 (chapter 4).

# %% [markdown]
# ## What mixtures are praised for
#
# Five advantages stand in most overviews. Each can be measured, so we do, with
# a model of chapter 2 trained afresh and the stored runs:

# %%
from moe_lib.course.advantages import advantages_table
from moe_lib.course.byte_runs import train_bytes
from moe_lib.course.byte_setup import Setup
from moe_lib.course.placed import place

setup = Setup(
    steps=course.pick(quick=200, full=1000),
    tokens=course.pick(quick=1024, full=2048),
)
model = train_bytes(setup, text, device=course.device).model
placed = place(model, setup, text)
advantages_table(placed)

# %% [markdown]
# *Read the right column.* Capacity and speed are real. Specialisation and
# interpretability are real too, of a kind: the experts know letters.

# %% [markdown]
# ## The paper's claims, and ours

# %%
from moe_lib.course import ClaimsTable
from moe_lib.course.claims_02b import (
    cited_claims,
    cost_claims,
    stored_claims,
)

ClaimsTable(*cost_claims(batches, speed), *stored_claims(), *cited_claims())

# %% [markdown]
# ## Your turn
#
# The repair lab is the main exercise. Two more, with pencil:
#
# @EXERCISE 02b.1@

# %%
from moe_lib.course import exercise, hint, solution


@exercise("02b.1")
def load_of_two_levels(primary, inside, sent):
    """Load_primary [a], Load_i [a, b], |X_i| [a] -> Load_H [a * b]"""
    raise NotImplementedError


# %% [markdown]
# @EXERCISE 02b.2@


# %%
@exercise("02b.2")
def times_dearer(num_experts, top_k, share):
    """whole numbers n and k, the experts' share [S] -> times [S]"""
    raise NotImplementedError


# %% [markdown]
# ## What we saw
#
# - Of a batch of b tokens an expert sees k b / n. The arithmetic is the same,
#   but in small products the processor waits for weights.
# - Many devices with one set of experts give each expert the batch of all of
#   them. Then tokens travel, and what pays for the journey is the hidden size.
# - "Four times less" is true of the experts' arithmetic, not of the model's,
#   and of its memory not at all.
# - Two levels keep the gate cheap; the load of an expert is then a product.
# - A broken mixture can look fine. Accuracy does not see the gate.
#
# In 2017 all of this ran on a few dozen GPUs, by hand. If an expert gets more
# tokens than it has room for, it waits or fails. What if the room were fixed
# beforehand, and the rest turned away? [Chapter 3](03_gshard.ipynb): GShard and
# capacity.
#
# ### References
#
# - N. Shazeer, A. Mirhoseini, K. Maziarz, A. Davis, Q. Le, G. Hinton, J. Dean
#   (2017). Outrageously large neural networks: the sparsely-gated
#   mixture-of-experts layer. *ICLR*, arXiv:1701.06538.
# - E. Alpaydin, C. Kaynak (1998). Optical recognition of handwritten digits.
#   *UCI Machine Learning Repository*: the digits.
