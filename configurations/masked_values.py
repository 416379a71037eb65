"""Values that stand in a text as they are shown and not as they are: hidden by the agent itself, or by this portal. Pure.

Agents print ``[REDACTED]`` in place of their secrets, and what people without the right see has ``[redacted]``. An agent that got
such a text would use the placeholder as its password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count

from agents.remote_config import ConfigFile
from configurations.checks.findings import Finding, FindingKind, Place, Severity, path_of, place_at
from configurations.checks.leaves import leaves_of
from foundation.messages import Message

MASK = re.compile(r"\[redacted\]|<(?:redacted|hidden|masked)>|\*{3,}|x{6,}", re.IGNORECASE)
"""What agents print in place of values that they hide themselves."""

# Within a longer value too; stars and x may stand there for something else.
_BRACKETS = re.compile(r"\[redacted\]|<(?:redacted|hidden|masked)>", re.IGNORECASE)
_MOST = 100
_SAID = Message(
    "masked-value",
    "This is what is shown in place of a hidden value, and not the value: type it, or take it from the agent’s environment or a "
    "secret.",
)


def masked_values(files: Mapping[str, ConfigFile]) -> list[Finding]:
    """One finding for each such value, at its place; whoever means the placeholder itself can force it."""
    return [item for key, file in files.items() for item in _in(key, file.text or "")][:_MOST]


def _in(key: str, text: str) -> list[Finding]:
    if not MASK.search(text):
        return []
    token = next(token for token in (f"Q{number:08d}Q" for number in count()) if token not in text)
    # Unquoted, the placeholder of this portal would be a list.
    leaves = leaves_of(_BRACKETS.sub(lambda found: token.ljust(len(found[0]), "Q"), text))
    if leaves is None:
        found = _BRACKETS.search(text)
        return [] if found is None else [_finding(key, place_at(text, found.start()), "")]
    return [
        _finding(key, leaf.place, path_of(leaf.path))
        for leaf in leaves
        if token in leaf.value or MASK.fullmatch(leaf.value)
    ]


def _finding(key: str, place: Place, path: str) -> Finding:
    return Finding(Severity.ERROR, FindingKind.DOCUMENT, _SAID, place.line, place.column, path, file=key)
