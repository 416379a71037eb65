"""Subscriptions to events that last for a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from foundation.events import Event, Receiver, subscribe, unsubscribe

E = TypeVar("E", bound=Event)


@contextmanager
def subscribed(*pairs: tuple[type[Any], Receiver[Any]]) -> Iterator[None]:
    """Have each receiver called with events of its kind, in this order."""
    with ExitStack() as stack:
        for kind, receiver in pairs:
            subscribe(kind, receiver)
            stack.callback(unsubscribe, kind, receiver)
        yield


@contextmanager
def calls_with(kind: type[E]) -> Iterator[list[list[E]]]:
    """The events of each call of a subscriber."""
    calls: list[list[E]] = []
    with subscribed((kind, lambda events: calls.append(list(events)))):
        yield calls
