"""How agents come in: the interface, and the registry that apps fill in ``AppConfig.ready``.

A way in judges a text that a request shows where the secret stands, and once the message is read, in the batch's transaction,
whether its agent may come by it (S-115, S-117). The transport and `recording` go through the registry, in the order of
registration, and know no way by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from django.conf import settings

from agents.credentials import Denial, EnrolmentPass, Pass, read_credential
from agents.models import Agent
from agents.services.arrivals import Arrival
from agents.services.batch import Batch, ReportingAgent


@dataclass(frozen=True, slots=True)
class Admitted:
    """The request may come in. ``credential`` goes with all that is said through it, ``None`` for the shared secret."""

    credential: Pass | None = None


@dataclass(frozen=True, slots=True)
class LookUp:
    """Only rows know; ``run`` asks them, in a database thread. Raises `DatabaseError`."""

    run: Callable[[], Admitted | Denial]


Judgement: TypeAlias = "Admitted | Denial | LookUp"


class Caller(NamedTuple):
    """Who reports, and the row of its agent, which is locked; ``None`` for a new one."""

    arrival: Arrival
    row: Agent | None


class Enrolling:
    """What a way in found about the callers of one batch: whom it denies, and what it does for those who were let in."""

    denials: Mapping[UUID, Denial] = {}

    def note_admitted(self, entries: Sequence[ReportingAgent]) -> None:
        """Called with all of the batch that nothing speaks against, before their reports are merged."""


class WayIn(ABC):
    """One way in."""

    @abstractmethod
    def judge(self, text: str) -> Judgement | None:
        """What is to be said of ``text``, which may be anything; ``None`` when it is nothing of this way. On the event loop."""

    def enrol(self, batch: Batch[Any], callers: Sequence[Caller]) -> Enrolling | None:
        """Judge who comes with an `EnrolmentPass`, of whom there is one at least; agents' rows are locked.

        ``None``: tokens are not this way's business.
        """
        return None

    def withdrawn(self, token_ids: Collection[int], at: datetime) -> Mapping[int, Denial]:
        """Those of these enrolment tokens by which nobody may speak any more."""
        return {}


class OwnCredential(WayIn):
    """Each agent's own credential (S-115)."""

    def judge(self, text: str) -> Judgement | None:
        """Whether it is a true one; whether it is in force, its agent's row says."""
        credential = read_credential(text, key=settings.SECRET_KEY)
        return None if credential is None else Admitted(credential)


_ways: list[WayIn] = []


def register_way_in(way: WayIn) -> None:
    """Have requests admitted by ``way`` too; a second one of its class replaces the first."""
    _ways[:] = [known for known in _ways if type(known) is not type(way)]
    _ways.append(way)


def judge_texts(texts: Iterable[str]) -> Judgement | None:
    """What the ways say of all that a request shows: one that admits it wins, then one that must look, then a denial."""
    found = [judgement for text in texts if text for way in _ways if (judgement := way.judge(text)) is not None]
    return min(found, key=_rank, default=None)


def enrol(batch: Batch[Any], callers: Sequence[Caller]) -> Enrolling:
    """What the ways find about the callers of a batch; for all who show no enrolment token that is nothing."""
    if any(caller.arrival.enrolment is not None for caller in callers):
        for way in _ways:
            if (found := way.enrol(batch, callers)) is not None:
                return found
    return Enrolling()


def withdrawn(token_ids: Collection[int], at: datetime) -> Mapping[int, Denial]:
    """Those of these enrolment tokens by which nobody may speak any more, and why."""
    found: dict[int, Denial] = {}
    for way in _ways if token_ids else ():
        found |= way.withdrawn(token_ids, at)
    return found


def token_of(credential: Pass | None) -> int:
    """The key of the enrolment token among what let somebody in; 0 for anything else."""
    return credential.token_id if isinstance(credential, EnrolmentPass) else 0


def _rank(judgement: Judgement) -> int:
    return 0 if isinstance(judgement, Admitted) else 1 if isinstance(judgement, LookUp) else 2
