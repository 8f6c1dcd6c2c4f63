"""The mixture of 1991, its baselines, and many of them side by side."""

import pytest
import torch

from moe_lib.losses import mixture_likelihood_loss
from moe_lib.models.adaptive_mixture import AdaptiveMixture, BackpropNet
from moe_lib.models.ensemble import Ensemble


def test_bank_of_linear_experts_equals_separate_layers():
    mixture = AdaptiveMixture.linear(3, 2, 4)
    x = torch.randn(6, 3)
    outputs, _ = mixture(x)
    weight = mixture.experts.weight.view(3, 4, 2)
    bias = mixture.experts.bias.view(4, 2)
    for e in range(4):
        alone = (x @ weight[:, e] + bias[e]).sigmoid()
        assert torch.allclose(outputs[:, e], alone, atol=1e-6)


def test_any_modules_can_be_experts():
    experts = [torch.nn.Linear(3, 2), BackpropNet(3, 5, 2), torch.nn.Linear(3, 2)]
    mixture = AdaptiveMixture(3, experts)
    x = torch.randn(6, 3)
    outputs, routing = mixture(x)
    by_loop = sum(
        routing.router_probs[:, [e]] * experts[e](x) for e in range(len(experts))
    )
    assert outputs.shape == (6, 3, 2)
    assert torch.allclose(mixture.blend(x), by_loop, atol=1e-6)


def test_the_gate_starts_even():
    _, routing = AdaptiveMixture.linear(2, 4, 5)(torch.randn(7, 2))
    assert torch.allclose(routing.router_probs, torch.full((7, 5), 0.2))


def test_an_ensemble_member_is_the_model_of_its_seed_and_gradients_stay_apart():
    seeds = [3, 5]
    ensemble = Ensemble(lambda: AdaptiveMixture.linear(2, 1, 3), seeds)
    x, d = torch.randn(2, 9, 2), torch.randn(2, 9, 1)
    state = torch.random.get_rng_state()

    def loss(member, x, d):
        outputs, routing = member(x)
        return mixture_likelihood_loss(outputs, routing.router_probs, d)

    values = ensemble.each(loss, x, d)
    values.sum().backward()
    assert torch.equal(torch.random.get_rng_state(), state)
    for i, seed in enumerate(seeds):
        torch.manual_seed(seed)
        alone = AdaptiveMixture.linear(2, 1, 3)
        value = loss(alone, x[i], d[i])
        value.backward()
        assert torch.allclose(value, values[i])
        for name, parameter in alone.named_parameters():
            stacked = ensemble.stacked[ensemble.names.index(name)]
            assert torch.allclose(stacked[i], parameter)
            assert torch.allclose(stacked.grad[i], parameter.grad, atol=1e-6)


def test_bad_input():
    with pytest.raises(ValueError, match="num_experts=0: give a whole number"):
        AdaptiveMixture.linear(2, 4, 0)
    with pytest.raises(ValueError, match="num_experts=0"):
        AdaptiveMixture(2, [])
    with pytest.raises(ValueError, match="3 columns but the model was built for 2"):
        AdaptiveMixture.linear(2, 4, 2)(torch.randn(5, 3))
    with pytest.raises(ValueError, match="num_hidden=-1"):
        BackpropNet(2, -1, 4)
    with pytest.raises(ValueError, match="number of seeds=0"):
        Ensemble(lambda: BackpropNet(2, 3, 4), [])
