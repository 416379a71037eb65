"""Texts of others within texts of ours: in one line, bounded, without what hides or turns round what is read. Pure.

Agents name themselves and receivers answer what they like; both end up in mails, chats and rows of databases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from agents.redaction import HIDDEN
from foundation.messages import Message

# Controls (PostgreSQL takes no NUL within JSON), halves of characters, and marks that turn the direction of what follows.
_UNSEEN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_BREAK = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]")
_CUT = "…"
_SHORTEST_SECRET = 4


def name_problem(text: str) -> Message | None:
    """Why people could not read ``text`` as a name: it is not of one line, hides or turns round something, or says nothing."""
    says_something = any(character.isprintable() and not character.isspace() for character in text)
    if _UNSEEN.search(text) or _BREAK.search(text) or not says_something:
        return Message("alerting-name", "A name is one line that can be read, without control characters.")
    return None


def one_line(text: str, most: int) -> str:
    """The beginning of ``text``, at most ``most`` characters."""
    line = " ".join(_UNSEEN.sub(" ", text[: 4 * most]).split())
    return line if len(line) <= most else line[: most - 1] + _CUT


def without_controls(text: str) -> str:
    """``text`` with its lines."""
    return _UNSEEN.sub(" ", text)


def without(text: str, secrets: Iterable[str]) -> str:
    """``text`` without any of ``secrets``, the longest first; what is shorter than four characters is none."""
    for secret in sorted({each for each in secrets if len(each) >= _SHORTEST_SECRET}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text
