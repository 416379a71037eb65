"""Where apps above this one say which of their things use variables and secrets. Filled in ``AppConfig.ready``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Rerendering:
    """What a change does to one thing of this ``name``: of its ``agents`` some ``change``; for some there is no result then."""

    name: str
    agents: int
    changes: int
    failures: int


class Consumer(Protocol):
    """Something whose texts are rendered with variables and secrets. A use is written ``vars.name`` or ``secrets.name``."""

    def hold(self) -> None:
        """Take the locks of a change, at the beginning of its transaction."""

    def users(self, uses: Collection[str]) -> dict[str, list[str]]:
        """For each of ``uses`` the names of what is in force and has it, sorted."""

    def preview(self, use: str) -> Sequence[Rerendering]:
        """What the values that this transaction sees would do to each user of ``use``; changes nothing."""

    def release(self, use: str, at: datetime) -> int:
        """Have the users' agents run what the values that this transaction sees make of their texts; returns how many change."""


_consumers: list[Consumer] = []


def register_consumer(consumer: Consumer) -> None:
    """Have ``consumer`` asked and told; once for each."""
    if consumer not in _consumers:
        _consumers.append(consumer)


def consumers() -> tuple[Consumer, ...]:
    """All of them, in order of registration."""
    return tuple(_consumers)
