"""Text of another kind that was sent as YAML."""

from __future__ import annotations

import re

from configurations.checks.findings import Finding, FindingKind, Severity, place_at
from foundation.messages import Message

# Looked for in the beginning; the first that fits counts.
_BEGINNING = 20_000
_KINDS = (
    ("HTML", re.compile(r"\A\s*(?:<!DOCTYPE\s+html|<html)\b", re.IGNORECASE)),
    ("XML", re.compile(r"\A\s*<(?:\?xml|[A-Za-z][\w:-]*[\s/>])")),
    ("Fluent Bit", re.compile(r"^\[(?:SERVICE|INPUT|FILTER|OUTPUT|PARSER|MULTILINE_PARSER)\]\s*$", re.MULTILINE)),
    ("TOML", re.compile(r"^\s*\[{1,2}[\w.\"-]+\]{1,2}\s*$(?:\s*#.*$|\s)*^\s*[\w.\"-]+\s*=", re.MULTILINE)),
    ("TOML", re.compile(r"\A(?:\s*#.*\n|\s)*[\w.-]+ *= *(?:\"|'|\[|true\b|false\b|\d)")),
    ("Alloy", re.compile(r"^[a-z_][\w.]*(?:\s+\"[\w.-]+\")?\s*\{\s*$", re.MULTILINE)),
    ("JavaScript", re.compile(r"\A\s*(?:module\.exports\s*=|import\s+[\w{*]|const\s+\w+\s*=)")),
)


def other_kind(text: str) -> Finding | None:
    """What to say in place of a mistake of YAML, if the text is nothing like it."""
    beginning = text[:_BEGINNING]
    for kind, pattern in _KINDS:
        found = pattern.search(beginning)
        if found is not None:
            signs = found[0]
            place = place_at(text, found.start() + len(signs) - len(signs.lstrip()))
            message = Message(
                "text-of-another-kind",
                "This is {kind} and not YAML; send it with a content type of its own.",
                kind=kind,
            )
            return Finding(Severity.ERROR, FindingKind.SYNTAX, message, place.line, place.column)
    return None
