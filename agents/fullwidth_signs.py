"""Signs as Chinese keyboards type them. In a text with signs of its own they would be taken for letters, and find nobody."""

from __future__ import annotations

import re

from foundation.messages import Message

_PLAIN = {
    "：": ":",
    "＝": "=",
    "＜": "<",
    "＞": ">",
    "！": "!",
    "（": "(",
    "）": ")",
    "，": ",",
    "“": '"',
    "”": '"',
    "＂": '"',
}
FULLWIDTH = "".join(_PLAIN)
_ANY = re.compile(f"[{FULLWIDTH}]")
_TABLE = str.maketrans(_PLAIN)
_LONGEST_GUESS = 60


def fullwidth_problem(word: str) -> tuple[int, Message] | None:
    """Where the first such sign stands in a word without quotes (0-based), and what to type; ``None`` where there is none."""
    found = _ANY.search(word)
    if found is None:
        return None
    message = Message(
        "query-fullwidth-sign",
        "{sign} is no sign here; type {plain}, or put it in double quotes when it is part of a text.",
        sign=found[0],
        plain=_PLAIN[found[0]],
    )
    return found.start(), message


def with_plain_signs(text: str) -> str:
    """What was probably meant, at most 60 characters of it."""
    plain = text.translate(_TABLE)
    return plain if len(plain) <= _LONGEST_GUESS else f"{plain[: _LONGEST_GUESS - 1]}…"
