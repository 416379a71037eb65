"""Which subscriptions changed rows concern, as the topics say. In a database thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from foundation.topics import Topic, registered_topics
from notifications.changes import Changed


@dataclass(frozen=True, slots=True)
class TopicNews:
    """Something of one subscription has changed; ``names`` are what, where the topic says so. ``thing`` is in its text."""

    topic: str
    key: str
    names: frozenset[str]
    more: bool
    thing: str


def concerned(changes: Mapping[str, Changed], wanted: Mapping[str, frozenset[str]]) -> list[TopicNews]:
    """What those who have subscribed to ``wanted`` must hear. Nothing is asked for topics that nobody listens to."""
    topics = registered_topics()
    found = []
    for name, keys in wanted.items():
        topic = topics[name]
        for model, changed in changes.items():
            if model in topic.follows:
                found += (
                    _keyed(topic, model, changed, keys)
                    if topic.keyed or topic.personal
                    else [_whole(topic, model, changed)]
                )
    return found


def _keyed(topic: Topic, model: str, changed: Changed, wanted: frozenset[str]) -> list[TopicNews]:
    """Where not all changed rows are known, any of them may be meant."""
    ask, touched = topic.follows[model], wanted
    if not changed.more:
        touched = wanted & changed.keys if ask is None else wanted.intersection(ask(changed.keys, wanted))
    return [TopicNews(topic.name, key, frozenset(), more=False, thing=_thing(topic, key)) for key in touched]


def _whole(topic: Topic, model: str, changed: Changed) -> TopicNews:
    ask = topic.follows[model]
    names = changed.keys if ask is None else frozenset(ask(changed.keys, frozenset()))
    return TopicNews(topic.name, "", names, changed.more, "")


def _thing(topic: Topic, key: str) -> str:
    return key.partition("/")[2] if topic.personal else key
