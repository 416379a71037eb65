"""Events: what has happened, told after the commit to whoever subscribed to it in ``AppConfig.ready``.

Owns who subscribed, and when events are handed over. It must not know what any event means. Who writes a row publishes the
event in the same transaction; a consequence in another app is a subscription there, so no import goes up and no model signal
is needed.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import transaction

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened and is committed; subclasses say what. Nobody changes what its fields hold."""


_E = TypeVar("_E", bound=Event)
Receiver = Callable[[Sequence[_E]], None]
"""Called with events of one class, the oldest first, in the thread that committed and outside any transaction of the writer's.

The writer waits for it: it does what is short, and hands the rest to a thread, a task or a row of its own. What it publishes
itself is handed over when everybody has had the events at hand.
"""


# Tuples are replaced as a whole, since other threads read them.
_receivers: dict[type[Event], tuple[Receiver[Any], ...]] = {}
# How often each receiver raised each class of error, for the log.
_failures: Counter[tuple[str, type[Exception]]] = Counter()


class _Here(threading.local):
    """What waits while this thread hands over, ``None`` when it does not."""

    waiting: deque[Mapping[type[Event], Sequence[Any]]] | None = None


_here = _Here()


def subscribe(kind: type[_E], receiver: Receiver[_E]) -> None:
    """Have ``receiver`` called with events of this class; not of its subclasses, so that whether anybody listens is one look.

    A second subscription of the same receiver changes nothing.
    """
    known = _receivers.get(kind, ())
    if receiver not in known:
        _receivers[kind] = (*known, receiver)


def unsubscribe(kind: type[_E], receiver: Receiver[_E]) -> None:
    """Call ``receiver`` no more."""
    left = tuple(other for other in _receivers.get(kind, ()) if other != receiver)
    if left:
        _receivers[kind] = left
    else:
        _receivers.pop(kind, None)


def publish(kind: type[_E], events: Iterable[_E]) -> None:
    """Hand ``events`` over once the current transaction is committed, at once when there is none; never when it is rolled back,
    or the savepoint that they belong to.

    A generator is not run when nobody has subscribed to ``kind``. All that a transaction publishes comes as one call of each
    receiver, but for what lies in savepoints of its own. Receivers that raise are logged; no error of theirs comes here.
    """
    if kind not in _receivers:
        return
    members = list(events)
    if not members:
        return
    delivery = _open_delivery()
    if delivery is None:
        delivery = _Delivery()
        delivery.add(kind, members)
        transaction.on_commit(delivery)
    else:
        delivery.add(kind, members)


class _Delivery:
    """What is handed over after a commit: a hook, so that Django drops it with the transaction or savepoint it belongs to.

    It raises nothing, so the hooks after it run.
    """

    def __init__(self) -> None:
        self.done = False
        self._events: dict[type[Event], list[Any]] = {}

    def add(self, kind: type[_E], events: Sequence[_E]) -> None:
        self._events.setdefault(kind, []).extend(events)

    def __call__(self) -> None:
        if not self.done:
            self.done = True
            _hand_over(self._events)


def _open_delivery() -> _Delivery | None:
    """The one that further events of this transaction may join; ``None`` when they need one of their own.

    Only the newest, for order's sake. It shares the fate of what is published now when it was begun within all savepoints that
    are open now: those it names beside them were released, or it would be gone.
    """
    connection = transaction.get_connection()
    for savepoints, hook, _robust in reversed(connection.run_on_commit):
        if isinstance(hook, _Delivery):
            # A block without a savepoint takes the one around it along, and stands there as None.
            return hook if not hook.done and savepoints.issuperset(filter(None, connection.savepoint_ids)) else None
    return None


def _hand_over(events: Mapping[type[Event], Sequence[Any]]) -> None:
    if _here.waiting is not None:
        _here.waiting.append(events)
        return
    _here.waiting = waiting = deque([events])
    try:
        while waiting:
            for kind, members in waiting.popleft().items():
                for receiver in _receivers.get(kind, ()):
                    _call(receiver, tuple(members))
    finally:
        _here.waiting = None


def _call(receiver: Receiver[Any], events: Sequence[Any]) -> None:
    try:
        receiver(events)
    except Exception as error:
        name = f"{receiver.__module__}.{getattr(receiver, '__qualname__', repr(receiver))}"
        _failures[name, type(error)] += 1
        times = _failures[name, type(error)]
        # A storm of events must not become a storm of lines: the 1st, 10th, 100th… time.
        if str(times).strip("0") == "1":
            logger.exception("a subscriber to events failed", extra={"subscriber": name, "times": times})
