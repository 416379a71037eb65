"""What a value without quotes is to a Collector: text, a number, true or false, a date; and what is a duration.

The rules are those of the YAML library and of the durations of Go, in which the Collector is written.
"""

from __future__ import annotations

import re

from configurations.checks.tree import ScalarNode

_BOOLEANS = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
_INT = re.compile(r"[-+]?(?:0[bB][01_]+|0[oO]?[0-7_]+|0[xX][0-9a-fA-F_]+|[0-9][0-9_]*)")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}.*)?")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(r"[-+]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")


def kind_of(value: ScalarNode) -> str:
    """``null``, ``bool``, ``int``, ``float``, ``date`` or ``string``."""
    text = value.text
    if value.is_null:
        return "null"
    if not value.is_bare or not text:
        return "string"
    if text in _BOOLEANS:
        return "bool"
    if text[0] not in "+-.0123456789":
        return "string"
    for kind, pattern in (("int", _INT), ("float", _FLOAT), ("date", _DATE)):
        if pattern.fullmatch(text):
            return kind
    return "string"


def is_duration(text: str) -> bool:
    """Whether Go's ``time.ParseDuration`` takes it."""
    return _DURATION.fullmatch(text) is not None


def seconds_of(text: str) -> float | None:
    """How long a duration lasts; ``None`` for what is none."""
    if not is_duration(text):
        return None
    sign = -1.0 if text.startswith("-") else 1.0
    return sign * sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
