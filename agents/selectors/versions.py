"""The order of version texts, for the selector operators ``Gt`` and ``Lt``. Knows no labels."""

from __future__ import annotations

import functools
import re
from typing import TypeAlias

VersionKey: TypeAlias = tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]

# Also keeps every numeric part far below Python's limit of 4300 digits for text to int.
_MAX_LENGTH = 255

_VERSION = re.compile(
    r"[vV]?(?P<release>[0-9]+(?:\.[0-9]+)*)"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
    r"(?:\+[0-9A-Za-z.-]+)?"
)


def version_key(text: str) -> VersionKey | None:
    """A key that sorts as Semantic Versioning 2.0.0 section 11 says, or ``None`` when ``text`` is no version.

    Wider than the standard in three points: a leading ``v``, any count of numeric parts (missing ones are 0), leading
    zeros. Build metadata does not count.
    """
    return _parsed(text) if len(text) <= _MAX_LENGTH else None


# A fleet reports few different versions, and each is compared at every match.
@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> VersionKey | None:
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    release = [int(part) for part in found["release"].split(".")]
    while release and release[-1] == 0:
        release.pop()
    if found["pre"] is None:
        return tuple(release), 1, ()
    return tuple(release), 0, tuple(_identifier_key(part) for part in found["pre"].split("."))


def _identifier_key(identifier: str) -> tuple[int, int, str]:
    """Numeric identifiers sort by number and before the others, which sort as ASCII."""
    return (0, int(identifier), "") if identifier.isdecimal() else (1, 0, identifier)
