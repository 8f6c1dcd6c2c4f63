"""Hash routing: by identity alone, at random or balanced."""

import torch

from moe_lib.losses import load_balancing_loss, router_z_loss
from moe_lib.routers import HashRouter
from moe_lib.routers.hash_router import balanced_map


def test_the_same_id_meets_the_same_expert_with_weight_1():
    router = HashRouter(3, 4, 50, seed=1)
    ids = torch.arange(50).repeat(3)
    routing = router(torch.randn(150, 3), None, ids)
    first, second, third = routing.expert_index.view(3, 50)
    assert torch.equal(first, second) and torch.equal(first, third)
    assert set(first.tolist()) == {0, 1, 2, 3}
    assert routing.combine_weights.eq(1).all() and routing.kept.all()
    assert routing.router_probs.sum(dim=1).eq(1).all()
    chosen = routing.router_logits.gather(1, routing.expert_index.unsqueeze(1))
    assert chosen.eq(0).all() and router_z_loss(routing) == 0
    assert torch.equal(routing.router_logits.softmax(dim=1), routing.router_probs)
    again = router.route(routing.router_logits)
    assert torch.equal(again.expert_index, routing.expert_index)
    assert torch.equal(again.router_logits, routing.router_logits)
    low = router.route(torch.tensor([[-9.0, -7.0, -8.0, -7.0]]))
    assert low.expert_index.tolist() == [1]


def test_the_seed_makes_the_map_and_the_state_keeps_it():
    state = torch.get_rng_state()
    one, same, other = (HashRouter(3, 4, 50, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.expert_of_token, same.expert_of_token)
    assert not torch.equal(one.expert_of_token, other.expert_of_token)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.expert_of_token, other.expert_of_token)
    assert not list(one.parameters())


def test_the_balanced_map_is_greedy():
    # 9 -> 0; 5 -> 1; 4 -> 2; 3 -> 2 (7); 2 -> 1 (7); 1 -> 1 (fewest work, then ids)
    assert balanced_map([1, 9, 3, 5, 2, 4], 3) == [1, 0, 2, 1, 1, 2]
    assert balanced_map([0] * 6, 3) == [0, 1, 2, 0, 1, 2]  # ids that never occur


def test_the_balanced_map_beats_the_random_one():
    counts = [1000 // (1 + i) for i in range(60)]
    ids = torch.repeat_interleave(torch.arange(60), torch.tensor(counts))
    x = torch.zeros(len(ids), 3)
    loads = [
        HashRouter(3, 4, 60, counts=given)(x, None, ids).demand_per_expert
        for given in (None, counts, torch.tensor(counts))
    ]
    assert loads[1].max() <= 1.02 * loads[1].double().mean() < loads[0].max() / 1.1
    assert torch.equal(loads[1], loads[2])
    even = HashRouter(3, 4, 60, counts=counts)(x, None, ids)
    assert load_balancing_loss(even).item() < 1.01


def test_it_is_made_where_modules_are_made():
    with torch.device("meta"):
        router = HashRouter(3, 4, 9)
    assert router.expert_of_token.device.type == "meta"
