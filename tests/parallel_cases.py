"""What the ranks of tests/test_parallel.py do.

``python parallel_cases.py RANK RANKS DIR``: every rank runs every case and writes a
line for each into ``DIR/RANKS.RANK.jsonl``: the case's name, and the worst difference
to what one process computes, or its error. Each rank computes the whole by itself, from
the same seeds; its own part is a slice.
"""

from __future__ import annotations

import copy
import datetime
import itertools
import json
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh

from moe_lib import MoE
from moe_lib.exchange import all_to_all, pack, payload_bytes, unpack
from moe_lib.experts import Experts
from moe_lib.language_modelling import negative_log_likelihood
from moe_lib.losses import load_balancing_loss
from moe_lib.models.ffn import DenseFFN, moe_every
from moe_lib.models.nested import NestedExperts
from moe_lib.models.transformer import TransformerLM
from moe_lib.parallel import ExpertParallel
from moe_lib.parallel_model import (
    gathered_state,
    gradient_norm,
    parallelise,
    sum_gradients,
)
from moe_lib.recorder import Recorder
from moe_lib.routers import (
    GShardRouter,
    HashRouter,
    NoisyTopKRouter,
    SwitchRouter,
    TopKRouter,
)
from moe_lib.transport import plan_dispatch

TIMEOUT = datetime.timedelta(seconds=30)  # of a collective that somebody misses
D, F, E, GROUP, WORDS = 16, 24, 8, 4, 11
TIGHT = dict(capacity_factor=0.6, group_size=GROUP)

ROUTERS: dict[str, Callable[[], nn.Module]] = {
    "gshard": lambda: GShardRouter(D, E, **TIGHT, second_expert_policy="all"),
    "gshard_random": lambda: GShardRouter(D, E, **TIGHT),
    "switch": lambda: SwitchRouter(D, E, **TIGHT),
    "top_k": lambda: TopKRouter(D, E, top_k=3),
    "noisy_top_k": lambda: NoisyTopKRouter(D, E),
    "hash": lambda: HashRouter(D, E, WORDS),
}
DTYPES = {"float32": torch.float32, "float64": torch.float64}
SPLITS = {  # tokens of each rank
    "even": [8, 8, 8, 8],
    "uneven": [4, 16, 8, 12],
    "empty": [0, 12, 0, 8],
    "none": [0, 0, 0, 0],
}
CASES: dict[str, Callable[[], float]] = {}


def case(function: Callable[[], float]) -> Callable[[], float]:
    CASES[function.__name__] = function
    return function


def rank_and_ranks() -> tuple[int, int]:
    return dist.get_rank(), dist.get_world_size()


def make_moe(router: str, activation: str = "relu", dtype=torch.float64) -> MoE:
    moe = MoE(ROUTERS[router](), Experts(E, D, F, activation))
    for weight in moe.router.parameters():
        nn.init.normal_(weight, std=0.5)  # zeros would hide much
    return moe.to(dtype)


def worst(*pairs: tuple[Tensor | None, Tensor | None]) -> float:
    """The largest difference; None is zeros, as far as sums are concerned."""
    found = 0.0
    for ours, theirs in pairs:
        if ours is None and theirs is None:
            continue
        ours = torch.zeros_like(theirs) if ours is None else ours.detach()
        theirs = torch.zeros_like(ours) if theirs is None else theirs.detach()
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        assert not ours.isnan().any()
        if ours.numel():
            found = max(found, float((ours - theirs).abs().max()))
    return found


@contextmanager
def arranged_draws(total: int, part: slice):
    """A router's noise: drawn for all tokens, of which this process takes its part."""
    draw = torch.Generator().manual_seed(3)

    def some(kind):
        def drawn(like: Tensor) -> Tensor:
            shape = total, *like.shape[1:]
            return kind(shape, generator=draw, dtype=like.dtype)[part]

        return drawn

    with (
        mock.patch.object(torch, "rand_like", some(torch.rand)),
        mock.patch.object(torch, "randn_like", some(torch.randn)),
    ):
        yield


def compare(
    moe: MoE,
    sizes: list[int],
    *,
    mask: Callable[[int], Tensor] | None = None,
    ids: Callable[[int], Tensor] = lambda total: torch.arange(total) * 7 % WORDS,
    wants_grad: Callable[[int], bool] = lambda rank: True,
    autocast: bool = False,
    **options,
) -> float:
    """Outputs and all gradients of a layer over the ranks, against one process."""
    rank, ranks = rank_and_ranks()
    sizes = sizes[:ranks]
    total, start = sum(sizes), sum(sizes[:rank])
    part = slice(start, start + sizes[rank])
    dtype = moe.experts.w_in.dtype
    x, direction = torch.randn(2, total, D).to(dtype)
    told = dict(token_mask=mask and mask(total), token_ids=ids(total))

    whole = copy.deepcopy(moe)
    whole_x = x.clone().requires_grad_()
    with arranged_draws(total, slice(None)), torch.autocast("cpu", enabled=autocast):
        whole_y, whole_routing = whole(whole_x, **told)
    (whole_y * direction).sum().backward()
    if total > GROUP and mask is None and hasattr(moe.router, "slots"):
        assert whole_routing.drop_fraction > 0  # else a tight buffer was never tried

    layer = ExpertParallel(moe, **options)
    own_x = x[part].clone().requires_grad_(wants_grad(rank))
    own = {name: None if v is None else v[part] for name, v in told.items()}
    with arranged_draws(total, part), torch.autocast("cpu", enabled=autocast):
        y, routing = layer(own_x, **own)
    (y * direction[part]).sum().backward()
    sum_gradients(layer)
    pairs = [(y, whole_y[part])]
    if wants_grad(rank):
        pairs.append((own_x.grad, whole_x.grad[part]))
    for name, weight in layer.experts.named_parameters():
        assert weight.grad is not None  # zeros, too: weight decay goes by that
        pairs.append(
            (layer.gathered(weight.grad), whole.get_parameter(f"experts.{name}").grad)
        )
    for name, weight in layer.router.named_parameters():
        pairs.append((weight.grad, whole.router.get_parameter(name).grad))
    rows = len(routing.kept) // max(1, len(y))  # of a token
    there = slice(part.start * rows, part.stop * rows)
    assert torch.equal(routing.kept, whole_routing.kept[there])
    assert routing.num_experts == E
    return worst(*pairs)


def add_layer_case(router: str, activation: str, dtype: str, split: str) -> None:
    def run() -> float:
        return compare(make_moe(router, activation, DTYPES[dtype]), SPLITS[split])

    CASES[f"{router}-{activation}-{dtype}-{split}"] = run


for choice in itertools.product(ROUTERS, ("relu", "swiglu"), DTYPES, SPLITS):
    usual = choice[1:3] in (("relu", "float64"), ("swiglu", "float32"))
    if choice[0] == "gshard" or (usual and choice[3] in ("uneven", "empty")):
        add_layer_case(*choice)


def random_mask(total: int) -> Tensor:
    """Some tokens are padding, and all of the last 8."""
    return (torch.rand(total) < 0.7) & (torch.arange(total) < max(8, total - 8))


@case
def padding() -> float:
    return compare(make_moe("gshard"), SPLITS["even"], mask=random_mask)


@case
def nothing_but_padding() -> float:
    mask = torch.zeros_like(torch.arange(32), dtype=torch.bool)
    return compare(make_moe("top_k"), SPLITS["even"], mask=lambda n: mask[:n])


@case
def one_expert_has_all() -> float:
    return compare(make_moe("hash"), SPLITS["even"], ids=lambda n: torch.full((n,), 5))


@case
def some_inputs_need_no_gradient() -> float:
    """As of a first layer; a rank that left an exchange out would hang the others."""
    return compare(
        make_moe("gshard"), SPLITS["uneven"], wants_grad=lambda rank: rank % 2 == 0
    )


@case
def no_input_needs_a_gradient() -> float:
    return compare(make_moe("top_k"), SPLITS["empty"], wants_grad=lambda rank: False)


@case
def every_backend() -> float:
    """Those that every shape can take, on rows that others sent."""
    found = 0.0
    for backend in ("loop", "one_hot", "blocks", "padded", "segments", "grouped"):
        moe = make_moe("gshard", "swiglu", torch.float32)
        moe.backend = backend
        found = max(found, compare(moe, SPLITS["empty"]))
    return found


@case
def as_on_a_gpu() -> float:
    """There the plan has as many rows as the table, also those that were not kept."""

    def uncut_plan(routing):
        with mock.patch("torch.compiler.is_compiling", return_value=True):
            plan = plan_dispatch(routing)
        assert len(plan.row) == len(routing.kept)
        return plan

    with mock.patch("moe_lib.parallel.plan_dispatch", uncut_plan):
        return compare(make_moe("gshard"), SPLITS["uneven"])


@case
def autocast() -> float:
    moe = make_moe("top_k", "swiglu", torch.float32)
    return compare(moe, SPLITS["uneven"], autocast=True)


@case
def rounded_rows_come_close() -> float:
    found = 0.0
    for payload in ("bfloat16", "int8"):
        moe = make_moe("top_k", "swiglu")
        difference = compare(moe, SPLITS["uneven"], payload=payload)
        assert difference > 1e-4  # it does round
        found = max(found, difference)
    return found


@case
def without_gradients() -> float:
    rank, ranks = rank_and_ranks()
    moe = make_moe("switch").eval()
    x = torch.randn(ranks, 3, GROUP, D, dtype=torch.float64)
    layer = ExpertParallel(copy.deepcopy(moe))
    with torch.no_grad():
        y, _ = layer(x[rank])
        expected, _ = moe(x)
    assert not y.requires_grad
    return worst((y, expected[rank]))


@case
def a_later_call_with_other_sizes() -> float:
    """Nothing of the first call is left in the layer."""
    rank, ranks = rank_and_ranks()
    moe = make_moe("top_k")
    layer, found = ExpertParallel(copy.deepcopy(moe)), 0.0
    for total in (6, 0, 10):
        x = torch.randn(ranks, total, D, dtype=torch.float64)
        found = max(found, worst((layer(x[rank])[0], moe(x)[0][rank])))
    return found


def exact_rows(rank: int) -> Tensor:
    """Rows of very different size, one of zeros among them; the same on all ranks."""
    draw = torch.Generator().manual_seed(rank)
    rows = torch.randn(7 + rank, D, generator=draw, dtype=torch.float64)
    return (
        rows
        * 10.0 ** torch.arange(-4, 3 + rank).unsqueeze(1)
        * (torch.arange(7 + rank) != 3).unsqueeze(1)
    )


def sent_to(rank: int, ranks: int) -> list[int]:
    """How many of its rows a rank sends to each: uneven, some none."""
    sizes = [(rank + 2 * other) % 3 for other in range(ranks - 1)]
    return [*sizes, 7 + rank - sum(sizes)]


def exchange_with(payload: str) -> float:
    """Rows and gradients arrive as exactly what packing and unpacking make of them."""
    rank, ranks = rank_and_ranks()
    sent = [sent_to(r, ranks) for r in range(ranks)]

    def travelled(rows: Tensor) -> Tensor:
        return unpack(pack(rows, payload), payload, rows.dtype)

    def gradient(arrived: Tensor, at: int) -> Tensor:
        return arrived.sin() + at

    rows = exact_rows(rank).requires_grad_()
    received = [sent[r][rank] for r in range(ranks)]
    arrived = all_to_all(rows, sent[rank], received, payload=payload)
    arrived.backward(gradient(arrived.detach(), rank))
    own_parts = rows.detach().split(sent[rank])
    parts = [exact_rows(r).split(sent[r])[rank] for r in range(ranks)]
    expected = torch.cat([travelled(part) for part in parts])
    home = [travelled(gradient(travelled(part), r)) for r, part in enumerate(own_parts)]
    return worst((arrived, expected), (rows.grad, torch.cat(home)))


CASES |= {
    f"exchange-{payload}": lambda payload=payload: exchange_with(payload)
    for payload in ("same", "bfloat16", "int8")
}


def traffic_with(payload: str) -> float:
    """Every byte, counted from the routings row by row, both ways and back."""
    rank, ranks = rank_and_ranks()
    wrong = 0
    for dtype in (torch.float32, torch.float64):
        moe = make_moe("gshard", dtype=dtype)
        sizes = SPLITS["empty"][:ranks] if ranks > 1 else [8]
        tokens = torch.randn(sum(sizes), D).to(dtype).split(sizes)
        expected = torch.zeros(ranks, ranks, dtype=torch.int64)
        per_row = payload_bytes(1, D, dtype, payload)
        for r, own in enumerate(tokens):
            routing = moe.router(own)
            rows = zip(
                routing.expert_index.tolist(), routing.kept.tolist(), strict=True
            )
            for expert, kept in rows:
                expected[r, expert // (E // ranks)] += kept * per_row
        recorder = Recorder()
        layer = ExpertParallel(moe, payload=payload, recorder=recorder)
        layer(tokens[rank])  # before the start: not noted
        recorder.start()
        y, _ = layer(tokens[rank])
        forward = recorder.gathered().traffic
        recorder.start()
        y.sum().backward()
        backward = recorder.gathered().traffic
        for traffic in (forward, backward):
            wrong += int((traffic["dispatch"] != expected).sum())
            wrong += int((traffic["combine"] != expected.T).sum())
        assert expected.sum() > 0
    return wrong


CASES |= {
    f"traffic-{payload}": lambda payload=payload: traffic_with(payload)
    for payload in ("same", "bfloat16", "int8")
}


@case
def time_line() -> float:
    """No gaps, from zero on; and nobody travels before the last has arrived."""
    rank, ranks = rank_and_ranks()
    recorder = Recorder()
    layer = ExpertParallel(make_moe("top_k"), recorder=recorder)
    recorder.start()
    time.sleep(0.02 * rank)
    y, _ = layer(torch.randn(6, D, dtype=torch.float64))
    y.sum().backward()
    events = recorder.gathered().events
    zeros = [None] * ranks
    dist.all_gather_object(zeros, recorder._zero)  # one machine, so one clock
    lanes = [[event[1:] for event in events if event[0] == r] for r in range(ranks)]
    for lane in lanes:
        kinds = [kind for kind, *_ in lane]
        way = ["dispatch", "dispatch", "combine", "dispatch", "combine"]  # counts first
        assert kinds == [k for one in way for k in ("compute", "waiting", one)] + [
            "compute"
        ]
        starts, ends = [start for _, start, _ in lane], [end for *_, end in lane]
        assert starts == [0.0, *ends[:-1]]
        assert all(s <= e for s, e in zip(starts, ends, strict=True))
    early = 0
    for n in range(1, len(lanes[0]), 3):
        arrived = max(zeros[r] + lane[n][1] for r, lane in enumerate(lanes))
        left = min(zeros[r] + lane[n][2] for r, lane in enumerate(lanes))
        early += left < arrived
    return early


def make_model() -> TransformerLM:
    def make_layer() -> MoE:
        router = GShardRouter(D, E, **TIGHT, second_expert_policy="all")
        return MoE(router, Experts(E, D, F, "swiglu"))

    make_ffn = moe_every(2, make_layer, lambda: DenseFFN(D, F))
    return TransformerLM(WORDS, D, 2, 4, make_ffn, max_length=2 * GROUP).double()


def train(model: nn.Module, inputs, targets, part, clip, **sharing) -> None:
    """Two steps; ``part`` of the sequences are this process's, in groups of 4 tokens.

    Gradient descent with weight decay by hand: torch.optim imports the compiler, which
    takes each process a second.
    """
    weights = list(model.parameters())
    for _ in range(2):
        logits, routings = model(inputs[part])
        nll = negative_log_likelihood(logits, targets[part])
        loss = nll.sum() / targets.numel()
        share = inputs[part].numel() / inputs.numel()  # of the groups
        for routing in routings:
            loss = loss + 0.01 * share * load_balancing_loss(routing)
        loss.backward()
        if sharing:
            sum_gradients(model, **sharing)
            norm = gradient_norm(model)
        else:
            norm = nn.utils.get_total_norm([w.grad for w in weights])
        assert norm > 0.05
        nn.utils.clip_grads_with_norm_(weights, clip, norm)
        with torch.no_grad():
            for weight in weights:
                weight.sub_(weight.grad + 0.1 * weight)
                weight.grad = None


def transformer(sizes: list[int], clip: float, mesh: bool = False) -> float:
    """Data and expert parallelism together: sizes is sequences of each rank."""
    rank, ranks = rank_and_ranks()
    sizes = sizes[:ranks]
    model = make_model()
    inputs, targets = torch.randint(WORDS, (2, sum(sizes), 2 * GROUP))
    whole = copy.deepcopy(model)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    train(whole, inputs, targets, slice(None), clip)
    expert_group = replicas = None
    if mesh:  # ranks 0 and 1 hold all experts, and ranks 2 and 3 once more
        grid = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "expert"))
        expert_group, replicas = (grid[k].get_group() for k in ("expert", "data"))
    parallelise(model, expert_group)
    if mesh:
        refused(lambda: sum_gradients(model), "4 ranks", "expert_replicas has 1")
    assert worst(*((gathered_state(model)[k], v) for k, v in start.items())) == 0
    part = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
    train(model, inputs, targets, part, clip, expert_replicas=replicas)
    state, expected = gathered_state(model), whole.state_dict()
    assert state.keys() == expected.keys()
    return worst(*((state[name], expected[name]) for name in expected))


@case
def transformer_steps() -> float:
    return transformer([2, 1, 3, 2], clip=1e9)


@case
def transformer_steps_clipped_with_a_rank_without_data() -> float:
    return transformer([3, 0, 1, 0], clip=0.05)


@case
def transformer_steps_on_a_mesh() -> float:
    if dist.get_world_size() < 4:
        return 0.0
    return transformer([2, 1, 3, 2], clip=0.05, mesh=True)


@case
def a_gradient_that_only_some_ranks_have() -> float:
    rank, ranks = rank_and_ranks()
    model = nn.ModuleDict({name: nn.Linear(2, 3) for name in ("all", "last", "none")})
    model["last"].double()
    for weight in model["all"].parameters():
        weight.grad = torch.full_like(weight, rank + 1.0)
    for weight in model["last"].parameters():
        weight.grad = torch.ones_like(weight) if rank == ranks - 1 else None
    sum_gradients(model)
    assert all(weight.grad is None for weight in model["none"].parameters())
    total = ranks * (ranks + 1) / 2
    return worst(
        *((w.grad, torch.full_like(w, total)) for w in model["all"].parameters()),
        *((w.grad, torch.ones_like(w)) for w in model["last"].parameters()),
    )


@case
def a_layer_in_two_places_stays_one() -> float:
    moe = make_moe("top_k")
    model = parallelise(nn.ModuleList([moe, nn.Sequential(moe)]))
    assert isinstance(model[0], ExpertParallel) and model[0] is model[1][0]
    whole = make_moe("top_k")
    whole.load_state_dict(gathered_state(parallelise(copy.deepcopy(whole))))
    return 0.0


def refused(build: Callable[[], nn.Module], *words: str) -> None:
    try:
        build()
    except ValueError as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing and "\n" not in str(error), f"{missing} not in: {error}"
    else:
        raise AssertionError(f"no error with {words}")


@case
def ranks_that_disagree_are_told() -> float:
    """On every rank, and the last one differs."""
    rank, ranks = rank_and_ranks()
    last = rank == ranks - 1
    if ranks == 1:
        return 0.0
    who = f"rank {ranks - 1} has "

    def layer(experts=E, d_ff=F, top_k=2, seed=0, **options):
        torch.manual_seed(seed)
        moe = MoE(TopKRouter(D, experts, top_k=top_k), Experts(experts, D, d_ff))
        return ExpertParallel(moe, **options)

    refused(lambda: layer(experts=16 if last else 8), who, "num_experts", "16", "8")
    refused(lambda: layer(d_ff=5 if last else 6), who, "d_ff", "5", "6")
    refused(lambda: layer(top_k=3 if last else 2), who, "top_k", "3", "2")
    refused(lambda: layer(seed=last), who, "router's weights", "seed")
    refused(lambda: layer(payload="int8" if last else "same"), who, "payload: int8")
    refused(lambda: layer(recorder=Recorder() if last else None), who, "recorder")
    switch = SwitchRouter(D, E) if last else TopKRouter(D, E)
    experts = Experts(E, D, F)
    refused(lambda: ExpertParallel(MoE(switch, experts)), who, "class", "SwitchRouter")
    tight = SwitchRouter(D, E, capacity_factor=1 + last / 2)
    refused(lambda: ExpertParallel(MoE(tight, experts)), who, "capacity_factor=1.5")
    torch.manual_seed(last)
    refused(lambda: parallelise(nn.Linear(2, 2)), who, "weight")
    return 0.0


@case
def layers_that_do_not_fit_are_refused() -> float:
    rank, ranks = rank_and_ranks()
    if ranks > 1:
        odd = MoE(TopKRouter(D, ranks + 1), Experts(ranks + 1, D, F))
        refused(
            lambda: ExpertParallel(odd), f"num_experts={ranks + 1} but {ranks} ranks"
        )
        alone = [dist.new_group([r]) for r in range(ranks)]
        other = (rank + 1) % ranks
        refused(lambda: ExpertParallel(odd, alone[other]), f"rank {rank} is not in")
        recorder = Recorder(alone[rank])
        refused(lambda: ExpertParallel(odd, recorder=recorder), "recorder", "group")
    nested = MoE(TopKRouter(D, 2), NestedExperts([make_moe("top_k") for _ in "ab"]))
    refused(lambda: parallelise(nested), "NestedExperts", "moe_lib.experts.Experts")
    good = make_moe("top_k")
    refused(lambda: ExpertParallel(good, payload="int4"), "payload", "int8")
    refused(lambda: Recorder().gathered(), "start()")
    return 0.0


@case
def building_draws_nothing() -> float:
    moe = make_moe("top_k")
    before = torch.get_rng_state()
    ExpertParallel(moe)
    return float(not torch.equal(before, torch.get_rng_state()))


def main(rank: int, ranks: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder / f'meeting.{ranks}'}",
        rank=rank,
        world_size=ranks,
        timeout=TIMEOUT,
    )
    with open(folder / f"{ranks}.{rank}.jsonl", "w") as file:
        for name, run in CASES.items():
            torch.manual_seed(len(name))
            try:
                line = {"case": name, "difference": float(run())}
            except Exception as error:
                message = f"{type(error).__name__}: {error}"
                print(json.dumps({"case": name, "error": message}), file=file)
                raise
            print(json.dumps(line), file=file, flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
