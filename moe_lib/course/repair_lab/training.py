"""Train the lab's classifiers on scikit-learn's digits: what do the mistakes cost?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from moe_lib.course.repair_lab import mended
from moe_lib.course.repair_lab.checks import answer, count_rows, gate_answer
from moe_lib.course.repair_lab.planted import Pair, build
from moe_lib.course.repair_lab.report import check_repair
from moe_lib.course.table import Table
from moe_lib.losses import cv_squared
from moe_lib.training import Trainer

BATCH, STEPS_PER_EPOCH = 64, 21  # 1,347 images to train on


@dataclass(frozen=True, eq=False)
class LabRun:
    """One trained classifier, on its test images in one batch.

    right: share of the images named rightly. load: ``[E]`` int64, images that chose
    each expert. computed: images computed by experts, all together. seconds: for an
    epoch of training.
    """

    right: float
    load: Tensor
    computed: int
    seconds: float

    @property
    def cv(self) -> float:
        """Coefficient of variation of the load, population."""
        return cv_squared(self.load).sqrt().item()


class OneLayer(nn.Module):
    """No experts at all: what a single linear layer can do on the same images."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.shared(x), x.new_ones(1)


def digit_split(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images ``[N, 64]`` in 0..1 and digits ``[N]``: 1,347 to train on, 450 to test.

    No image is in both; every digit has the same share in both.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    raw = load_digits()
    parts = train_test_split(
        raw.data / 16, raw.target, test_size=450, stratify=raw.target, random_state=seed
    )
    train, test, digit, test_digit = map(torch.as_tensor, parts)
    return train.float(), digit, test.float(), test_digit


def train_on_digits(
    model_class: type[nn.Module],
    balance_loss: Callable[[Tensor], Tensor],
    *,
    seed: int = 0,
    epochs: int = 5,
    lr: float = 0.02,
    weight: float = 0.1,
    label: str = "digits",
) -> LabRun:
    """Adam on cross-entropy + ``weight`` * balance loss, full batches of 64 only.

    seed: of the split, the first weights, the batches and the noise.
    """
    x, digit, x_test, digit_test = digit_split(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class()

    def objective(net: nn.Module, draw: torch.Generator) -> Tensor:
        rows = torch.randperm(len(x), generator=draw)[:BATCH]
        logits, importance = net(x[rows])
        return cross_entropy(logits, digit[rows]) + weight * balance_loss(importance)

    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    run = Trainer(model.train(), objective, optimizer, seed=seed, label=label)
    started = time.perf_counter()
    run.run(epochs * STEPS_PER_EPOCH, whole=True)
    seconds = (time.perf_counter() - started) / epochs

    model.eval()
    load, done = torch.zeros(0, dtype=torch.int64), []
    with torch.random.fork_rng():
        if not isinstance(model, OneLayer):
            chosen = gate_answer(model, x_test)[1].flatten()
            load = chosen.bincount(minlength=len(model.experts))
            done = count_rows(model)
        logits, _ = answer(model, x_test)
    right = (logits.argmax(dim=1) == digit_test).float().mean().item()
    return LabRun(right, load, sum(done), seconds)


def lab_runs(
    yours: Pair | None = None, *, seeds: Sequence[int] = range(3), epochs: int = 5
) -> dict[str, list[LabRun]]:
    """The text as printed, the mended one and a single layer, trained alike.

    Args:
        yours: ``(DigitMoE, balance_loss)`` of the chapter's cells; trained as well.

    Raises:
        ValueError: yours cannot be trained yet; the message is its report.
    """
    pairs: dict[str, Pair] = {
        "as printed": build(),
        "mended": (mended.DigitMoE, mended.balance_loss),
        "one linear layer": (OneLayer, mended.balance_loss),
    }
    if yours is not None:
        report = check_repair(*yours)
        if report.trouble or any(f.gone is None for f in report.findings):
            raise ValueError(f"yours cannot be trained yet: mend this first\n{report}")
        pairs["yours"] = yours
    return {
        name: [
            train_on_digits(*pair, seed=s, epochs=epochs, label=f"{name}, seed {s}")
            for s in seeds
        ]
        for name, pair in pairs.items()
    }


def lab_table(runs: dict[str, list[LabRun]]) -> Table:
    """Accuracy and load, mean ± standard deviation over seeds; the fastest epoch."""

    def spread(values: Sequence[float], digits: int) -> str:
        column = torch.tensor(values)
        return f"{column.mean():.{digits}f} ± {column.std():.{digits}f}"

    rows = []
    for name, group in runs.items():
        asked = sum(int(r.load.sum()) for r in group)
        load = ["-"] * 3
        if asked:
            computed = sum(r.computed for r in group)
            idle = sum(int((r.load == 0).sum()) for r in group) / len(group)
            load = [spread([r.cv for r in group], 2), f"{idle:.1f}",
                    f"{computed / asked:.1f}"]  # fmt: skip
        right = spread([100 * r.right for r in group], 1)
        best = min(r.seconds for r in group)
        rows.append([name, right, *load, f"{1e3 * best:.0f}"])
    head = ["", "test images right, %", "CV of the load", "experts never chosen",
            "rows computed / asked for", "epoch, ms"]  # fmt: skip
    return Table(head, rows, f"the lab's classifiers side by side: {', '.join(runs)}")
