"""Topics that open pages and programs listen to: the registry that apps fill in ``AppConfig.ready``.

A topic follows rows: which of its subscriptions a changed row concerns is asked where somebody listens, at most once a second, and
nowhere else. It must not know what any row means, nor who listens.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from foundation.events import Event, publish


@dataclass(frozen=True, slots=True)
class RowChanged(Event):
    """A row that pages show has changed, and no timeline or audit trail says so.

    ``model`` is its label as in ``agents.agent``, ``key`` its primary key.
    """

    model: str
    key: str


def tell_changed(model: str, *keys: int) -> None:
    """Such rows have changed, after the commit of the caller's transaction; where nobody listens that is nothing."""
    publish(RowChanged, (RowChanged(model, str(key)) for key in keys))


Concerned = Callable[[Collection[str], Collection[str]], Iterable[str]]
"""Called with the keys of changed rows and the keys that somebody has subscribed to; in a database thread.

Of a topic with keys, and of a personal one, it returns those of the second that are concerned; of any other what the hint
names.
"""


@dataclass(frozen=True, slots=True)
class Topic:
    """``name``, or ``name:<key>`` where it is ``keyed``; ``right`` is what somebody needs to hear of it.

    One that is ``personal`` is about what belongs to somebody: all who hear of anything may subscribe, and administrators
    hear of everybody's. Its keys are those that `personal_key` makes.

    ``follows`` says of each model of rows whom a change concerns. ``None`` stands for the rows' own keys: of a topic with keys
    those that were subscribed to, else all of them. A topic that should say *that* something changed but not what returns
    nothing.
    """

    name: str
    right: str
    follows: Mapping[str, Concerned | None]
    keyed: bool = False
    personal: bool = False


EVERYBODY = "*"
"""Stands for the person in the keys of administrators."""


def personal_key(person: int | None, key: str = "") -> str:
    """The key of a personal topic: whose it is (``None``: of an administrator, who hears of all), and the thing."""
    return f"{EVERYBODY if person is None else person}/{key}"


_registered: dict[str, Topic] = {}


def register_topic(topic: Topic) -> None:
    """Let people subscribe to it; a second registration of the same name replaces the first."""
    _registered[topic.name] = topic


def registered_topics() -> Mapping[str, Topic]:
    """All of them by name."""
    return _registered


def unnamed(_rows: Collection[str], _wanted: Collection[str]) -> Iterable[str]:
    """For topics without keys whose hints name nothing."""
    return ()
