"""Costs counted from sizes agree with built modules, counters and measurements."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.candidates import Candidate
from benchmarks.memory import peak_bytes
from moe_lib.accounting import FeedForward, Transformer
from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.models.ffn import DenseFFN, moe_every
from moe_lib.models.transformer import EncoderDecoder, TransformerLM
from moe_lib.routers import GShardRouter, SwitchRouter, TopKRouter
from published_models import MIXTRAL_8X7B, switch_base

LAYERS = pytest.mark.parametrize(
    "layer",
    [
        FeedForward(16, 64, "relu", num_experts=4),
        FeedForward(16, 64, "gelu", num_experts=4, top_k=2),
        FeedForward(16, 64, "swiglu", num_experts=8, top_k=3),
    ],
    ids=lambda layer: layer.activation,
)


def build(layer: FeedForward, backend: str = "loop", **router: object) -> MoE:
    sizes = layer.d_model, layer.num_experts
    chooser = TopKRouter(*sizes, top_k=layer.top_k)
    if layer.capacity_factor is not None:
        kind = SwitchRouter if layer.top_k == 1 else GShardRouter
        chooser = kind(*sizes, capacity_factor=layer.capacity_factor, **router)
    experts = Experts(layer.num_experts, layer.d_model, layer.d_ff, layer.activation)
    return MoE(chooser, experts, backend=backend)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def counted_flops(step) -> int:
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


# Parameters


@LAYERS
def test_parameters_of_a_layer_are_those_of_the_built_one(layer):
    moe = build(layer)
    assert layer.total_parameters == count(moe)
    idle = layer.num_experts - layer.top_k
    one = sum(weight[0].numel() for weight in moe.experts.parameters())
    assert layer.active_parameters == count(moe) - idle * one


def test_mixtral_has_46_70_billion_parameters_and_uses_12_88():
    assert MIXTRAL_8X7B.total_parameters == 46_702_792_704
    assert MIXTRAL_8X7B.active_parameters == 12_879_925_248
    assert round(MIXTRAL_8X7B.total_parameters / 1e9, 2) == 46.70
    assert round(MIXTRAL_8X7B.active_parameters / 1e9, 2) == 12.88


def test_switch_base_has_the_sizes_of_its_paper():
    """Table 7 of Fedus et al. (2021), and T5-Base's 223 million active."""
    paper = {16: 1.1, 32: 2.0, 64: 3.8, 128: 7.4, 256: 14.7}
    billions = {e: round(switch_base(e).total_parameters / 1e9, 1) for e in paper}
    assert billions == paper
    assert switch_base(16).active_parameters // 10**6 == 223


def test_mixtral_built_by_transformers_has_as_many():
    pytest.importorskip("transformers")
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=32000, hidden_size=4096, intermediate_size=14336,
        num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8,
        num_local_experts=8, num_experts_per_tok=2, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.device("meta"):
        model = MixtralForCausalLM(config)
    assert count(model) == MIXTRAL_8X7B.total_parameters


def test_switch_base_built_by_transformers_has_as_many():
    pytest.importorskip("transformers")
    from transformers import SwitchTransformersConfig
    from transformers import SwitchTransformersForConditionalGeneration as Model

    config = SwitchTransformersConfig(
        vocab_size=32128, d_model=768, d_ff=3072, num_heads=12, num_experts=8,
        num_layers=12, num_sparse_encoder_layers=6,
        num_decoder_layers=12, num_sparse_decoder_layers=6,
    )  # fmt: skip
    with torch.device("meta"):
        model = Model(config)
    assert count(model) == switch_base(8).total_parameters


@pytest.mark.parametrize("every", [1, 2, 3])
def test_parameters_of_a_language_model(every):
    layer = FeedForward(16, 32, "relu", num_experts=4, top_k=2)
    make = moe_every(every, lambda: build(layer), lambda: DenseFFN(16, 32))
    built = TransformerLM(50, 16, 2, 5, make, max_length=8)
    model = Transformer(
        vocab_size=50, num_layers=5, num_heads=2, feed_forward=layer, moe_every=every,
        tied_embeddings=True, norm_vectors=2, position_parameters=8 * 16,
    )  # fmt: skip
    assert model.total_parameters == count(built)


def test_parameters_of_an_encoder_decoder():
    layer = FeedForward(16, 32, "swiglu", num_experts=4, top_k=2)
    built = EncoderDecoder(50, 16, 2, 3, lambda _: build(layer), max_length=8)
    model = Transformer(
        vocab_size=50, num_layers=6, num_heads=2, feed_forward=layer,
        cross_attention_layers=3, tied_embeddings=True, norm_vectors=2,
        position_parameters=8 * 16,
    )  # fmt: skip
    assert model.total_parameters == count(built)


# FLOPs


@LAYERS
def test_flops_of_a_layer_are_what_torch_counts(layer):
    moe, x = build(layer), torch.randn(32, 16, requires_grad=True)
    assert counted_flops(lambda: moe(x)) == layer.flops(32)
    both = counted_flops(lambda: moe(x)[0].sum().backward())
    assert both == layer.flops(32, backward=True)


@pytest.mark.parametrize("group_size", [None, 8])
def test_padded_buffers_compute_their_empty_slots_too(group_size):
    layer = FeedForward(
        16, 64, num_experts=4, top_k=2, capacity_factor=2.0, group_size=group_size
    )
    moe, x = build(layer, "one_hot", group_size=group_size), torch.randn(32, 16)
    padded = layer.flops(32, padded=True)
    # the masks: every slot is a sum over all tokens of its group, both ways
    masks = 2 * 2 * (group_size or 32) * layer.slots(32) * 16
    assert counted_flops(lambda: moe(x)) == padded + masks
    assert (layer.slots(32), layer.useful(32), layer.wasted(32)) == (128, 64, 0.5)


def test_fewer_slots_than_rows_leave_none_empty():
    layer = FeedForward(16, 64, num_experts=4, capacity_factor=0.5)
    assert (layer.slots(32), layer.useful(32), layer.wasted(32)) == (16, 16, 0)


def test_flops_of_a_language_model_are_what_torch_counts():
    layer = FeedForward(16, 32, "relu", num_experts=4, top_k=2)
    make = moe_every(2, lambda: build(layer), lambda: DenseFFN(16, 32))
    built = TransformerLM(50, 16, 2, 4, make, max_length=8)
    model = Transformer(50, 4, 2, layer, moe_every=2, tied_embeddings=True)
    tokens = torch.randint(50, (3, 8))
    with sdpa_kernel(SDPBackend.MATH):  # the fused one is counted as nothing
        assert counted_flops(lambda: built(tokens)) == model.flops(24, 8)


# Memory


def kept_for_backward(module: torch.nn.Module, *inputs: torch.Tensor) -> int:
    """Bytes of the distinct storages that autograd saved, parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        out = module(*inputs)
    assert out is not None  # alive until here, so that no address is used twice
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("backend", ["segments", "grouped"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu"])
def test_activations_of_a_layer_are_what_it_keeps(backend, activation):
    """Within 5 %: the plan of the dispatch is not counted."""
    layer = FeedForward(64, 256, activation, num_experts=8, top_k=2)
    x = torch.randn(512, 64, requires_grad=True)
    kept = kept_for_backward(build(layer, backend), x)
    assert layer.activation_bytes(512) == pytest.approx(kept, rel=0.05)


@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu"])
def test_the_measured_peak_is_memory_and_backwards_temporaries(activation):
    """What `memory` says is alive at the peak; temporaries add at most 40 %."""
    layer = FeedForward(64, 256, activation, num_experts=8, top_k=2)
    x = torch.randn(2048, 64)
    step = Candidate(build(layer, "segments"), x, expected=x)
    step.forward_backward()  # autograd's own first-call buffers
    predicted = layer.memory(2048, optimiser="sgd")
    predicted = predicted.gradients + predicted.activations
    assert predicted <= peak_bytes(step, "cpu") <= 1.4 * predicted


def test_activations_of_a_language_model_are_about_what_it_keeps():
    """Within 15 %."""
    layer = FeedForward(64, 256, "relu", num_experts=4, top_k=2)
    built = TransformerLM(
        50, 64, 2, 4, lambda _: build(layer, "segments"), max_length=128
    )
    model = Transformer(50, 4, 2, layer, tied_embeddings=True, norm_vectors=2)
    tokens = torch.randint(50, (4, 128))

    class Trained(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = built

        def forward(self, tokens):
            logits, _ = self.model(tokens)
            return F.cross_entropy(logits.flatten(0, 1), tokens.flatten())

    kept = kept_for_backward(Trained(), tokens)
    assert model.activation_bytes(512) == pytest.approx(kept, rel=0.15)


def test_memory_of_training_by_optimiser_and_dtype():
    layer = FeedForward(16, 64, num_experts=4)
    n = layer.total_parameters
    adam = layer.memory(8, optimiser="adam")
    assert (adam.weights, adam.gradients, adam.optimiser) == (4 * n, 4 * n, 8 * n)
    assert adam.total == 16 * n + layer.activation_bytes(8)
    narrow = layer.memory(8, torch.bfloat16, optimiser="sgd")
    assert (narrow.weights, narrow.optimiser) == (2 * n, 4 * n)
    assert layer.memory(8, optimiser="none").total == 4 * n
    assert MIXTRAL_8X7B.memory(1, torch.bfloat16, "none").total == 93_405_585_408


@pytest.mark.parametrize(
    "wrong, words",
    [
        (dict(d_ff=0), "d_ff=0"),
        (dict(activation="tanh"), "tanh"),
        (dict(num_experts=2, top_k=3), "top_k=3"),
        (dict(top_k=2), "top_k=2"),
    ],
)
def test_impossible_sizes_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        FeedForward(**{"d_model": 16, "d_ff": 64, **wrong})


def test_heads_must_divide_the_width_or_have_their_own():
    with pytest.raises(ValueError, match="head_dim"):
        Transformer(50, 2, 3, FeedForward(16, 64))


def test_the_table_ends_with_the_sums():
    *parts, last = str(MIXTRAL_8X7B).splitlines()
    assert last.split() == ["sum", "46,702,792,704", "12,879,925,248"]
    assert len(parts) == 1 + len(MIXTRAL_8X7B.parts())
