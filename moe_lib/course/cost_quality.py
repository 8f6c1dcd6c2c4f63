"""GShard's tables 1 and 3: what models cost, how well they translate, and a price."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moe_lib.checks import require_positive
from moe_lib.course.table import Table

DAY = 24 * 3600.0
YEAR = 365.0  # days
#: All models but the 96 layers read about so many tokens.
TOKENS = 1e12


@dataclass(frozen=True)
class Trained:
    """One row of the tables; a core is one of TPU v3.

    Attributes:
        experts: of each MoE layer; 0 in the dense model. layers: encoder and decoder.
        experts_total: of all layers, as printed. weights: parameters.
        batch: tokens of a step. steps: a second, if printed.
        core_years, days, bleu: as printed; BLEU is the mean over 100 languages.
    """

    experts: int
    layers: int
    weights: float
    cores: int
    steps: float | None
    batch: float
    core_years: float
    days: float
    bleu: float
    experts_total: int = 0

    @property
    def name(self) -> str:
        kind = f"{self.experts:,} experts" if self.experts else "dense"
        return f"{kind}, {self.layers} layers"

    @property
    def core_years_of_days(self) -> float:
        """Core-years from the printed days."""
        return self.cores * self.days / YEAR

    @property
    def days_of_steps(self) -> float | None:
        """Days that `TOKENS` take, from the printed steps a second and batch."""
        return TOKENS / self.batch / self.steps / DAY if self.steps else None

    @property
    def tokens_per_core(self) -> float:
        """Of one step."""
        return self.batch / self.cores

    def euros(self, price: float) -> float:
        """At ``price`` euros for an hour of a core."""
        return self.core_years * YEAR * 24 * price


MODELS = (
    Trained(2048, 36, 600e9, 2048, 0.72, 4e6, 22.4, 4.0, 44.3, 36684),
    Trained(2048, 12, 200e9, 2048, 2.15, 4e6, 7.5, 1.4, 41.3, 12228),
    Trained(512, 36, 150e9, 512, 1.05, 1e6, 15.5, 11.0, 43.7, 9216),
    Trained(512, 12, 50e9, 512, 3.28, 1e6, 4.9, 3.5, 40.0, 3072),
    Trained(128, 36, 37e9, 128, 0.67, 1e6, 6.1, 17.3, 39.0, 2304),
    Trained(128, 12, 12.5e9, 128, 2.16, 1e6, 1.9, 5.4, 36.7, 768),
)
DENSE = Trained(0, 96, 2.3e9, 2048, None, 4e6, 235.5, 42.0, 36.9)
ALL = (*MODELS, DENSE)


def find(experts: int, layers: int) -> Trained:
    """The model of the tables with so many experts and layers.

    Raises:
        ValueError: there is none.
    """
    for model in ALL:
        if (model.experts, model.layers) == (experts, layers):
            return model
    names = "; ".join(model.name for model in ALL)
    raise ValueError(f"experts={experts}, layers={layers}: choose one of {names}")


def step_time_ratio(one: Trained, other: Trained) -> float:
    """How many times longer a step of ``one`` is, at equal tokens on each core.

    The batches of the table differ: time is taken to grow with a core's tokens.
    """
    tokens = [model.tokens_per_core * model.steps for model in (one, other)]
    return tokens[1] / tokens[0]


def best_buys() -> list[Trained]:
    """The models that no cheaper one equals, from the cheapest on."""
    kept: list[Trained] = []
    for model in sorted(ALL, key=lambda model: model.core_years):
        if not kept or model.bleu > kept[-1].bleu:
            kept.append(model)
    return kept


def next_points(price: float) -> Iterator[tuple[Trained, float | None]]:
    """Each of `best_buys`, and what a point of BLEU cost more from the one before."""
    before = None
    for model in best_buys():
        if before is None:
            yield model, None
        else:
            more = model.euros(price) - before.euros(price)
            yield model, more / (model.bleu - before.bleu)
        before = model


def cost_table() -> Table:
    """Tables 1 and 3, each model against the dense one; what can be is recomputed."""
    rows = []
    for model in ALL:
        days = model.days_of_steps
        rows.append((
            model.name,
            f"{model.weights / 1e9:g}",
            f"{model.cores:,}",
            f"{model.core_years:g}",
            f"{model.core_years_of_days:.1f}",
            "-" if days is None else f"{days:.1f}",
            f"{model.bleu:.1f}",
            f"{model.bleu - DENSE.bleu:+.1f}".replace("-", "\N{MINUS SIGN}"),
        ))  # fmt: skip
    head = ("model", "billion weights", "cores", "core-years", "from cores × days",
            "days from steps", "BLEU", "over dense")  # fmt: skip
    return Table(head, rows, f"cost and quality, {len(rows)} models")


def price_table(price: float) -> Table:
    """What ``price`` euros for an hour of a core make of it: the reader's assumption.

    Raises:
        ValueError: a price that is not above 0.
    """
    require_positive("price", price)
    step = {model: cost for model, cost in next_points(price)}
    rows = []
    for model in sorted(ALL, key=lambda model: model.core_years):
        euros = model.euros(price)
        points = model.bleu - DENSE.bleu
        if model not in step:
            more = "a cheaper one is better"
        elif step[model] is None:
            more = "-"
        else:
            more = f"{step[model]:,.0f}"
        rows.append((
            model.name,
            f"{euros:,.0f}",
            f"{points:+.1f}".replace("-", "\N{MINUS SIGN}"),
            "-" if points <= 0 else f"{1000 * points / euros:.3f}",
            more,
        ))  # fmt: skip
    head = ("model", "euros", "BLEU over dense", "points over dense for 1,000 euros",
            "euros for one point more")  # fmt: skip
    return Table(head, rows, f"what {price:g} euros a core-hour buy, {len(rows)} rows")
