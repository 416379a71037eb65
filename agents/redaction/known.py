"""Secrets that are known by their values, whatever they are called where they turn up. Pure, but for what was made known.

Each is known as it is, and as YAML, JSON, URLs and base64 write it; of one of several lines each long line too.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from agents.redaction.values import HIDDEN

SHORTEST = 6
"""Characters; a shorter one would hide parts of words everywhere."""

_SHORTEST_LINE = 16


class _Known:
    """What this process hides; replaced whole. ``version`` moves with it."""

    pattern: re.Pattern[str] | None = None
    version = 0


def know(values: Iterable[str]) -> None:
    """Hide these values from now on, and no others."""
    texts = {text for value in values for text in _written(value)}
    # Of two that begin alike the longer one is found.
    longest_first = sorted(texts, key=lambda text: (-len(text), text))
    _Known.pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
    _Known.version += 1


def version() -> int:
    """A number that moves whenever other values are known."""
    return _Known.version


def has_known(text: str) -> bool:
    """Whether a known value stands in ``text``."""
    return _Known.pattern is not None and _Known.pattern.search(text) is not None


def known_places(text: str) -> Iterator[tuple[int, int]]:
    """Where known values stand, in order and without overlaps."""
    if _Known.pattern is not None:
        for found in _Known.pattern.finditer(text):
            yield found.span()


def known_hidden(text: str) -> str:
    """``text`` with every known value replaced; nothing else is judged."""
    return text if _Known.pattern is None else _Known.pattern.sub(HIDDEN, text)


def _written(value: str) -> Iterator[str]:
    if len(value.strip()) < SHORTEST:
        return
    yield value
    yield value.strip()
    for ascii_alone in (True, False):
        yield json.dumps(value, ensure_ascii=ascii_alone)[1:-1]
    yield value.replace("'", "''")
    yield quote(value, safe="")
    yield quote(value)
    yield base64.b64encode(value.encode(errors="surrogatepass")).decode()
    lines = value.splitlines()
    if len(lines) > 1:
        for line in lines:
            part = line.strip()
            if len(part) >= _SHORTEST_LINE and not part.startswith("-----"):
                yield part
