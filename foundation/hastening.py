"""Chores that something has just happened for, or that know when there is something to do: they are done then rather than at
their time (`foundation.chores`).

It must not know what any chore does. The leading process does it; one that does not lead tells the others. A word that is lost
costs nothing but the wait: the chore comes at its time.
"""

from __future__ import annotations

from foundation import wakeups

_hastened: dict[str, float] = {}
_wanted_in: dict[str, float] = {}


def let_hasten(name: str, *, soonest: float) -> None:
    """Have `hasten` mean something for the chore ``name``: it begins ``soonest`` seconds after it ended, not before."""
    _hastened[name] = soonest


def hastened_chores() -> dict[str, float]:
    """Those that can be hastened, with the seconds that they rest."""
    return dict(_hastened)


def hasten(name: str) -> None:
    """Have it done soon; for whoever is called after a commit. Cheap, from any thread, never raises.

    However often it is said, the chore is done once for all that was said before it began.
    """
    if name in _hastened:
        wakeups.tell_wanted_chore(name)


def want_again_in(name: str, seconds: float) -> None:
    """Said by the chore itself while it runs: there is something to do in ``seconds``, maybe before its time.

    It is done then, but not before it has rested. Counts for this process and once.
    """
    if name in _hastened:
        _wanted_in[name] = seconds


def taken_wish(name: str) -> float | None:
    """In how many seconds the chore that has just run wants to run again, if it said so; it is forgotten with that."""
    return _wanted_in.pop(name, None)
