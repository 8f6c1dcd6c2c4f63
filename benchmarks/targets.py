"""What is compared, and how good it must be."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.shapes import Shape

FORWARD, BOTH = "forward", "forward + backward"
GROUPED, EAGER = "transformers grouped_mm", "transformers eager"
EQUAL_SLOTS, LUCIDRAINS = "lucidrains, equal slots", "lucidrains, default"
SWITCHES = ("transformers Switch", "labml-nn Switch")


@dataclass(frozen=True)
class Case:
    """Candidates that are timed in the same rounds.

    Attributes:
        name: for ``--only``.
        entries: label -> (candidate, shape).
    """

    name: str
    mode: str
    entries: dict[str, tuple[str, Shape]] = field(hash=False)


@dataclass(frozen=True)
class Target:
    """``over`` / slowest of ``under`` must be at most ``limit``.

    With ``faster`` the ratio is turned round, and must be at least ``limit``. With
    ``memory`` it is a ratio of peaks, not of times.
    """

    text: str
    case: str
    over: str
    under: tuple[str, ...]
    limit: float
    faster: bool = False
    memory: bool = False


def same_shape(name: str, mode: str, shape: Shape, *candidates: str) -> Case:
    return Case(name, mode, {c: (c, shape) for c in candidates})


def cases(size: dict[str, int], quick: bool) -> list[Case]:
    """All cases; ``size`` replaces d_model, d_ff and num_tokens of the main shape."""

    def shape(experts: int, k: int, activation: str, tokens: int | None = None):
        sizes = {**size, "num_tokens": tokens} if tokens else size
        return Shape(num_experts=experts, top_k=k, activation=activation, **sizes)

    own = ("dense", "bmm", "ours")
    relu, swiglu = shape(8, 2, "relu"), shape(8, 2, "swiglu")
    found = [
        same_shape("relu", BOTH, relu, *own),
        same_shape("swiglu", BOTH, swiglu, *own, GROUPED),
        same_shape("swiglu forward", FORWARD, swiglu, *own, GROUPED),
    ]
    if quick:
        return found
    lucidrains = ("dense", "ours", EQUAL_SLOTS, LUCIDRAINS)
    e8, e64 = ("ours", swiglu), ("ours", shape(64, 2, "swiglu"))
    found += [
        same_shape("lucidrains", BOTH, relu, *lucidrains),
        same_shape(
            "switch", BOTH, shape(8, 1, "relu"), "dense", "ours, Switch", *SWITCHES
        ),
        same_shape("k1", BOTH, shape(8, 1, "swiglu"), *own, GROUPED),
        same_shape("E64", BOTH, e64[1], *own, GROUPED),
        same_shape("E64 eager", BOTH, e64[1], "dense", "ours", EAGER),
        Case("flat", BOTH, {"ours, E8": e8, "ours, E64": e64}),
    ]
    tokens = [size["num_tokens"]] if "num_tokens" in size else [256, 2048, 8192]
    return found + [
        same_shape(f"sweep T{t} E{e}", BOTH, shape(e, 2, "swiglu", t), *own, GROUPED)
        for t in tokens
        for e in (8, 64, 256)
        if 2 * t % e == 0  # equal groups
    ]


def targets(found: list[Case]) -> list[Target]:
    """The targets whose cases are among ``found``."""
    both = ("dense", "bmm")
    faster = dict(faster=True)
    wanted = [
        Target("E8 k2 relu vs dense", "relu", "ours", ("dense",), 1.10),
        Target("E8 k2 swiglu vs dense", "swiglu", "ours", ("dense",), 1.10),
        *(
            Target(f"{case.name[6:]} vs max(dense, bmm)", case.name, "ours", both, 1.20)
            for case in found
            if case.name.startswith("sweep") and "T256 " not in case.name  # too few
        ),
        Target("E64 over E8", "flat", "ours, E64", ("ours, E8",), 1.35),
        Target("vs grouped_mm, forward", "swiglu forward", "ours", (GROUPED,), 0.95),
        Target("vs grouped_mm, f + b", "swiglu", "ours", (GROUPED,), 0.95),
        Target("vs grouped_mm, f + b, k1", "k1", "ours", (GROUPED,), 0.95),
        Target("vs grouped_mm, f + b, E64", "E64", "ours", (GROUPED,), 0.95),
        Target("x faster than eager, E64", "E64 eager", "ours", (EAGER,), 15, **faster),
        Target(
            "x faster than lucidrains", "lucidrains", "ours", (EQUAL_SLOTS,), 1.3,
            **faster,
        ),
        *(
            Target(f"x faster than {peer}", "switch", "ours, Switch", (peer,), 1.3,
                   **faster)
            for peer in SWITCHES
        ),
        *(
            Target(f"peak memory, {kind}", kind, "ours", ("dense",), 1.3, memory=True)
            for kind in ("relu", "swiglu")
        ),
    ]  # fmt: skip
    names = {case.name for case in found}
    return [target for target in wanted if target.case in names]
