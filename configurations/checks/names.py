"""Config keys and other short texts: what may stand in them. Agents write files under the keys, and people read the rest."""

from __future__ import annotations

import re

from foundation.messages import Message

MAX_KEY = 255
# Of Unicode's categories Cc, Zl and Zp, and lone surrogates, which JSON can carry and UTF-8 cannot.
_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_IN_A_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_DRIVE = re.compile("[A-Za-z]:")


def line_problem(text: str) -> Message | None:
    """Why ``text`` is not of one line that can be shown and kept."""
    return _unfit(_IN_A_LINE.search(text))


def text_problem(text: str) -> Message | None:
    """The same for a text of several lines: tabs and line breaks are fine."""
    return _unfit(_IN_A_TEXT.search(text))


def _unfit(found: re.Match[str] | None) -> Message | None:
    if found is None:
        return None
    return Message(
        "control-character",
        "The control character {character} cannot stand here; delete it.",
        character=f"U+{ord(found[0]):04X}",
    )


def key_problem(key: str) -> Message | None:
    """Why no file may have this config key. Agents make file names of keys, so none may lead out of their folder."""
    if len(key) > MAX_KEY:
        return Message("config-key-too-long", "A config key has at most {most} characters.", most=MAX_KEY)
    problem = line_problem(key)
    if problem is not None:
        return problem
    if key != key.strip():
        return Message("config-key-blanks", "A config key begins and ends without blanks.")
    parts = key.split("/")
    if "\\" in key or _DRIVE.match(key) or (key and any(part in ("", ".", "..") for part in parts)):
        return Message(
            "config-key-path",
            "A config key is a name such as main.yaml or conf.d/main.yaml: no backslash, no drive, no slash at either end, "
            "no part that is empty, . or ..",
        )
    return None
