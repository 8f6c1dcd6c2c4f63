"""What hides the gain of experts: wide layers, n-gram tables, a late mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from moe_lib.course.columns import by_seed
from moe_lib.course.stored_results import Measurement
from moe_lib.course.switch_runs import train_in_turns
from moe_lib.course.switch_setup import Setup, as_much_arithmetic
from moe_lib.data.text import load_text
from moe_lib.models.ngram_tables import NGramTables
from moe_lib.models.transformer import TransformerLM

CHANGES = {
    "reference": {},
    "wide": {"d_ff": 512},
    "tables": {},
    "late": {"mixture_first": False},
}


def add_ngram_tables(model: TransformerLM, rows: int) -> None:
    """Let the model read hashed n-grams beside its bytes."""
    read_bytes = model.tokens.byte_tables
    d_model = read_bytes.tables.shape[2]
    model.tokens.byte_tables = _Sum(read_bytes, NGramTables(rows, d_model))


def measure_hidden(config: Mapping[str, Any], seeds: Sequence[int]) -> dict:
    """ "change, dense: bits" and "change, switch: bits" ``[S]``.

    A late mixture has the reference's dense model for a rival: the same numbers.
    """
    text, base = load_text(), Setup(**config["base"])
    setups = {}
    for change, values in config["changes"].items():
        setups[f"{change}, switch"] = base.but(**values)
        if change != "late":
            setups[f"{change}, dense"] = as_much_arithmetic(base.but(**values))
    prepare = {
        f"tables, {arm}": lambda model: add_ngram_tables(model, config["ngram_rows"])
        for arm in ("dense", "switch")
    }

    def columns(seed: int) -> dict[str, Tensor]:
        runs = train_in_turns(setups, text, seed, prepare=prepare)
        bits = {f"{name}: bits": run.bits[-1] for name, run in runs.items()}
        return bits | {"late, dense: bits": bits["reference, dense: bits"]}

    return by_seed(seeds, columns)


class _Sum(nn.Module):
    """The sum of what several modules answer."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, inputs: Tensor) -> Tensor:
        return sum(part(inputs) for part in self.parts)


HIDDEN = Measurement(
    "04-hidden",
    "16 experts and one: wide layers, n-gram tables, the mixture in the later layer",
    {
        "version": 1, "base": Setup(steps=500).config, "changes": CHANGES,
        "ngram_rows": 4096,
    },
    range(3), 1, measure_hidden,
)  # fmt: skip
MEASUREMENTS = (HIDDEN,)
