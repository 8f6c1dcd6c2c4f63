"""Which bytes many experts choose, and which none."""

from __future__ import annotations

from torch import nn

from moe_lib.course.byte_names import CLASS_OF, CLASSES
from moe_lib.course.placed import routing_of
from moe_lib.course.race_runs import heldout_batch
from moe_lib.course.table import Table
from moe_lib.data.domain_text import DomainText
from moe_lib.models.byte_tables import NO_BYTE


def who_gets_many(model: nn.Module, text: DomainText) -> Table:
    """Of 2,048 held-out bytes, every seventh hidden: experts of a byte, by its kind.

    Kinds with most experts come first; those of fewer than 20 bytes are left out.

    Args:
        model: of `moe_lib.course.race_setup`, with experts; the first mixture counts.

    Raises:
        ValueError: a dense model.
    """
    shown, hidden = (heldout_batch(text, masked=m).flatten() for m in (False, True))
    kind = CLASS_OF.to(shown.device)[shown]
    names = [*CLASSES, "hidden"]
    kind[hidden == NO_BYTE] = len(CLASSES)
    routing = routing_of(model, hidden.view(-1, 64))
    rows = routing.token_index[routing.kept]
    experts = rows.bincount(minlength=routing.num_tokens).double()  # [T]
    found = []
    for k, name in enumerate(names):
        those = experts[kind == k]
        if len(those) >= 20:
            found.append((those.mean().item(), name, those))
    table = [
        (name, len(those), f"{mean:.2f}", f"{(those == 0).double().mean():.1%}",
         f"{(those >= 4).double().mean():.1%}")
        for mean, name, those in sorted(found, key=lambda row: -row[0])
    ]  # fmt: skip
    head = ("kind of byte", "bytes", "experts, mean", "with none", "with 4 or more")
    return Table(head, table, "experts of a byte, by its kind")
