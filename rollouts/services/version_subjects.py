"""Released versions as something that is rolled out: `rollouts.subjects.Subject` for any kind of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic
from uuid import UUID

from django.db.models import Count, Exists, F, Manager, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse

from accounts.models import User
from agents.models import Agent
from rollouts.audiences import Audience
from rollouts.gates import Counts
from rollouts.models import Release, Rollout
from rollouts.services.releasable import Row, Version
from rollouts.services.standings import Standing, counts_among, end_release, members_among, widen_release
from rollouts.services.version_publishing import Releasing
from rollouts.subjects import Member


def _nobody(agent_ids: Sequence[int]) -> Sequence[UUID]:
    return ()


@dataclass(frozen=True, slots=True)
class VersionSubject(Generic[Row, Version]):
    """What `rollouts` asks of one kind.

    ``holders`` are rows with ``agent``, ``version``, ``status`` and ``error_message``, one for each thing that an agent should
    have; ``from_agent`` names them from the agent's side, ``pending`` is the status of what was not offered yet. ``standing``
    says what status and error mean, ``described`` is what REST says of the thing. ``left_over``: of agents that had a version
    that is withdrawn, those that keep what they run since they had nothing before.
    """

    releasing: Releasing[Row, Version]
    holders: Manager[Any]
    from_agent: str
    pending: str
    standing: Callable[[str, str], Standing]
    described: Callable[[Rollout], Mapping[str, Any]]
    left_over: Callable[[Sequence[int]], Sequence[UUID]] = _nobody

    @property
    def name(self) -> str:
        """Of the kind."""
        return self.releasing.kind.subject

    def hold(self) -> None:
        """As every edit of the kind does."""
        self.releasing.kind.hold(exclusive=True)

    def members(self, rollout: Rollout, at: datetime) -> Iterator[Member]:
        """Those that the selector matches and those that have the thing, with what became of it."""
        row = self.releasing.kind.rows.filter(pk=rollout.subject_id).first()
        if row is None:
            return iter(())
        rows = self.holders.filter(version=rollout.version_id).order_by()
        held = {key: (status, error) for key, status, error in rows.values_list("agent_id", "status", "error_message")}

        def find(agent: Mapping[str, Any]) -> Standing | None:
            found = held.get(agent["pk"])
            return self.standing(*found) if found else None

        return members_among(self.releasing.agents_concerned(row), find, at)

    def counts(self, rollout: Rollout, at: datetime) -> Counts:
        """In one statement, within the index on version and status."""
        rows = (
            self.holders.filter(version=rollout.version_id)
            .order_by()
            .values("status", connected=F("agent__connected"), healthy=F("agent__healthy"))
            .annotate(number=Count("*"))
        )
        unsent = Agent.objects.filter(
            connected=True,
            **{f"{self.from_agent}__version": rollout.version_id, f"{self.from_agent}__status": self.pending},
        )
        return counts_among(((self.standing(row["status"], ""), row) for row in rows), unsent, at)

    def release(self, rollout: Rollout, *, to: Audience, by: User | None, at: datetime) -> Release:
        """As `Releasing.release`."""
        kind = self.releasing.kind
        version = kind.versions.select_related(kind.row_of).get(pk=rollout.version_id)
        return self.releasing.release(version, to=to, by=by, at=at, keep_former=True)

    def widen(self, rollout: Rollout, *, to: Audience, at: datetime) -> None:
        """Only agents that the larger audience adds are matched anew."""
        former = widen_release(rollout, to=to)
        self.releasing.kind.bump()
        self.releasing.reassign(self._row(rollout), at, to=to, former=former)

    def withdraw(self, rollout: Rollout, *, at: datetime) -> Sequence[UUID]:
        """End the release, and match anew who was in its audience."""
        keys = list(self.holders.filter(version=rollout.version_id).values_list("agent_id", flat=True))
        audience = end_release(rollout, at=at)
        self.releasing.kind.bump()
        self.releasing.reassign(self._row(rollout), at, to=audience)
        return self.left_over(keys)

    def discard(self, rollout: Rollout, *, at: datetime) -> None:
        """A version that was not released stays as it is, and can be released later."""

    def versions_of(self, row: Row) -> QuerySet[Any]:
        """All versions, newest first: ``in_force`` for somebody, and ``agent_count``, so many agents should have it."""
        kind = self.releasing.kind
        live = kind.releases(row).live().filter(version_id=OuterRef("pk"))
        held = self.holders.filter(version=OuterRef("pk")).order_by().values("version")
        count = Subquery(held.annotate(number=Count("*")).values("number"))
        versions = kind.versions.filter(**{kind.row_of: row})
        return versions.annotate(in_force=Exists(live), agent_count=Coalesce(count, 0)).order_by("-number")

    def page_of(self, rollout: Rollout) -> str:
        """Of the row."""
        rows = self.releasing.kind.rows
        if not rows.filter(pk=rollout.subject_id).exists():
            return ""
        meta = rows.model._meta
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[rollout.subject_id])

    def _row(self, rollout: Rollout) -> Row:
        return self.releasing.kind.rows.get(pk=rollout.subject_id)
