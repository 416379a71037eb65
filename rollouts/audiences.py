"""Who a release is for: pure values with a stored form. Knows agents by uid and labels alone, and nothing that is released."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from agents.selectors import InvalidSelector, Selector, parse_selector
from foundation.errors import DomainError
from foundation.messages import Message

FORM = 1
MOST_PARTS = 50
MOST_INSTANCES = 10_000
LONGEST_SALT = 100


class InvalidAudience(DomainError):
    """What was given is no audience; the text says why."""


class Audience(Protocol):
    """A set of agents that can be asked about one agent at a time."""

    def includes(self, instance_uid: UUID, labels: Mapping[str, str]) -> bool:
        """Whether the agent is one of them."""

    def as_json(self) -> dict[str, Any]:
        """The stored form without its version; see `stored`."""


@dataclass(frozen=True, slots=True)
class Everyone:
    """All agents that the thing released matches."""

    def includes(self, instance_uid: UUID, labels: Mapping[str, str]) -> bool:
        """Always."""
        return True

    def as_json(self) -> dict[str, Any]:
        """``{"kind": "everyone"}``."""
        return {"kind": "everyone"}


@dataclass(frozen=True, slots=True)
class Share:
    """``percent`` (0 to 100) of all agents, by a hash of the uid: stable, and a larger share includes every smaller one.

    Another ``salt`` picks other agents, so that not always the same ones are first.
    """

    percent: int
    salt: str = ""

    def includes(self, instance_uid: UUID, labels: Mapping[str, str]) -> bool:
        """Whether the hash of the uid falls into the share."""
        digest = hashlib.sha256(self.salt.encode() + b"\0" + instance_uid.bytes).digest()
        return int.from_bytes(digest[:8], "big") * 100 < self.percent << 64

    def as_json(self) -> dict[str, Any]:
        """``{"kind": "share", "percent", "salt"}``."""
        return {"kind": "share", "percent": self.percent, "salt": self.salt}


@dataclass(frozen=True, slots=True)
class Matching:
    """The agents whose labels match."""

    selector: Selector

    def includes(self, instance_uid: UUID, labels: Mapping[str, str]) -> bool:
        """Whether the labels match now; an agent whose labels change may come or go."""
        return self.selector.matches(labels)

    def as_json(self) -> dict[str, Any]:
        """``{"kind": "matching", "selector"}``."""
        return {"kind": "matching", "selector": self.selector.as_json()}


@dataclass(frozen=True, slots=True)
class Instances:
    """Agents named one by one."""

    uids: frozenset[UUID]

    def includes(self, instance_uid: UUID, labels: Mapping[str, str]) -> bool:
        """Whether it is named."""
        return instance_uid in self.uids

    def as_json(self) -> dict[str, Any]:
        """``{"kind": "instances", "uids"}``."""
        return {"kind": "instances", "uids": sorted(str(uid) for uid in self.uids)}


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The agents of any of the ``parts``: the stages that have begun."""

    parts: tuple[Audience, ...]

    def includes(self, instance_uid: UUID, labels: Mapping[str, str]) -> bool:
        """Whether one part includes it."""
        return any(part.includes(instance_uid, labels) for part in self.parts)

    def as_json(self) -> dict[str, Any]:
        """``{"kind": "any_of", "parts"}``."""
        return {"kind": "any_of", "parts": [part.as_json() for part in self.parts]}


EVERYONE = Everyone()


def stored(audience: Audience) -> dict[str, Any]:
    """The JSON form with its version, which `parse_audience` reads."""
    return {"version": FORM, **audience.as_json()}


def parse_audience(form: Any) -> Audience:
    """The inverse of `stored`. Raises `InvalidAudience`."""
    if not isinstance(form, Mapping) or form.get("version") != FORM:
        raise InvalidAudience(
            Message("audience-version", "An audience is an object with version {version}.", version=FORM)
        )
    return _parse(form, nested=False)


def _parse(form: Any, *, nested: bool) -> Audience:
    kind = form.get("kind") if isinstance(form, Mapping) else None
    if kind == "everyone":
        return EVERYONE
    if kind == "share":
        return _share(form.get("percent"), form.get("salt", ""))
    if kind == "matching":
        try:
            return Matching(parse_selector(form.get("selector")))
        except InvalidSelector as error:
            raise InvalidAudience(Message.listed(error.problems)) from error
    if kind == "instances":
        return _instances(form.get("uids"))
    parts = form.get("parts") if kind == "any_of" and not nested else None
    if not isinstance(parts, list) or len(parts) > MOST_PARTS:
        raise InvalidAudience(
            Message(
                "audience-kind",
                "The kind of an audience is everyone, share, matching, instances, or any_of with at most {most} others.",
                most=MOST_PARTS,
            )
        )
    return AnyOf(tuple(_parse(part, nested=True) for part in parts))


def _share(percent: Any, salt: Any) -> Share:
    if type(percent) is not int or not 0 <= percent <= 100 or not isinstance(salt, str) or len(salt) > LONGEST_SALT:
        raise InvalidAudience(
            Message(
                "audience-share",
                "A share has a whole percent from 0 to 100, and a salt of at most {most} characters.",
                most=LONGEST_SALT,
            )
        )
    return Share(percent, salt)


def _instances(uids: Any) -> Instances:
    if isinstance(uids, list) and len(uids) <= MOST_INSTANCES and all(isinstance(uid, str) for uid in uids):
        try:
            return Instances(frozenset(UUID(uid) for uid in uids))
        except ValueError:
            pass
    raise InvalidAudience(
        Message("audience-instances", "Instances are a list of at most {most} instance uids.", most=MOST_INSTANCES)
    )
