"""What trained translators write, beside what is meant."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from moe_lib.checks import require_count
from moe_lib.course.likes import isolated
from moe_lib.course.table import Table
from moe_lib.course.translation_runs import TranslationRun
from moe_lib.data.characters import END, PADDING, START
from moe_lib.data.translation import Translation
from moe_lib.models.generate import translate
from moe_lib.models.transformer import EncoderDecoder


def translations_table(
    runs: Mapping[str, TranslationRun], data: Translation, *, per_kind: int = 2
) -> Table:
    """Unseen phrases of each kind, from different languages, and each run's try.

    Args:
        runs: heading -> run.
        per_kind: phrases of each kind.
    """
    rows = phrases_to_show(data, per_kind)
    tries = {name: written(run.model, data, rows) for name, run in runs.items()}
    lines = []
    for place, row in enumerate(rows.tolist()):
        source, target = data.test.source_text[row], data.test.target_text[row]
        cells = [data.languages[data.test.language[row]], isolated(source), target]
        for texts in tries.values():
            text = texts[place]
            cells.append(f"{text} ✓" if text == target else text)
        lines.append(cells)
    head = ("language", "phrase", "English", *tries)
    return Table(head, lines, f"{len(lines)} unseen phrases, translated")


def phrases_to_show(data: Translation, per_kind: int) -> Tensor:
    """Rows of the test: ``per_kind`` of each kind; the languages take turns."""
    require_count("per_kind", per_kind)
    test, rows = data.test, []
    for kind in range(len(data.kinds)):
        for _ in range(per_kind):
            language = len(rows) % len(data.languages)
            own = (test.kind == kind) & (test.language == language)
            own[rows] = False
            found = own.nonzero().flatten().tolist()
            rows += found[:1]
    return torch.tensor(rows)


def written(model: EncoderDecoder, data: Translation, rows: Tensor) -> list[str]:
    """The model's greedy translations of these phrases of the test."""
    source, target, _ = data.test.batch(rows)
    table = translate(
        model, source, source != PADDING, steps=target.shape[1], start=START, end=END,
        padding=PADDING,
    )  # fmt: skip
    return data.characters.decode(table)
