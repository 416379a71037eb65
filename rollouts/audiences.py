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
# Of 64 bits of a hash.
POSITIONS = 1 << 64
MOST_PARTS = 50
_DEEPEST = 2
MOST_INSTANCES = 10_000
LONGEST_SALT = 100


class InvalidAudience(DomainError):
    """What was given is no audience; the text says why."""


def position(instance_uid: UUID, salt: str) -> int:
    """Where an agent stands in the order of a salt, from 0 below `POSITIONS`: the same for ever, and for everybody who asks."""
    digest = hashlib.sha256(salt.encode() + b"\0" + instance_uid.bytes).digest()
    return int.from_bytes(digest[:8], "big")


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
        return position(instance_uid, self.salt) * 100 < self.percent * POSITIONS

    def as_json(self) -> dict[str, Any]:
        """``{"kind": "share", "percent", "salt"}``."""
        return {"kind": "share", "percent": self.percent, "salt": self.salt}


@dataclass(frozen=True, slots=True)
class First:
    """The agents whose `position` under ``salt`` is below ``limit`` (0 to `POSITIONS`): a share as fine as one agent.

    A larger limit includes every smaller one, and every `Share` of the same salt up to it.
    """

    limit: int
    salt: str = ""

    def includes(self, instance_uid: UUID, labels: Mapping[str, str]) -> bool:
        """Whether the agent is among the first."""
        return position(instance_uid, self.salt) < self.limit

    def as_json(self) -> dict[str, Any]:
        """``{"kind": "first", "limit", "salt"}``; the limit in hexadecimal, for it is more than JSON readers' numbers hold."""
        return {"kind": "first", "limit": f"{self.limit:x}", "salt": self.salt}


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


@dataclass(frozen=True, slots=True)
class AllOf:
    """The agents that are in each of the ``parts``: those of a stage who have been admitted so far."""

    parts: tuple[Audience, ...]

    def includes(self, instance_uid: UUID, labels: Mapping[str, str]) -> bool:
        """Whether every part includes it."""
        return all(part.includes(instance_uid, labels) for part in self.parts)

    def as_json(self) -> dict[str, Any]:
        """``{"kind": "all_of", "parts"}``."""
        return {"kind": "all_of", "parts": [part.as_json() for part in self.parts]}


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
    return _parse(form, depth=0)


def _parse(form: Any, *, depth: int) -> Audience:
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
    if kind == "first":
        return _first(form.get("limit"), form.get("salt", ""))
    parts = form.get("parts") if kind in ("any_of", "all_of") and depth < _DEEPEST else None
    if not isinstance(parts, list) or len(parts) > MOST_PARTS:
        raise InvalidAudience(
            Message(
                "audience-kind",
                "The kind of an audience is everyone, share, first, matching, instances, or any_of or all_of with at most {most} "
                "others.",
                most=MOST_PARTS,
            )
        )
    members = tuple(_parse(part, depth=depth + 1) for part in parts)
    return AnyOf(members) if kind == "any_of" else AllOf(members)


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


def _first(limit: Any, salt: Any) -> First:
    if (
        isinstance(limit, str)
        and len(limit) <= len(f"{POSITIONS:x}")
        and isinstance(salt, str)
        and len(salt) <= LONGEST_SALT
    ):
        try:
            number = int(limit, 16)
        except ValueError:
            number = -1
        if 0 <= number <= POSITIONS:
            return First(number, salt)
    raise InvalidAudience(
        Message(
            "audience-first",
            "The first agents are those below a limit, a hexadecimal number of 64 bits, under a salt of at most {most} "
            "characters.",
            most=LONGEST_SALT,
        )
    )


def _instances(uids: Any) -> Instances:
    if isinstance(uids, list) and len(uids) <= MOST_INSTANCES and all(isinstance(uid, str) for uid in uids):
        try:
            return Instances(frozenset(UUID(uid) for uid in uids))
        except ValueError:
            pass
    raise InvalidAudience(
        Message("audience-instances", "Instances are a list of at most {most} instance uids.", most=MOST_INSTANCES)
    )
