"""Configurations as something that rollouts roll out: whom a revision concerns, how far it is, and releasing it to more agents.

When to do so is decided by `rollouts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q
from django.urls import reverse

from accounts.models import User
from agents.models import Agent, Approval
from configurations.models import (
    RELEASE_SUBJECT,
    Assignment,
    Configuration,
    Revision,
    pinned_elsewhere,
    runs_revision,
)
from configurations.outcome import AssignmentStatus
from configurations.services.releasing import TARGETING_COLUMNS, concerned_by, release, retarget
from configurations.services.targeting import bump_generation, hold_targeting
from rollouts.audiences import Audience, stored
from rollouts.gates import Counts
from rollouts.models import Release, Rollout
from rollouts.services.freezing import current_freezes, held_among
from rollouts.subjects import Member, MemberState, counts_of

_WAITING = {AssignmentStatus.PENDING.value, AssignmentStatus.OFFERED.value, AssignmentStatus.APPLYING.value}
_CHUNK = 2_000


class ConfigurationSubject:
    """`rollouts.subjects.Subject` for configurations; a version is a revision."""

    name = RELEASE_SUBJECT

    def hold(self) -> None:
        """Targeting, as every edit holds it."""
        hold_targeting(exclusive=True)

    def members(self, rollout: Rollout, at: datetime) -> Iterator[Member]:
        """Those that its selector matches and those that run the configuration now, with what became of them."""
        revision = Revision.objects.select_related("configuration").filter(pk=rollout.version_id).first()
        if revision is None:
            return
        # Pins say nothing of fragments.
        elsewhere = Q(pk__in=[]) if revision.configuration.is_fragment else pinned_elsewhere(rollout.name)
        got = runs_revision(revision)
        columns = ("pk", "instance_uid", "labels", "name", "hostname", "connected", "healthy", "approval")
        assigned = (
            "assignment__status",
            "assignment__offered_at",
            "assignment__error_message",
        )
        seen: set[int] = set()
        rows = (
            row
            for agents in concerned_by(revision)
            for row in agents.exclude(elsewhere)
            .values(*columns, *assigned, has_it=Exists(Assignment.objects.filter(got, agent=OuterRef("pk"))))
            .iterator(chunk_size=_CHUNK)
        )
        freezes = current_freezes()
        for row in rows:
            if row["pk"] in seen:
                continue
            seen.add(row["pk"])
            state: MemberState | None = MemberState.TO_COME
            if row["has_it"]:
                state = _state(
                    row["assignment__status"], connected=row["connected"], healthy=row["healthy"],
                    offered=row["assignment__offered_at"] is not None,
                )  # fmt: skip
            if state is MemberState.WAITING and row["assignment__status"] == AssignmentStatus.PENDING.value:
                agent = Agent(pk=row["pk"], instance_uid=row["instance_uid"], labels=row["labels"])
                held = row["approval"] != Approval.APPROVED or freezes.holding(agent, at) is not None
                state = MemberState.HELD if held else state
            yield Member(
                agent_id=row["pk"],
                instance_uid=row["instance_uid"],
                labels=row["labels"],
                name=row["name"],
                hostname=row["hostname"],
                connected=row["connected"],
                state=state,
                error=row["assignment__error_message"] if state is MemberState.FAILED else "",
            )

    def counts(self, rollout: Rollout, at: datetime) -> Counts:
        """In one statement, of a whole within the index on configuration and status."""
        rows = (
            Assignment.objects.filter(_with_version(rollout))
            .order_by()
            .values(
                "status",
                connected=F("agent__connected"),
                healthy=F("agent__healthy"),
                never=Q(offered_at=None),
            )
            .annotate(number=Count("*"))
        )
        found = Counter[MemberState | None]()
        for row in rows:
            state = _state(
                row["status"], connected=row["connected"], healthy=row["healthy"], offered=not row["never"],
            )  # fmt: skip
            found[state] += row["number"]
        held = self._held(rollout, at) if found[MemberState.WAITING] else 0
        return counts_of(found, held=held)

    def _held(self, rollout: Rollout, at: datetime) -> int:
        waiting = Agent.objects.filter(
            _with_version(rollout, "assignment__"),
            connected=True,
            assignment__status=AssignmentStatus.PENDING.value,
        )
        return held_among(waiting, at)

    def release(self, rollout: Rollout, *, to: Audience, by: User | None, at: datetime) -> Release:
        """As `releasing.release`."""
        revision = Revision.objects.select_related("configuration").get(pk=rollout.version_id)
        return release(revision, to=to, by=by, at=at, keep_former=True)

    def widen(self, rollout: Rollout, *, to: Audience, at: datetime) -> None:
        """Only agents that the larger audience adds are matched anew."""
        released = rollout.release
        assert released is not None  # noqa: S101  asked of a live one
        revision = Revision.objects.select_related("configuration").get(pk=rollout.version_id)
        former = released.parsed_audience()
        released.audience = stored(to)
        released.save(update_fields=["audience"])
        bump_generation()
        retarget(revision, at, to=to, former=former)

    def withdraw(self, rollout: Rollout, *, at: datetime) -> Sequence[UUID]:
        """End the release, match those who have it anew, and go back to the newest revision that is in force."""
        revision = Revision.objects.select_related("configuration").get(pk=rollout.version_id)
        released = rollout.release
        assert released is not None  # noqa: S101  asked of a live one
        Release.objects.filter(pk=released.pk).end(at)
        bump_generation()
        had = list(Assignment.objects.filter(runs_revision(revision)).values_list("agent_id", flat=True))
        retarget(revision, at, to=released.parsed_audience())
        self.discard(rollout, at=at)
        left = Agent.objects.filter(pk__in=had, configuration_hash="").order_by("pk")
        return list(left.values_list("instance_uid", flat=True))

    def discard(self, rollout: Rollout, *, at: datetime) -> None:
        """Make the newest revision in force the present one again; a configuration that has none keeps its first."""
        configuration = Configuration.objects.select_for_update(of=("self",)).get(pk=rollout.subject_id)
        newest = Revision.objects.released().filter(configuration=configuration).first()
        if newest is None or configuration.current_id == newest.pk:
            return
        for name in TARGETING_COLUMNS:
            setattr(configuration, name, getattr(newest, name))
        configuration.current = newest
        configuration.edition += 1
        configuration.updated_at = at
        configuration.save()

    def page_of(self, rollout: Rollout) -> str:
        """Of the configuration."""
        if not Configuration.objects.filter(pk=rollout.subject_id).exists():
            return ""
        return reverse("admin:configurations_configuration_change", args=[rollout.subject_id])

    def described(self, rollout: Rollout) -> Mapping[str, Any]:
        """``{"configuration", "revision"}``."""
        return {"configuration": rollout.name, "revision": rollout.version_number}


def _with_version(rollout: Rollout, prefix: str = "") -> Q:
    """The assignments to what is rolled out, or with ``prefix`` the rows that lead to them."""
    revision = Revision.objects.defer("files").select_related("configuration").filter(pk=rollout.version_id).first()
    return Q(pk__in=[]) if revision is None else runs_revision(revision, prefix)


def _state(status: str, *, connected: bool, healthy: bool | None, offered: bool) -> MemberState:
    """How an agent stands to the revision that it should run."""
    if status == AssignmentStatus.INCAPABLE.value:
        return MemberState.INCAPABLE
    if status == AssignmentStatus.FAILED.value:
        return MemberState.FAILED
    if not connected:
        return MemberState.LOST if offered or status == AssignmentStatus.APPLIED.value else MemberState.OFFLINE
    if status in _WAITING:
        return MemberState.WAITING
    return MemberState.UNHEALTHY if healthy is False else MemberState.APPLIED
