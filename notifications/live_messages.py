"""What goes over the socket, as docs/notifications.md says: JSON texts, bounded. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from foundation.topics import Topic

LONGEST_MESSAGE = 32 * 1024
MOST_TOPICS = 250
_LONGEST_TOPIC = 300
# A hint names so many things of a topic; the rest is a number.
MOST_NAMED = 100

GOING_AWAY, POLICY, TOO_BIG, TRY_LATER = 1001, 1008, 1009, 1013
SIGNED_OUT, RIGHT_LOST = 4401, 4403


class StrangeMessage(ValueError):
    """A message that is none of the protocol's; the text says why."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic, and its key where it has one; ``text`` is how it was written."""

    text: str
    topic: str
    key: str


@dataclass(slots=True)
class Hint:
    """What of one subscription changed: some of the names, and whether there were more."""

    named: set[str] = field(default_factory=set)
    more: bool = False

    def add(self, names: Iterable[str], *, more: bool) -> None:
        """What changed further."""
        self.more |= more
        for name in names:
            if len(self.named) >= MOST_NAMED and name not in self.named:
                self.more = True
                break
            self.named.add(name)


def parse_subscriptions(text: str | None, topics: Mapping[str, Topic]) -> tuple[list[Subscription], list[str]]:
    """The subscriptions of a message, which replace the former ones, and the texts of those that are no topic.

    Raises `StrangeMessage`.
    """
    if text is None:
        raise StrangeMessage("Messages are JSON texts; this was a binary one.")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StrangeMessage("The message is no JSON.") from error
    wanted = message.get("subscribe") if isinstance(message, dict) else None
    if not isinstance(wanted, list) or len(message) != 1:
        raise StrangeMessage('Send {"subscribe": ["agents", "agent:<instance UID>", …]}.')
    if len(wanted) > MOST_TOPICS:
        raise StrangeMessage(f"One socket has {MOST_TOPICS} topics at most.")
    if not all(isinstance(item, str) and 0 < len(item) <= _LONGEST_TOPIC for item in wanted):
        raise StrangeMessage(f"Topics are texts of {_LONGEST_TOPIC} characters at most.")
    try:
        # The answer names them, and has to be UTF-8.
        "".join(wanted).encode()
    except UnicodeEncodeError as error:
        raise StrangeMessage("A topic has a lone surrogate; send whole characters.") from error
    found: dict[str, Subscription] = {}
    unknown: dict[str, None] = {}
    for item in wanted:
        name, separator, key = item.partition(":")
        topic = topics.get(name)
        if topic is None or topic.keyed != bool(separator) or topic.keyed != bool(key):
            unknown[item] = None
        else:
            found[item] = Subscription(item, name, key)
    return list(found.values()), list(unknown)


def subscribed_text(accepted: Iterable[Subscription], refused: Iterable[str], *, pace: float) -> str:
    """The answer to a subscription. What is refused is unknown or not for this person: which, is not said."""
    return _json({"subscribed": [item.text for item in accepted], "refused": list(refused), "pace": pace})


def changes_text(hints: Mapping[str, Hint], at: datetime, *, pace: float) -> str:
    """One message for all that changed since the last."""
    told = []
    for text, hint in hints.items():
        item: dict[str, Any] = {"topic": text, "changed": sorted(hint.named)}
        if hint.more:
            item["more"] = True
        told.append(item)
    return _json({"at": at.isoformat(timespec="milliseconds"), "changes": told, "pace": pace})


def error_text(text: str) -> str:
    """What was wrong with a message; nothing of it counts."""
    return _json({"error": text})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
