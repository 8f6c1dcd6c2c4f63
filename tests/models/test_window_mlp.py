"""The window model, its residual body, and the lookup net that shares it."""

import torch
from torch.nn import functional as F

from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.models.ffn import DenseFFN, moe_every
from moe_lib.models.lookup_net import LookupNet
from moe_lib.models.window_mlp import WindowMLP
from moe_lib.routers import SwitchRouter


def norm(layer, x):
    """LayerNorm of one vector, by its formula."""
    centred = x - x.mean()
    x = centred / (centred.square().mean() + layer.eps).sqrt()
    return x * layer.weight + layer.bias


def ffn(dense, x):
    w_in, w_out = dense.expert.w_in[0], dense.expert.w_out[0]
    return torch.relu(x @ w_in) @ w_out


def test_one_window_by_hand():
    torch.manual_seed(0)
    model = WindowMLP(8, lambda layer: DenseFFN(8, 5 + layer), width=3).double()
    windows = torch.randint(256, (4, 3))
    logits, routings = model(windows)
    assert logits.shape == (4, 256) and routings == []
    for n in range(4):
        x = sum(model.inputs.tables[i, windows[n, i]] for i in range(3))
        for i in range(2):
            x = x + ffn(model.body.ffns[i], norm(model.body.norms[i], x))
        h = norm(model.body.last_norm, x)
        torch.testing.assert_close(logits[n], model.head.weight @ h + model.head.bias)


def test_experts_stand_where_the_dense_layers_stood():
    torch.manual_seed(0)

    def moe():
        return MoE(SwitchRouter(8, 4, capacity_factor=None), Experts(4, 8, 8))

    model = WindowMLP(8, moe_every(2, moe, lambda: DenseFFN(8, 8)), num_layers=4)
    kinds = [type(layer).__name__ for layer in model.body.ffns]
    assert kinds == ["DenseFFN", "MoE", "DenseFFN", "MoE"]
    logits, routings = model(torch.randint(256, (10, 12)))
    assert [r.num_tokens for r in routings] == [10, 10]
    logits.square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_one_expert_is_the_dense_model():
    torch.manual_seed(0)

    def moe(layer):
        return MoE(SwitchRouter(8, 1, capacity_factor=None), Experts(1, 8, 6))

    sparse = WindowMLP(8, moe).double()
    dense = WindowMLP(8, lambda layer: DenseFFN(8, 6)).double()
    weights = {
        name.replace("experts.", "expert."): weight
        for name, weight in sparse.state_dict().items()
        if "router" not in name
    }
    dense.load_state_dict(weights)
    windows, targets = torch.randint(256, (20, 12)), torch.randint(256, (20,))
    for model in (sparse, dense):
        F.cross_entropy(model(windows)[0], targets).backward()
    torch.testing.assert_close(sparse(windows)[0], dense(windows)[0])
    gradients = {name: p.grad for name, p in sparse.named_parameters()}
    for name, p in dense.named_parameters():
        theirs = gradients[name.replace("expert.", "experts.")]
        torch.testing.assert_close(p.grad, theirs)


def test_lookup_net_by_hand():
    torch.manual_seed(0)
    net = LookupNet(6, 3, 11, lambda layer: DenseFFN(6, 4), num_layers=1).double()
    features, language = torch.randn(5, 6).double(), torch.tensor([0, 1, 2, 2, 0])
    logits, routings = net(features, language)
    assert routings == []
    for n in range(5):
        x = features[n] + net.languages.weight[language[n]]
        x = x + ffn(net.body.ffns[0], norm(net.body.norms[0], x))
        h = norm(net.body.last_norm, x)
        torch.testing.assert_close(logits[n], net.head.weight @ h + net.head.bias)
