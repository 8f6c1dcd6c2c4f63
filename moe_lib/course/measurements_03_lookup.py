"""The long measurements of the name memory: arms, widths, and who shares experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from moe_lib.course.columns import Columns, Config, column
from moe_lib.course.language_sharing import sharing, sharing_columns
from moe_lib.course.lookup_runs import LookupRun, new_model, train_lookup
from moe_lib.course.lookup_setup import Setup
from moe_lib.course.stored_results import Measurement
from moe_lib.data.lookup import load_lookup

PARTS = ("all", "high", "mid", "low")


def lookup_columns(runs: Mapping[str, Sequence[LookupRun]]) -> dict[str, Tensor]:
    """ "mixture: all" -> ``[S]``, per cent of the seen facts that are recalled.

    So for each of `PARTS` that the facts have; "mixture: unseen" of the others, and
    "mixture: seconds".
    """
    columns = {}
    for name, group in runs.items():
        seen = [run.recalled() for run in group]
        for part in (part for part in PARTS if part in seen[0]):
            columns[f"{name}: {part}"] = column(100 * told[part] for told in seen)
        unseen = (100 * run.recalled("unseen")["all"] for run in group)
        columns[f"{name}: unseen"] = column(unseen)
        columns[f"{name}: seconds"] = column(run.seconds for run in group)
    return columns


def best_name(columns: Columns, arm: str) -> str:
    """The arm at its best learning rate, "dense at 0.04"; or "dense" as it is.

    Raises:
        ValueError: the arm was not measured.
    """
    means = {
        name: columns[column].mean().item()
        for column in dict(columns)
        for name, _, part in [column.partition(": ")]
        if part == "all" and name.split(" at ")[0] == arm
    }
    if not means:
        raise ValueError(f"no column {f'{arm}: all'!r}: give one for each arm")
    return max(means, key=means.get)


def measure_arms(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `lookup_columns`: each arm at each of its learning rates."""
    base = Setup(**config["base"])
    data = load_lookup(d_model=base.d_model)
    runs = {}
    for arm, (changes, rates) in config["arms"].items():
        for rate in rates:
            setup = base.but(**changes, lr=rate)
            runs[f"{arm} at {rate:g}"] = [train_lookup(setup, data, s) for s in seeds]
    return lookup_columns(runs)


def at_width(base: Setup, width: int) -> Setup:
    """The same with other widths, hidden ones included."""
    return base.but(d_model=width, d_ff=4 * width)


def measure_widths(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """The arms at each width, "16, dense at 0.04: all"; the hidden widths grow too."""
    columns = {}
    for width in config["widths"]:
        base = at_width(Setup(**config["base"]), width)
        own = measure_arms({**config, "base": base.config}, seeds)
        wanted = (c for c in own if c.endswith((": all", ": seconds")))
        columns |= {f"{width}, {column}": own[column] for column in wanted}
    return columns


def measure_languages(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `sharing_columns`: the mixture "trained", and "untrained"."""
    setup = Setup(**config["base"])
    data = load_lookup(d_model=setup.d_model)
    models = {
        "trained": [train_lookup(setup, data, seed).model for seed in seeds],
        "untrained": [new_model(setup, data, seed) for seed in seeds],
    }
    columns = {}
    for name, group in models.items():
        columns |= sharing_columns(name, [sharing(model, data) for model in group])
    return columns


FULL = Setup(steps=2000, lr=0.02)
ROOMY = {"second_expert_policy": "all", "capacity_factor": 2.0}  # hardly a drop
HIGHER, LOWER = (0.02, 0.04, 0.08), (0.01, 0.02, 0.04)  # round the best of each arm
DENSE = ({"arm": "dense"}, HIGHER)
MIXTURE = ({"arm": "mixture"}, LOWER)

NAMES = Measurement(
    "03-lookup",
    "names recalled: dense, mixture, dense with as many parameters",
    {
        "version": 1, "base": FULL.config,
        "arms": {
            "dense": DENSE,
            "dense, twice as long": ({"arm": "dense", "steps": 4000}, HIGHER),
            "mixture": MIXTURE,
            "roomy mixture": ({"arm": "mixture", **ROOMY}, LOWER),
            "wide": ({"arm": "wide"}, LOWER),
        },
    },
    range(5), 1, measure_arms,
)  # fmt: skip
WIDTHS = Measurement(
    "03-lookup-widths",
    "names recalled by width of the model: where the gap closes",
    {
        "version": 1, "base": FULL.config, "widths": (8, 12, 16, 24, 32),
        "arms": {"dense": DENSE, "mixture": MIXTURE},
    },
    range(3), 1, measure_widths,
)  # fmt: skip
LANGUAGES = Measurement(
    "03-languages",
    "which languages share experts, in five trained mixtures",
    {"version": 1, "base": FULL.config},
    range(5), 1, measure_languages,
)  # fmt: skip
MEASUREMENTS = (NAMES, WIDTHS, LANGUAGES)
