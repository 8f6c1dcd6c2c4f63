"""The long measurements of chapter 2: experts at equal arithmetic, and table 6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from moe_lib.course.byte_runs import ByteRun, train_bytes, training_bits
from moe_lib.course.byte_setup import Setup
from moe_lib.course.columns import Columns, Config, column
from moe_lib.course.stored_results import Measurement
from moe_lib.data.text import load_text

EXPERTS = (1, 4, 16, 64)
WEIGHTS = ((0, 0), (0.2, 0), (0, 0.2), (0.1, 0.1), (0.01, 0.01), (1, 1))
COLUMNS = ("perplexity", "cv_importance", "cv_load", "max_over_mean")


def sizes(base: Setup) -> dict[int, Setup]:
    """The four models of equal arithmetic: number of experts -> setup.

    The dense layer is wider by the largest number of experts: it may then multiply as
    much as 64 experts with both matrices of their router do, and more than 4 and 16.
    """
    dense = base.but(num_experts=1, d_ff=base.d_ff + EXPERTS[-1])
    return {1: dense, **{e: base.but(num_experts=e) for e in EXPERTS[1:]}}


def weight_name(weights: tuple[float, float]) -> str:
    """(0.2, 0) -> "0.2, 0": a row of table 6."""
    return ", ".join(f"{w:g}" for w in weights)


def size_columns(runs: Mapping[str, Sequence[ByteRun]]) -> dict[str, Tensor]:
    """name -> runs; of each, held-out perplexity, and seconds of training."""
    columns = {}
    for name, group in runs.items():
        columns[f"{name}: perplexity"] = column(run.perplexity for run in group)
        columns[f"{name}: seconds"] = column(run.seconds for run in group)
    return columns


def best_name(columns: Columns, experts: int) -> str:
    """The dense model at its best learning rate; a mixture as it is."""
    means = {
        name: columns[f"{name}: perplexity"].mean().item()
        for name in names_of(columns, experts)
    }
    if not means:
        raise ValueError(
            f"no column {f'{experts}: perplexity'!r}: give one for each of the sizes"
        )
    return min(means, key=means.get)


def names_of(columns: Columns, experts: int) -> list[str]:
    """ "16", or "1 at 0.01", "1 at 0.02", ..."""
    names = (column.partition(": ") for column in dict(columns))
    return [
        name
        for name, _, part in names
        if part == "perplexity" and name.split(" at ")[0] == str(experts)
    ]


def balance_columns(rows: Mapping[str, Sequence[ByteRun]]) -> dict[str, Tensor]:
    """Row of table 6 -> runs; `COLUMNS` of each."""
    return {
        f"{name}: {what}": column(getattr(run, what) for run in group)
        for name, group in rows.items()
        for what in COLUMNS
    }


def measure_sizes(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `size_columns`: a dense model at each rate, and mixtures at the base's."""
    text, base = load_text(), Setup(**config["base"])
    dense, *mixtures = sizes(base).values()
    setups = {f"1 at {rate:g}": dense.but(lr=rate) for rate in config["dense_rates"]}
    setups |= {str(setup.num_experts): setup for setup in mixtures}
    runs = {
        n: [train_bytes(s, text, seed) for seed in seeds] for n, s in setups.items()
    }
    trained = {
        f"{n}: training perplexity": column(2 ** training_bits(r, text) for r in group)
        for n, group in runs.items()
    }
    return size_columns(runs) | trained


def measure_table_6(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `balance_columns`, with a row without losses and noise."""
    text, base = load_text(), Setup(**config["base"])
    setups = {
        weight_name(w): base.but(w_importance=w[0], w_load=w[1])
        for w in config["weights"]
    }
    setups["no noise"] = base.but(w_importance=0, w_load=0, noise=False)
    return balance_columns(
        {n: [train_bytes(s, text, seed) for seed in seeds] for n, s in setups.items()}
    )


def measure_data(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """Held-out perplexity, dense and mixture, after learning from little and much."""
    text, base = load_text(), Setup(**config["base"])
    columns = {}
    for name, size in config["train_bytes"].items():
        for experts in (1, 16):
            setup = sizes(base)[experts].but(train_bytes=size)
            runs = [train_bytes(setup, text, seed) for seed in seeds]
            for part, values in (
                ("perplexity", (run.perplexity for run in runs)),
                ("training perplexity", (2 ** training_bits(r, text) for r in runs)),
            ):
                columns[f"{name}, {experts}: {part}"] = column(values)
    return columns


WINDOW = Setup(steps=1000, tokens=2048)
LSTM = Setup(model="lstm", d_ff=128, steps=1500, tokens=2048)

SIZES = Measurement(
    "02-experts",
    "window MLP: 1, 4, 16 and 64 experts at equal arithmetic",
    {"version": 1, "base": WINDOW.config, "dense_rates": (0.01, 0.02, 0.04)},
    range(5), 1, measure_sizes,
)  # fmt: skip
LSTM_SIZES = Measurement(
    "02-lstm",
    "LSTM - MoE - LSTM: 1, 4, 16 and 64 experts at equal arithmetic",
    {
        "version": 1, "base": LSTM.config,
        "dense_rates": (0.01, 0.02, 0.04),
    },
    range(3), 1, measure_sizes,
)  # fmt: skip
TABLE_6 = Measurement(
    "02-table6",
    "table 6 of 2017: six pairs of coefficients, 64 experts",
    {"version": 1, "base": WINDOW.but(num_experts=64).config, "weights": WEIGHTS},
    range(3), 1, measure_table_6,
)  # fmt: skip
DATA = Measurement(
    "02-data",
    "what experts gain from little and from much text",
    {
        "version": 1, "base": WINDOW.config,
        "train_bytes": {"little": 25_000, "much": None},
    },
    range(3), 1, measure_data,
)  # fmt: skip
MEASUREMENTS = (SIZES, LSTM_SIZES, TABLE_6, DATA)
