"""How experts, counts and bytes are written: in tables and pictures alike."""

from __future__ import annotations


def letter(expert: int) -> str:
    """A to Z, then AA, AB, ...: the expert's name in every picture."""
    first, last = divmod(expert, 26)
    return (chr(64 + first) if first else "") + chr(65 + last)


def count_text(number: float) -> str:
    """A count in three digits: 12,879,925,248 is "12.9 B"."""
    return _in_units(number, 1000, ["", " K", " M", " B", " T", " P"])


def bytes_text(number: float) -> str:
    """Bytes in three digits: 1,536 is "1.5 KiB"."""
    return _in_units(number, 1024, [" B", " KiB", " MiB", " GiB", " TiB", " PiB"])


def _in_units(number: float, base: int, units: list[str]) -> str:
    power = 0
    while power + 1 < len(units) and number >= (base - 0.5) * base**power:
        power += 1
    value = number / base**power
    return (
        f"{value:.3g}{units[power]}" if value < 999.5 else f"{value:,.0f}{units[power]}"
    )
