"""Other libraries' layers, with the same weights: optional, see README.md."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from benchmarks import truth
from benchmarks.candidates import Candidate, load
from benchmarks.shapes import Bank

INSTALL = {
    "transformers": "pip install transformers",
    "mixture_of_experts": "pip install mixture-of-experts",
    "labml_nn": "pip install labml && pip install --no-deps labml-nn",
}

SEQUENCE = 256


def stacked(weights: Tensor) -> Tensor:
    """``[E, in, out]`` as ``[E, out, in]``, nn.Linear's order."""
    return weights.transpose(1, 2)


def mixtral(bank: Bank, implementation: str) -> Candidate:
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    shape = bank.shape
    config = MixtralConfig(
        hidden_size=shape.d_model,
        intermediate_size=shape.d_ff,
        num_local_experts=shape.num_experts,
        num_experts_per_tok=shape.top_k,
    )
    config._experts_implementation = implementation
    block = MixtralSparseMoeBlock(config).to(device=bank.device, dtype=bank.dtype)
    load(block.gate.weight, bank.gate)
    gate, up = block.experts.gate_up_proj.detach().chunk(2, dim=1)
    gate.copy_(stacked(bank.w_gate))
    up.copy_(stacked(bank.w_in))
    load(block.experts.down_proj, stacked(bank.w_out))
    return Candidate(block, bank.x.unsqueeze(0), truth.top_k(bank))


def transformers_switch(bank: Bank) -> Candidate:
    from transformers import SwitchTransformersConfig
    from transformers.models.switch_transformers import (
        modeling_switch_transformers as modeling,
    )

    shape = bank.shape
    config = SwitchTransformersConfig(
        d_model=shape.d_model,
        d_ff=shape.d_ff,
        num_experts=shape.num_experts,
        expert_capacity=shape.num_tokens,
        dropout_rate=0.0,
        router_jitter_noise=0.0,
    )
    block = modeling.SwitchTransformersSparseMLP(config)
    block = block.to(device=bank.device, dtype=bank.dtype)
    load(block.router.classifier.weight, bank.gate)
    for e in range(shape.num_experts):
        expert = block.experts[f"expert_{e}"]
        load(expert.wi.weight, bank.w_in[e].T)
        load(expert.wo.weight, bank.w_out[e].T)
    return Candidate(block, bank.x.unsqueeze(0), truth.switch(bank))


def lucidrains(bank: Bank, **settings: object) -> Candidate:
    """A batch of sequences of 256 tokens: its cost is quadratic in their length.

    Policy "all", not "random": the same time, and the output can be checked.
    """
    from mixture_of_experts import MoE
    from mixture_of_experts.mixture_of_experts import MIN_EXPERT_CAPACITY

    shape = bank.shape
    length = min(SEQUENCE, shape.num_tokens)
    moe = MoE(
        dim=shape.d_model,
        num_experts=shape.num_experts,
        hidden_dim=shape.d_ff,
        second_policy_train="all",
        **settings,
    ).to(device=bank.device, dtype=bank.dtype)
    load(moe.gate.w_gating, bank.gate.T)
    load(moe.experts.w1, bank.w_in)
    load(moe.experts.w2, bank.w_out)
    slots = int(length * moe.gate.capacity_factor_train / shape.num_experts)
    capacity = max(min(length, slots), MIN_EXPERT_CAPACITY)
    expected = truth.top_2_with_capacity(bank, length, capacity)
    return Candidate(moe, bank.x.view(-1, length, shape.d_model), expected)


def labml_switch(bank: Bank) -> Candidate:
    from labml_nn.transformers.feed_forward import FeedForward
    from labml_nn.transformers.switch import SwitchFeedForward

    shape = bank.shape
    expert = FeedForward(shape.d_model, shape.d_ff, 0.0, bias1=False, bias2=False)
    block = SwitchFeedForward(
        capacity_factor=1.0,
        drop_tokens=False,
        is_scale_prob=True,
        n_experts=shape.num_experts,
        expert=expert,
        d_model=shape.d_model,
    ).to(device=bank.device, dtype=bank.dtype)
    load(block.switch.weight, bank.gate)
    nn.init.zeros_(block.switch.bias)
    for e, copy in enumerate(block.experts):
        load(copy.layer1.weight, bank.w_in[e].T)
        load(copy.layer2.weight, bank.w_out[e].T)
    return Candidate(block, bank.x.unsqueeze(0), truth.switch(bank))


PEERS: dict[str, Callable[[Bank], Candidate]] = {
    "transformers grouped_mm": lambda bank: mixtral(bank, "grouped_mm"),
    "transformers eager": lambda bank: mixtral(bank, "eager"),
    "transformers Switch": transformers_switch,
    "lucidrains, equal slots": lambda bank: lucidrains(bank, capacity_factor_train=2.0),
    "lucidrains, default": lucidrains,
    "labml-nn Switch": labml_switch,
}
