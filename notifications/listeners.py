"""One socket as the hub sees it, and the index of who has subscribed to what. On the event loop alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from notifications.live_messages import Hint, Subscription
from notifications.people import Person


class Listener:
    """Somebody who listens. What is to be told waits here, merged, until the socket has taken what was told before."""

    __slots__ = ("closing", "hints", "person", "subscriptions", "wake")

    def __init__(self, person: Person) -> None:
        self.person = person
        self.subscriptions: dict[str, Subscription] = {}
        self.hints: dict[str, Hint] = {}
        # Code and reason.
        self.closing: tuple[int, str] | None = None
        self.wake = asyncio.Event()

    def add(self, text: str, names: Iterable[str], *, more: bool) -> None:
        """Something of a subscription has changed."""
        hint = self.hints.get(text)
        if hint is None:
            hint = self.hints[text] = Hint()
        hint.add(names, more=more)
        self.wake.set()

    def take(self) -> dict[str, Hint]:
        """What is to be told now."""
        hints, self.hints = self.hints, {}
        return {text: hint for text, hint in hints.items() if text in self.subscriptions}

    def close(self, code: int, reason: str) -> None:
        """Have the socket closed, after nothing more."""
        if self.closing is None:
            self.closing = (code, reason)
            self.wake.set()


class Index:
    """Who has subscribed to which key of which topic; of topics without keys the key is empty."""

    def __init__(self) -> None:
        self._by_topic: dict[str, dict[str, set[Listener]]] = {}

    def set(self, listener: Listener, subscriptions: Iterable[Subscription]) -> None:
        """Replace what ``listener`` has subscribed to."""
        for old in listener.subscriptions.values():
            keys = self._by_topic[old.topic]
            keys[old.key].discard(listener)
            if not keys[old.key]:
                del keys[old.key]
            if not keys:
                del self._by_topic[old.topic]
        listener.subscriptions = {item.text: item for item in subscriptions}
        for new in listener.subscriptions.values():
            self._by_topic.setdefault(new.topic, {}).setdefault(new.key, set()).add(listener)

    def wanted(self) -> dict[str, frozenset[str]]:
        """The keys of each topic that somebody has subscribed to."""
        return {topic: frozenset(keys) for topic, keys in self._by_topic.items()}

    def of(self, topic: str, key: str) -> Iterable[Listener]:
        """Whoever has subscribed to it."""
        return self._by_topic.get(topic, {}).get(key, ())
