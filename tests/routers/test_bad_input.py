"""Every refusal is one line that names the value and says what to do."""

import pytest
import torch

from moe_lib.routers import (
    ExpertChoiceRouter,
    GShardRouter,
    HashRouter,
    HierarchicalRouter,
    NoisyTopKRouter,
    SoftmaxGate,
    SwitchRouter,
    TopKRouter,
)

NAN, INF = float("nan"), float("inf")
X = torch.ones(6, 3)
LEARNED = {
    "softmax": lambda: SoftmaxGate(3, 4),
    "noisy_top_k": lambda: NoisyTopKRouter(3, 4),
    "gshard": lambda: GShardRouter(3, 4),
    "switch": lambda: SwitchRouter(3, 4),
    "expert_choice": lambda: ExpertChoiceRouter(3, 4),
    "top_k": lambda: TopKRouter(3, 4),
    "hierarchical": lambda: HierarchicalRouter(3, (2, 2)),
}
every_learned = pytest.mark.parametrize("kind", LEARNED)


def refuses(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TopKRouter(3, 0), "num_experts=0: give a whole number of at least 1"),
        (lambda: TopKRouter(3, 8, top_k=9), "top_k=9 but num_experts=8: give .* 8"),
        (lambda: TopKRouter(3, 8, top_k=0), "top_k=0: give a whole number"),
        (lambda: TopKRouter(3, 8, top_k=1.0), "top_k=1.0: give a whole number"),
        (lambda: NoisyTopKRouter(3, 1), "top_k=2 but num_experts=1: give .* at most 1"),
        (lambda: GShardRouter(3, 1), "num_experts=1: give .* at least 2"),
        (
            lambda: GShardRouter(3, 4, second_expert_policy="none"),
            "second_expert_policy='none': choose one of random, all",
        ),
        (lambda: SwitchRouter(3, 4, jitter_noise=1.0), "jitter_noise=1.0: give .* 1"),
        (lambda: SwitchRouter(3, 4, jitter_noise=-0.1), "jitter_noise=-0.1: give"),
        (lambda: SwitchRouter(3, 4, jitter_noise=NAN), "jitter_noise=nan: give"),
        (lambda: SwitchRouter(3, 4, min_capacity=0), "min_capacity=0: give"),
        (lambda: GShardRouter(3, 4, group_size=0), "group_size=0: give"),
        (lambda: ExpertChoiceRouter(3, 4, group_size=2.0), "group_size=2.0: give"),
        (
            lambda: ExpertChoiceRouter(3, 4, capacity_factor=None),
            "=None: give a finite",
        ),
        (lambda: ExpertChoiceRouter(3, 4, entropy_weight=0), "entropy_weight=0: give"),
        (
            lambda: ExpertChoiceRouter(3, 4, max_experts_per_token=1),
            "max_experts_per_token=1 but experts take 2.0 .* cap of at least 2.0",
        ),
        (lambda: HierarchicalRouter(3, 8), r"branching=8: give two whole numbers"),
        (lambda: HierarchicalRouter(3, (4, 0)), "branching=0: give a whole number"),
        (lambda: HierarchicalRouter(3, (4, 2), top_k=3), "top_k=3 but .*=2: give"),
        (lambda: HashRouter(3, 4, 0), "vocab_size=0: give"),
        (lambda: HashRouter(3, 4, 5, counts=[1, 2]), "2 counts but vocab_size=5: give"),
        (lambda: HashRouter(3, 4, 2, counts=[1, -2]), "counts hold -2: give"),
    ],
)
def test_constructors_refuse(make, message):
    refuses(make, message)


@pytest.mark.parametrize("make", [SwitchRouter, GShardRouter, ExpertChoiceRouter])
@pytest.mark.parametrize("name", ["capacity_factor", "eval_capacity_factor"])
@pytest.mark.parametrize("factor", [0, -1.0, NAN, INF, True, "2"])
def test_capacity_factors_are_finite_and_positive(make, name, factor):
    refuses(lambda: make(3, 4, **{name: factor}), f"{name}={factor!r}: give a finite")


@every_learned
def test_calls_refuse(kind):
    router = LEARNED[kind]()
    width = router.gate.out_features
    logits = torch.zeros(6, width)
    refuses(lambda: router(torch.ones(6, 2)), "x has 2 columns .* built for 3: give")
    refuses(lambda: router(torch.ones(2, 3, 3)), r"x has shape \[2, 3, 3\]: give")
    refuses(lambda: router(X.long()), r"x has dtype torch.int64: convert .*\.float")
    refuses(lambda: router.route(logits[:, 1:]), f"built for {width}: give .*{width}")
    refuses(lambda: router.route(logits.int()), "router_logits has dtype torch.int32")
    for mask in (torch.ones(6), torch.ones(5, dtype=torch.bool)):
        refuses(lambda mask=mask: router(X, mask), r"token_mask is .*bool \[6\]")
    refuses(lambda: router(X, [True] * 6), "token_mask is a list: give a torch.Tensor")


@every_learned
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_logits_that_are_not_finite(kind, value):
    router = LEARNED[kind]()
    logits = torch.zeros(6, router.gate.out_features)
    logits[4, 1] = value
    refuses(lambda: router.route(logits), r"router_logits\[4, 1\] is -?(nan|inf) \(1 ")
    noisy = torch.zeros_like(logits)
    refuses(
        lambda: router.route(noisy, noisy_logits=logits), r"noisy_logits\[4, 1\] is"
    )


def test_large_finite_logits_are_welcome_though_their_sum_is_not_finite():
    logits = torch.full((4, 4), 3e38)
    assert TopKRouter(3, 4).route(logits).combine_weights.eq(0.5).all()


def test_noisy_logits_of_another_batch():
    router, logits = TopKRouter(3, 4), torch.zeros(6, 4)
    refuses(
        lambda: router.route(logits, noisy_logits=logits[1:]),
        "noisy_logits has 5 rows but router_logits has 6: give one row for each token",
    )


@pytest.mark.parametrize("make", [SwitchRouter, GShardRouter, ExpertChoiceRouter])
def test_groups_that_do_not_divide_the_tokens(make):
    router = make(3, 4, group_size=4)
    refuses(lambda: router(X), "6 tokens do not divide .* group_size=4: pad them .* or")
    assert len(router(X[:0]).token_index) == 0


def test_hash_router_calls():
    router = HashRouter(3, 4, 5)
    refuses(lambda: router(X), "token_ids=None: HashRouter .* give int64")
    for wrong in (5, -1):
        ids = torch.tensor([0, 1, wrong, 3, 4, 0])
        refuses(lambda ids=ids: router(X, None, ids), rf"\[2\] is {wrong}: .* 0 to 4")
    ids = torch.zeros(6)
    refuses(lambda: router(X, None, ids), r"token_ids is torch.float32 .*int64 \[6\]")
    short = torch.zeros(5, dtype=torch.int64)
    refuses(lambda: router(X, None, short), r"token_ids is torch.int64 \[5\]: give")
    refuses(lambda: router.route(torch.full((2, 4), -INF)), "router_logits.* is -inf")


def test_compiled_routers_assert_instead_of_looking():
    router = torch.compile(TopKRouter(3, 4), fullgraph=True, backend="eager")
    assert router(X).kept.all()
    with pytest.raises(RuntimeError, match="router_logits holds NaN or infinity"):
        router(X * NAN)
