"""Names of things in some 300 languages: Unicode's CLDR, as Babel brings it.

CLDR (Unicode Common Locale Data Repository, Unicode licence v3) says what languages,
countries, scripts and currencies are called in each language.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

KINDS = ("language", "territory", "script", "currency")


@lru_cache(maxsize=1)
def language_codes() -> tuple[str, ...]:
    """Every language that Babel knows, without regional variants, in order."""
    from babel import localedata

    return tuple(sorted(c for c in localedata.locale_identifiers() if "_" not in c))


def locale(language: str) -> Any:
    """Babel's own object for a language.

    Raises:
        ValueError: Babel does not know the language.
    """
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(language)
    except (ValueError, UnknownLocaleError):
        raise ValueError(
            f"language {language!r} is unknown to Babel: choose from language_codes()"
        ) from None


@lru_cache(maxsize=512)
def names(language: str) -> dict[str, dict[str, str]]:
    """``kind -> code -> name`` in one language, e.g. ``["territory"]["DE"]``."""
    known = locale(language)
    tables = (known.languages, known.territories, known.scripts, known.currencies)
    return {
        kind: {code: table[code] for code in sorted(table)}
        for kind, table in zip(KINDS, tables, strict=True)
    }


def shared_codes(language: str, kind: str) -> list[str]:
    """The codes of a kind that both this language and English have a name for."""
    return sorted(names(language)[kind].keys() & names("en")[kind].keys())
