"""Which subscriptions changed rows concern, as the topics say. In a database thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from foundation.topics import Topic, registered_topics
from notifications.changes import Changed


@dataclass(frozen=True, slots=True)
class News:
    """Something of one subscription has changed; ``names`` are what, where the topic says so."""

    topic: str
    key: str
    names: frozenset[str]
    more: bool


def concerned(changes: Mapping[str, Changed], wanted: Mapping[str, frozenset[str]]) -> list[News]:
    """What those who have subscribed to ``wanted`` must hear. Nothing is asked for topics that nobody listens to."""
    topics = registered_topics()
    found = []
    for name, keys in wanted.items():
        topic = topics[name]
        for model, changed in changes.items():
            if model in topic.follows:
                found += _keyed(topic, model, changed, keys) if topic.keyed else [_whole(topic, model, changed)]
    return found


def _keyed(topic: Topic, model: str, changed: Changed, wanted: frozenset[str]) -> list[News]:
    """Where not all changed rows are known, any of them may be meant."""
    ask, touched = topic.follows[model], wanted
    if not changed.more:
        touched = wanted & changed.keys if ask is None else wanted.intersection(ask(changed.keys, wanted))
    return [News(topic.name, key, frozenset(), more=False) for key in touched]


def _whole(topic: Topic, model: str, changed: Changed) -> News:
    ask = topic.follows[model]
    names = changed.keys if ask is None else frozenset(ask(changed.keys, frozenset()))
    return News(topic.name, "", names, changed.more)
