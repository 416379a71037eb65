"""What the leading process does now and then: the registry that apps fill in ``AppConfig.ready``.

It must not know what any chore does. Each does one bounded piece of work at a time, and two processes that both lead for a
moment must not harm each other, so it is compare-and-set throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Chore:
    """``run`` gets the time in a database thread, every ``seconds``, and again while it returns how much it did.

    One that takes longer than a chore may wait for another is ``apart``: in the thread of those that are. What waits for
    others has a thread ``of_its_own``, and nobody waits for it.
    """

    name: str
    seconds: float
    run: Callable[[datetime], int | None]
    apart: bool = False
    of_its_own: bool = False

    @property
    def has_time(self) -> bool:
        """Whether it pauses between two pieces, for the sake of whoever waits for the database."""
        return self.apart or self.of_its_own


_registered: dict[str, Chore] = {}


def register_chore(chore: Chore) -> None:
    """Have it done; a second registration of the same name replaces the first."""
    _registered[chore.name] = chore


def registered_chores() -> tuple[Chore, ...]:
    """All of them, in the order of their registration."""
    return tuple(_registered.values())
