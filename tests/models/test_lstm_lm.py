"""The LSTM model of 2017 is its five layers, one after the other."""

import pytest
import torch

from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.models.ffn import DenseFFN
from moe_lib.models.lstm_lm import LSTMLanguageModel
from moe_lib.routers import TopKRouter


def lstm(layer, x):
    """One LSTM layer over ``[B, L, d]`` by its equations."""
    h = c = x.new_zeros(x.shape[0], layer.hidden_size)
    out = []
    for t in range(x.shape[1]):
        gates = x[:, t] @ layer.weight_ih_l0.T + layer.bias_ih_l0
        gates = gates + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
        enter, forget, new, show = gates.chunk(4, dim=1)
        c = forget.sigmoid() * c + enter.sigmoid() * new.tanh()
        h = show.sigmoid() * c.tanh()
        out.append(h)
    return torch.stack(out, dim=1)


@pytest.mark.parametrize("sigmoid", [True, False])
@pytest.mark.parametrize("residual", [True, False])
def test_by_hand(sigmoid, residual):
    torch.manual_seed(0)
    model = LSTMLanguageModel(
        11, 6, lambda _: DenseFFN(6, 9), sigmoid=sigmoid, residual=residual
    )
    model = model.double().eval()
    tokens = torch.randint(11, (3, 7))
    logits, routings = model(tokens)
    keep = 1 if residual else 0
    x = model.embedding.weight[tokens]
    x = keep * x + lstm(model.lstm_below, x)
    y = torch.relu(x @ model.ffn.expert.w_in[0]) @ model.ffn.expert.w_out[0]
    x = keep * x + (1 / (1 + (-y).exp()) if sigmoid else y)
    x = keep * x + lstm(model.lstm_above, x)
    torch.testing.assert_close(logits, x @ model.head.weight.T + model.head.bias)
    assert routings == []


def test_the_moe_takes_all_time_steps_at_once_and_the_model_looks_back_only():
    torch.manual_seed(0)
    moe = MoE(TopKRouter(6, 4, top_k=2), Experts(4, 6, 8))
    model = LSTMLanguageModel(256, 6, lambda _: moe).eval()
    tokens = torch.randint(256, (3, 7))
    logits, (routing,) = model(tokens)
    assert routing.num_tokens == 21
    tokens[:, 4] = 5
    changed = model(tokens)[0]
    assert torch.allclose(changed[:, :4], logits[:, :4], atol=1e-6)
    assert not torch.allclose(changed[:, 4:], logits[:, 4:], atol=1e-6)


def test_dropout_in_training_only():
    torch.manual_seed(0)
    model = LSTMLanguageModel(11, 6, lambda _: DenseFFN(6, 9), dropout=0.5)
    tokens = torch.randint(11, (3, 7))
    assert not torch.equal(model(tokens)[0], model(tokens)[0])
    model.eval()
    assert torch.equal(model(tokens)[0], model(tokens)[0])
