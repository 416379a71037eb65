"""Configurations as something that rollouts roll out: whom a revision concerns, how far it is, and releasing it to more agents.

When to do so is decided by `rollouts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q
from django.urls import reverse

from accounts.models import User
from agents.models import Agent
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
from rollouts.audiences import Audience
from rollouts.gates import Counts
from rollouts.models import Release, Rollout
from rollouts.services.standings import Progress, Standing, counts_among, end_release, members_among, widen_release
from rollouts.subjects import Member

_PROGRESS = {
    AssignmentStatus.PENDING: Progress.WAITING,
    AssignmentStatus.OFFERED: Progress.WAITING,
    AssignmentStatus.APPLYING: Progress.WAITING,
    AssignmentStatus.FAILED: Progress.FAILED,
    AssignmentStatus.INCAPABLE: Progress.INCAPABLE,
}


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
            return iter(())
        # Pins say nothing of fragments.
        elsewhere = Q(pk__in=[]) if revision.configuration.is_fragment else pinned_elsewhere(rollout.name)
        got = Exists(Assignment.objects.filter(runs_revision(revision), agent=OuterRef("pk")))
        concerned = [agents.exclude(elsewhere) for agents in concerned_by(revision)]
        return members_among(
            concerned, _find_standing, at,
            "assignment__status", "assignment__offered_at", "assignment__error_message", has_it=got,
        )  # fmt: skip

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
        unsent = Agent.objects.filter(
            _with_version(rollout, "assignment__"),
            connected=True,
            assignment__status=AssignmentStatus.PENDING.value,
        )
        return counts_among(((_standing(row["status"], offered=not row["never"]), row) for row in rows), unsent, at)

    def release(self, rollout: Rollout, *, to: Audience, by: User | None, at: datetime) -> Release:
        """As `releasing.release`."""
        revision = Revision.objects.select_related("configuration").get(pk=rollout.version_id)
        return release(revision, to=to, by=by, at=at, keep_former=True)

    def widen(self, rollout: Rollout, *, to: Audience, at: datetime) -> None:
        """Only agents that the larger audience adds are matched anew."""
        revision = Revision.objects.select_related("configuration").get(pk=rollout.version_id)
        former = widen_release(rollout, to=to)
        bump_generation()
        retarget(revision, at, to=to, former=former)

    def withdraw(self, rollout: Rollout, *, at: datetime) -> Sequence[UUID]:
        """End the release, match those who have it anew, and go back to the newest revision that is in force."""
        revision = Revision.objects.select_related("configuration").get(pk=rollout.version_id)
        audience = end_release(rollout, at=at)
        bump_generation()
        had = list(Assignment.objects.filter(runs_revision(revision)).values_list("agent_id", flat=True))
        retarget(revision, at, to=audience)
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


def _find_standing(agent: Mapping[str, Any]) -> Standing | None:
    if not agent["has_it"]:
        return None
    offered = agent["assignment__offered_at"] is not None
    return _standing(agent["assignment__status"], offered=offered, error=agent["assignment__error_message"])


def _standing(status: str, *, offered: bool, error: str = "") -> Standing:
    progress = _PROGRESS.get(AssignmentStatus(status), Progress.APPLIED)
    unsent = status == AssignmentStatus.PENDING.value
    return Standing(progress, unsent=unsent, reached=offered or status == AssignmentStatus.APPLIED.value, error=error)
