"""What every setup of a chapter's runs can do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Self


@dataclass(frozen=True)
class Configuration:
    """A frozen dataclass of plain values: all that a run depends on but its seed."""

    def but(self, **changes: Any) -> Self:
        """The same with changes."""
        return replace(self, **changes)

    @property
    def config(self) -> dict[str, Any]:
        """As plain values, for a stored measurement."""
        return asdict(self)
