"""What ``<``, ``<=``, ``>`` and ``>=`` mean for texts: the order of versions, as selectors have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agents.queries.errors import mistake
from agents.queries.tree import Operation, Term
from agents.selectors.versions import VersionKey, version_key
from foundation.messages import Message

_HOLDS: Mapping[Operation, Callable[[VersionKey, VersionKey], bool]] = {
    Operation.LESS: lambda mine, asked: mine < asked,
    Operation.LESS_OR_EQUAL: lambda mine, asked: mine <= asked,
    Operation.GREATER: lambda mine, asked: mine > asked,
    Operation.GREATER_OR_EQUAL: lambda mine, asked: mine >= asked,
}


def is_comparison(operation: Operation) -> bool:
    """Whether it asks for an order."""
    return operation in _HOLDS


def version_comparison(term: Term) -> Callable[[str], bool]:
    """Which texts are versions in this order; what is no version is in none. Raises `InvalidQuery`."""
    (value,) = term.values
    asked = None if value.prefix else version_key(value.text)
    if asked is None:
        message = Message(
            "agent-query-no-version",
            "{sign} compares versions, and this is none; write one such as 0.120.0 or v1.2.0-rc.1.",
            sign=term.operation.value,
        )
        raise mistake(value.start, message)
    holds, threshold = _HOLDS[term.operation], asked

    def admits(text: str) -> bool:
        mine = version_key(text)
        return mine is not None and holds(mine, threshold)

    return admits
