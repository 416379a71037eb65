"""TOML text: whether it can be read, and where not."""

from __future__ import annotations

import re
import tomllib

from configurations.checks.findings import START, Finding, FindingKind, Place, Severity, place_at, shown_value
from foundation.messages import Message

_AT = re.compile(r" \(at line (\d+), column (\d+)\)$")
# Nested arrays are read by recursion.
_MOST_BRACKETS = re.compile(r"(?:\[\s*){100}|(?:\{[^{}]*){100}")


def toml_findings(text: str) -> list[Finding]:
    """The first mistake."""
    if found := _MOST_BRACKETS.search(text):
        return [_finding(place_at(text, found.start()), "too many brackets")]
    try:
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        said = str(error)
        at = _AT.search(said)
        end = place_at(text, len(text)) if said.endswith("(at end of document)") else START
        place = Place(int(at[1]), int(at[2])) if at else end
        return [_finding(place, _AT.sub("", said).removesuffix(" (at end of document)"))]
    return []


def _finding(place: Place, advice: str) -> Finding:
    message = Message("invalid-toml", "Not TOML: {advice}.", advice=shown_value(advice))
    return Finding(Severity.ERROR, FindingKind.SYNTAX, message, place.line, place.column)
