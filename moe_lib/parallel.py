"""Expert parallelism: the experts of a layer spread over processes.

Lepikhin et al. (2020), "GShard": every device routes its own tokens, an all-to-all
takes them to the devices that hold their experts, and another brings the results back.
Here a device is a rank of `torch.distributed`: a process started by ``torchrun``.
"""

from __future__ import annotations

import copy

import torch
import torch.distributed as dist
from torch import Tensor, nn

from moe_lib.agreement import checksum, require_agreement, settings_of
from moe_lib.checks import require_choice
from moe_lib.dispatch import BACKENDS, choose_backend
from moe_lib.exchange import PAYLOADS, all_to_all, exchange_counts
from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.recorder import Recorder
from moe_lib.routing import Routing
from moe_lib.transport import Combine, Gather, plan_dispatch


class ExpertParallel(nn.Module):
    """A `MoE` whose experts stand on R ranks, E / R on each; called like a `MoE`.

    Each rank brings its own tokens, as many as it has, and gets their outputs and their
    routing. Outputs and gradients are those of the whole layer in one process, given
    each rank's tokens in turn as its groups: a capacity is counted among the tokens of
    one rank, or of one of its groups of ``group_size``. Experts get the gradient of the
    sum of all ranks' losses; for the router see `moe_lib.parallel_model.sum_gradients`.

    Every call is a meeting: all ranks must call forward, and backward of a loss that
    depends on its output, equally often and in the same order, also ranks without
    tokens. A rank that is missing keeps the others waiting until the timeout of the
    process group. Noise and dropout are drawn by each rank for itself.

    Args:
        moe: the whole layer, built alike on every rank, with `Experts`. Its router
            goes into this layer; of its experts each rank keeps a copy of its own
            share, ``rank * E / R`` and the next ones.
        group: the ranks to spread over; None: all.
        payload: what a row travels as, one of `moe_lib.exchange.PAYLOADS`.
        recorder: notes bytes and times; None: nothing is noted, nothing is waited for.

    Raises:
        ValueError: no process group; ranks that disagree in the layer's shape, the
            router's settings or weights, or the arguments; experts that do not divide
            over the ranks, or are not `Experts`.
    """

    def __init__(
        self,
        moe: MoE,
        group: dist.ProcessGroup | None = None,
        *,
        payload: str = "same",
        recorder: Recorder | None = None,
    ) -> None:
        super().__init__()
        require_agreement(
            {
                **settings_of(moe.experts, "experts"),
                **settings_of(moe.router, "router"),
                "router's weights": checksum(moe.router),
                "backend": moe.backend,
                "payload": payload,
                "a recorder": recorder is not None,
            },
            group,
        )
        self.group = dist.group.WORLD if group is None else group
        self.rank, self.ranks = dist.get_rank(group), dist.get_world_size(group)
        self.payload = require_choice("payload", payload, PAYLOADS)
        if recorder is not None and (recorder.group or dist.group.WORLD) != self.group:
            raise ValueError(
                "the recorder is of another group than the layer: give both the same"
            )
        self.recorder = recorder
        self.router, self.backend = moe.router, moe.backend
        self.experts = share_of(moe.experts, self.rank, self.ranks)

    def forward(
        self,
        x: Tensor,
        token_mask: Tensor | None = None,
        token_ids: Tensor | None = None,
    ) -> tuple[Tensor, Routing]:
        """This rank's ``x`` ``[..., d_model]`` -> ``(y, routing)``, as in `MoE`.

        The routing is of this rank's tokens alone, over all E experts.
        """
        flat = x.reshape(-1, x.shape[-1])
        told = (None if v is None else v.reshape(-1) for v in (token_mask, token_ids))
        routing = self.router(flat, *told)
        flat = flat.to(self.experts.compute_dtype(flat))  # autocast's, if it is on

        plan = plan_dispatch(routing)
        rows = Gather.apply(flat, plan)  # sorted by expert, so by rank, too
        arriving, sent, received = exchange_counts(
            plan.tokens_per_expert, self.group, recorder=self.recorder
        )
        how = dict(group=self.group, payload=self.payload, recorder=self.recorder)
        kept = rows[: sum(sent)]  # on a GPU the plan has rows that were not kept
        guests = all_to_all(kept, sent, received, **how, kind="dispatch")
        guests = self._served(guests, arriving)
        kept = all_to_all(guests, received, sent, **how, kind="combine")
        if len(kept) < len(rows):
            kept = nn.functional.pad(kept, (0, 0, 0, len(rows) - len(kept)))
        y = Combine.apply(kept, routing.combine_weights, plan)
        return y.view_as(x), routing

    def gathered(self, share: Tensor) -> Tensor:
        """This rank's ``[E / R, ...]`` of something -> all ranks' ``[E, ...]``."""
        share = share.detach().contiguous()
        shares = [torch.empty_like(share) for _ in range(self.ranks)]
        dist.all_gather(shares, share, group=self.group)
        return torch.cat(shares)

    def _served(self, guests: Tensor, arriving: Tensor) -> Tensor:
        """What the local experts make of rows that stand by rank, then by expert.

        A mixture again, whose tokens are these rows, with their expert chosen already
        and weight 1: it sorts them (expert first, then rank) and puts them back.

        Args:
            arriving: ``[R, E / R]``, how many of the rows are whose, and for whom.
        """
        count, num_experts = len(guests), self.experts.num_experts
        expert = torch.arange(num_experts, device=guests.device).repeat(self.ranks)
        number = torch.arange(count, device=guests.device)
        nothing = guests.new_zeros(1).expand(count, num_experts)
        chosen = Routing(
            token_index=number,
            expert_index=expert.repeat_interleave(
                arriving.flatten(), output_size=count
            ),
            combine_weights=guests.new_ones(count),
            kept=torch.ones_like(number, dtype=torch.bool),
            position_in_expert=number,
            router_logits=nothing,
            router_probs=nothing,
        )
        backend = self.backend if count else "segments"  # it can do with nothing
        if backend == "auto":
            backend = choose_backend(guests, chosen, self.experts)
        return BACKENDS[backend](guests, chosen, self.experts)


def share_of(experts: nn.Module, rank: int, ranks: int) -> Experts:
    """A copy of the experts ``rank * E / R`` and next, E / R of them.

    Raises:
        ValueError: the experts are not `Experts`, or E is no multiple of ``ranks``.
    """
    if type(experts) is not Experts:
        raise ValueError(
            f"the experts are {type(experts).__name__}: only moe_lib.experts.Experts"
            " can be spread over ranks"
        )
    if experts.num_experts % ranks:
        count = experts.num_experts
        divisors = ", ".join(str(n) for n in range(1, count + 1) if count % n == 0)
        raise ValueError(
            f"num_experts={count} but {ranks} ranks: give a multiple of {ranks}"
            f" experts, or start as many processes as divide {count}: {divisors}"
        )
    size = experts.num_experts // ranks
    share = copy.deepcopy(experts)
    share.num_experts = size
    for name, weight in experts.named_parameters():
        own = weight.detach()[rank * size : (rank + 1) * size].clone()
        setattr(share, name, nn.Parameter(own, weight.requires_grad))
    return share
