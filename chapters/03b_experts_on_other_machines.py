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
# # 3b · Experts that live on other machines (2020)
#
# @COLAB@
#
# **When no machine can hold all experts, tokens must travel. How many, how far,
# and at what price?**
#
# *Paper:* Lepikhin et al., "GShard: Scaling Giant Models with Conditional
# Computation and Automatic Sharding", ICLR 2021, sections 3 to 5 ·
# *Reading:* 30 minutes · *Running:* 25 seconds on two CPU cores · *Builds on:*
# [chapter 3](03_gshard.ipynb)
#
# We will see
#
# - an **all-to-all** done by hand: a transpose of letters;
# - the same between real processes, with the same outputs and gradients as in
#   one, every byte counted and every millisecond drawn;
# - what happens when one of them dies;
# - ways to send less, tried, and the journey among 2,048 devices by calculation;
# - what a better translator cost in 2020.

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
# ## See it first: who writes to whom
#
# Put eight experts on four machines, two on each. Each machine, a **rank**, has
# its own text: the first reads English, the third C++, the fourth names of all
# the world, and the second has run out of text. The router stands on every rank.
# A token's experts, most often, do not.

# %%
from moe_lib import MoE
from moe_lib.data.domain_text import Span
from moe_lib.data.text import load_text
from moe_lib.experts import Experts
from moe_lib.models.byte_tables import ByteTables
from moe_lib.routers import GShardRouter

E, R, d_model, d_ff = 8, 4, 64, 128  # experts, ranks, widths
torch.manual_seed(0)
layer = MoE(GShardRouter(d_model, E), Experts(E, d_model, d_ff)).eval()
home = torch.arange(E) * R // E  # [E]: the rank that keeps expert e

text = load_text(800_000)
windows = text.heldout_windows(Span(12))[..., :12]  # [domain, N, bytes]
tables = ByteTables(12, d_model).requires_grad_(False)
tokens = [
    tables.window(w[:n]) for w, n in zip(windows, (400, 0, 300, 100))
]  # R times [T_r, d_model]

# %% [markdown]
# Every rank routes its own tokens and sorts them into four letters, one for each
# rank, itself included:

# %%
routings = [layer.router(x) for x in tokens]


def goes_to(rank, routing):  # [A] bool: kept rows for that rank's experts
    return routing.kept & (home[routing.expert_index] == rank)


def letter(x, routing, rank):  # the rows, and which expert each is for
    row = goes_to(rank, routing)
    return x[routing.token_index[row]], routing.expert_index[row]


outbox = [
    [letter(x, routing, to) for to in range(R)]
    for x, routing in zip(tokens, routings)
]

# %%
from moe_lib.figures import traffic

traffic([[4 * rows.numel() for rows, _ in letters] for letters in outbox])

# %% [markdown]
# *Read along a row: what a rank sends. Down a column: what it must compute.*
# Three quarters of the bytes leave home, as they must when experts are dealt out
# evenly. The rank without text sends nothing, but works for the others.

# %% [markdown]
# ## The idea in code: a transpose
#
# The post office takes row r of this table, and hands out column s. That is all
# that an **all-to-all** is. Each rank then runs the experts that it has, and the
# same post carries the answers back:

# %%
inbox = list(zip(*outbox))  # inbox[s][r] is outbox[r][s]


def work(rows, expert):  # on the rank that has these experts
    y = torch.zeros_like(rows)
    for e in expert.unique():
        y[expert == e] = layer.experts.one(e, rows[expert == e])
    return y


answers = [[work(*letter) for letter in letters] for letters in inbox]
returned = list(zip(*answers))  # and back: the same transpose

# %% [markdown]
# Home again, a token's answers are weighed and summed. The router's weights never
# travelled, and no rank had to know what the others routed.

# %%
for x, routing, letters in zip(tokens, routings, returned):
    y = torch.zeros_like(x)
    for rank, rows in enumerate(letters):
        row = goes_to(rank, routing)
        weight = routing.combine_weights[row, None]
        y = y.index_add(0, routing.token_index[row], weight * rows)
    print(len(x), "tokens, equal:", torch.allclose(y, layer(x)[0], atol=1e-5))

# %% [markdown]
# ## For real: processes
#
# Now let the ranks be processes. A small script, `split_experts.py`, gives each
# its share of a layer and its own tokens:
#
# ```python
# rank, ranks, device = start_rank()  # join the others, or say who is missing
# layer = ExpertParallel(moe, recorder=recorder)  # keeps E / R of the experts
# y, routing = layer(x)  # my tokens, my outputs; called like a MoE
# loss(y).backward()  # gradients take the same road, backwards
# sum_gradients(layer)  # the router stands on every rank: add up its gradients
# ```
#
# `torchrun` starts it, here and on a cluster alike; from a shell it is
# `torchrun --nproc-per-node 2 -m moe_lib.course.split_experts`, and the script's
# first lines have the command for two hosts. Start two ranks, four experts on
# each:

# %%
import tempfile
from pathlib import Path

from moe_lib.course.split_run import SplitRun
from moe_lib.launching import run_ranks

script = "moe_lib.course.split_experts"
folder = Path(tempfile.mkdtemp())
run_2 = run_ranks(script, "--out", folder / "2.json", ranks=2)
two = SplitRun.from_file(folder / "2.json")
two.same

# %% [markdown]
# Each rank also computed what one process would have. Outputs and every gradient
# agree, up to the order of sums. Now four ranks with unequal work; one has none:

# %%
uneven = ("--tokens", 512, 0, 300, 100, "--plain")
run_4 = run_ranks(script, "--out", folder / "4.json", *uneven, ranks=4)
four = SplitRun.from_file(folder / "4.json")
four.same

# %%
for run in (two, four):
    for kind in ("dispatch", "combine"):
        counted, due = run.traffic(kind), run.calculated(kind)
        print(run, kind, "bytes as calculated:", counted.equal(due))
traffic(four.traffic("dispatch"))

# %% [markdown]
# *Look at rank 1.* It sends nothing, yet its experts work for the others. The
# bytes are those of the buffers that the ranks handed over, and they equal rows
# × width × 4, twice: rows on the way forward, gradients on the way back. (GShard
# sends whole buffers, full or not; here only real rows travel.)

# %%
from moe_lib.figures.parallel import timeline

timeline(four.events)

# %% [markdown]
# *Look at the hatched places.* An exchange begins when the last rank is ready, so
# whoever has less to do waits. Uneven work costs time even where no byte is
# wasted: balance is not only about buffers. (Here four ranks may share two cores.)
#
# Where do the seconds of a run go? Most of them are `import torch`, once in
# `torchrun` and once in each rank:

# %%
from moe_lib.course.table import Table

Table(
    ("", "starting, s", "working, s"),
    [
        (f"{run.ranks} ranks", f"{run.starting:.1f}", f"{run.working:.1f}")
        for run in (run_2, run_4)
    ],
    "where the seconds of two runs go",
)

# %% [markdown]
# ## Break it: a rank dies
#
# Everybody waits for everybody. So what if one process is killed in the middle of
# an exchange, by a full memory or by an operator?

# %%
from moe_lib.launching import RanksError

try:
    run_ranks(script, "--kill", 1, ranks=2)
except RanksError as error:
    print(error)

# %% [markdown]
# One line, within seconds, and no process is left. The other rank was waiting for
# letters that would never come; `start_rank` had given the exchange a time limit,
# and `torchrun` ended it. In a long training you would now start again from the
# last checkpoint: a group of ranks lives or dies as one.

# %% [markdown]
# ## Fewer bytes
#
# Four ways to send less, or to do more with what is sent, tried in the same run
# against the plain layer: **smaller numbers** (bfloat16; int8 with one scale for
# each row), **nearby experts** only, **one expert** a token instead of two, and
# **larger experts**.

# %%
two.remedies

# %% [markdown]
# *Read a row from left to right: bytes, time, error.* Smaller numbers change the
# layer a little, and you see by how much. Nearby experts and one expert are other
# choices, another function; only training could say whether a worse one. Larger
# experts are another model.
#
# *Now compare the first two columns.* Even where no byte crosses, travelling takes
# almost as long: between processes of one machine the network is memory, and the
# time goes into waking each other up. Would smaller numbers pay on a real wire?
# The conversion's time was measured, so that can be calculated:

# %%
from moe_lib.figures.remedies import payload_bargain

payload_bargain(two.payloads)

# %% [markdown]
# *Left of the ring a payload pays;* right of it packing takes longer than the wire
# saves. Gradients suffer more from rounding than outputs do.

# %% [markdown]
# ## From here to 2,048 devices
#
# Four processes on one machine are a small village. The paper's had 2,048. Its
# network was a **torus**: each device has links to its four neighbours alone,
# and the rows are rings. In an all-to-all everyone writes to everyone, so
# letters are passed on from hand to hand.

# %%
from moe_lib.figures.torus import all_to_all_figure

all_to_all_figure()

# %% [markdown]
# *Follow the line from left to right.* Every device sends the same bytes. But
# a row crosses more links the more devices there are, about half of $\sqrt D$.
# Links grow with $D$, data grow with $D$, the way grows with $\sqrt D$, and so
# does the time. Each curve has one free constant, fitted at the hollow mark.
# Above, the paper measured less growth than the law says. Below, our share comes
# out too high: we held the rest of the layer fixed, and it grew as well.
#
# Now all of it in numbers that you can change:

# %%
from moe_lib.widgets import Calculator
from moe_lib.widgets.parallel_tables import PARALLEL

Calculator(spec=PARALLEL)

# %% [markdown]
# Press *GShard, 128 experts* and move the devices up: the bytes stay, the road
# gets longer. Set *network* to switch and give it a start-up time: now the number
# of messages counts. *4 processes, roughly* holds guesses; put in what you
# measured above. At the bottom compare two ways to share work: send the tokens,
# or let every device hold all experts and send their gradients.

# %% [markdown]
# ## What a better translator cost
#
# The paper's headline is a table: seven models, what each cost, how well it
# translates from a hundred languages.

# %%
from moe_lib.course.cost_quality import cost_table

cost_table()

# %%
from moe_lib.figures.cost_quality import cost_quality

cost_quality()

# %% [markdown]
# *Look for the dense model.* A **core-year** is one TPU core for a year; the
# paper's own columns let you recompute it. The largest mixture costs a tenth of
# the dense model and translates better. One cell does not fit its row: 1.4 days,
# where 1.3 would fit both the core-years and the steps. (Nor do two totals of
# experts in the paper's table 1; the claims below recompute all of it.)
#
# What does a euro buy? The price is yours:

# %%
from moe_lib.course.cost_quality import price_table

price_table(1.0)  # euros for an hour of a core: your assumption

# %% [markdown]
# *Read the last column downwards.* It cancels wherever you compare, and yet it
# shows the shape: each further point costs more than the one before, and two
# models are beaten by cheaper ones.

# %% [markdown]
# ## The paper's claims, and ours

# %%
from moe_lib.course import ClaimsTable
from moe_lib.course.claims_03b import (
    calculated_claims,
    cited_claims,
    split_claims,
)

ClaimsTable(*split_claims(two, four), *calculated_claims(), *cited_claims())

# %% [markdown]
# ## Your turn
#
# @EXERCISE 03b.1@

# %%
from moe_lib.course import exercise, hint, solution


@exercise("03b.1")
def dispatch_plan(counts, rank):
    """rows [R, E] of each rank for each expert -> what rank sends and gets"""
    raise NotImplementedError


# %% [markdown]
# **03b.2 (open).** `together[a, b]` counts the tokens that use both experts. A
# token whose two experts live apart visits two devices. Put equally many experts
# on each device so that few tokens cross. You are scored on hidden routers
# against the best of all placements; 95 % of what it saves over a placement by
# lot passes.

# %%
from moe_lib.course.placement_contest import score_placement
from moe_lib.course.placements import routed_together

together = routed_together(8, seed=1)  # one to try on


def place(together, devices):
    """[E, E] counts, number of devices -> [E], device of each expert"""
    raise NotImplementedError


score_placement(place)

# %% [markdown]
# ## What we saw
#
# - An all-to-all is a transpose of letters. What travels are rows; the router's
#   weights and the experts stay at home.
# - Split over processes, the layer gives the same outputs and gradients. Ranks may
#   have unequal work, or none, but none may stay away.
# - Every byte can be calculated beforehand: kept rows, width, bytes of a number.
# - Among D devices on a torus the journey grows with the square root of D, while
#   the work of each stays. At 2,048 it took a third of the time.
# - The payload can be halved or quartered, the way shortened, the work per row
#   increased. Each has its price, and on one machine rounding costs more time
#   than it saves.
#
# Two experts for every token, because with one the router learns nothing: that
# was the wisdom of 2017 and 2020. It doubles the letters. What if it is wrong?
# [Chapter 4](04_switch.ipynb): Switch.
#
# ### References
#
# - D. Lepikhin, H. Lee, Y. Xu, D. Chen, O. Firat, Y. Huang, M. Krikun,
#   N. Shazeer, Z. Chen (2021). GShard: scaling giant models with conditional
#   computation and automatic sharding. *ICLR*, arXiv:2006.16668.
