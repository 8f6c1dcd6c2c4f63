"""Expert parallelism for a whole model: replace, sum gradients, clip, gather.

The ranks share the data: each computes the loss of its own sequences with its own copy
of everything but the experts. One training step, alike on every rank::

    logits, routings = model(own_inputs)
    loss = nll(logits, own_targets).sum() / targets_of_all_ranks
    for routing in routings:  # it is a mean over groups, so:
        share = own_groups / groups_of_all_ranks
        loss = loss + 0.01 * share * load_balancing_loss(routing)
    loss.backward()
    sum_gradients(model)
    nn.utils.clip_grads_with_norm_(model.parameters(), 1.0, gradient_norm(model))
    optimizer.step()
    optimizer.zero_grad()

The whole model's loss is the sum of the ranks' losses; so each is divided by what all
ranks have, not by its own. Where a router has no ``group_size``, each rank's tokens are
a group of their own for capacity and for the load balancing loss: that is not the loss
of one process with one large group.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from moe_lib.agreement import checksum, require_agreement
from moe_lib.layer import MoE
from moe_lib.parallel import ExpertParallel


def parallelise(
    model: nn.Module, group: dist.ProcessGroup | None = None, **options
) -> nn.Module:
    """Replace every `MoE` inside ``model`` by `ExpertParallel`, in place.

    Make the optimiser afterwards: the experts' parameters are new ones.

    Args:
        model: built alike on every rank (checked within the group); also a `MoE`.
        group, options: as in `ExpertParallel`.

    Returns:
        The model; if it is a `MoE`, the layer that takes its place.

    Raises:
        ValueError: as in `ExpertParallel`.
    """
    state = model.state_dict()
    require_agreement({name: checksum(value) for name, value in state.items()}, group)
    if isinstance(model, MoE):
        return ExpertParallel(model, group, **options)
    replaced: dict[MoE, ExpertParallel] = {}  # a layer may stand in several places
    for name, layer in list(model.named_modules(remove_duplicate=False)):
        if isinstance(layer, MoE):
            if layer not in replaced:
                replaced[layer] = ExpertParallel(layer, group, **options)
            model.set_submodule(name, replaced[layer])
    return model


def sum_gradients(
    model: nn.Module,
    group: dist.ProcessGroup | None = None,
    *,
    expert_replicas: dist.ProcessGroup | None = None,
) -> None:
    """After backward: give every rank the gradients of the sum of all ranks' losses.

    Everything but the experts stands on every rank; those gradients are summed, in one
    all-reduce. An expert that stands on one rank has its gradient already: the tokens
    of all ranks of its exchange went there. A parameter without gradient on some ranks
    counts as zero there; without gradient on all ranks it stays without.

    Args:
        group: all ranks that share the data; None: all there are.
        expert_replicas: where several ranks hold the same experts, those ranks, as
            this rank's ``mesh["data"].get_group()`` of a mesh data x expert.

    Raises:
        ValueError: ranks of the group that neither the layers' exchanges nor
            ``expert_replicas`` reach.
    """
    ranks = dist.get_world_size(group)
    copies = 1 if expert_replicas is None else dist.get_world_size(expert_replicas)
    for layer in expert_layers(model):
        if layer.ranks * copies != ranks:
            raise ValueError(
                f"{ranks} ranks, but the experts are spread over {layer.ranks} and"
                f" expert_replicas has {copies}: give as expert_replicas the group of"
                " ranks that hold the same experts"
            )
    replicated, experts = _parameters(model)
    _sum(replicated, group)
    if expert_replicas is not None:
        _sum(experts, expert_replicas)


def gradient_norm(model: nn.Module) -> Tensor:
    """The norm of the whole model's gradient after `sum_gradients`, 0-d.

    Each expert counts once, wherever it stands. All ranks must call this.
    """
    replicated, _ = _parameters(model)
    square = _norm(replicated).square()
    for layer in expert_layers(model):
        of_share = _norm(layer.experts.parameters()).square()
        dist.all_reduce(of_share, group=layer.group)
        square = square + of_share
    return square.sqrt()


def gathered_state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict of the whole model in one process, on every rank.

    Also of one `ExpertParallel`: its `MoE` can load it. All ranks must call this.
    """
    state = model.state_dict()
    for name, layer in model.named_modules():
        if isinstance(layer, ExpertParallel):
            prefix = f"{name}.experts." if name else "experts."
            for key in layer.experts.state_dict():
                state[prefix + key] = layer.gathered(state[prefix + key])
    return state


def expert_layers(model: nn.Module) -> list[ExpertParallel]:
    """The layers that `parallelise` made."""
    return [module for module in model.modules() if isinstance(module, ExpertParallel)]


def _parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Those that every rank has, and those of this rank's experts."""
    experts = [
        weight
        for layer in expert_layers(model)
        for weight in layer.experts.parameters()
    ]
    known = {id(weight) for weight in experts}
    return [w for w in model.parameters() if id(w) not in known], experts


def _sum(parameters: list[nn.Parameter], group: dist.ProcessGroup | None) -> None:
    """One all-reduce for each dtype: all gradients, and how many ranks had each."""
    for dtype in dict.fromkeys(weight.dtype for weight in parameters):
        weights = [weight for weight in parameters if weight.dtype == dtype]
        grads = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        had = [float(w.grad is not None) for w in weights]
        flat = torch.cat([*(g.flatten() for g in grads), grads[0].new_tensor(had)])
        dist.all_reduce(flat, group=group)
        *sums, had = flat.split([w.numel() for w in weights] + [len(weights)])
        for weight, total, ranks in zip(weights, sums, had.tolist(), strict=True):
            weight.grad = total.view_as(weight) if ranks else None


def _norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    return nn.utils.get_total_norm(
        [w.new_zeros(()) if w.grad is None else w.grad for w in parameters]
    )
