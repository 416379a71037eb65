"""Connection settings as something that is rolled out: what `rollouts` asks of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F
from django.urls import reverse

from accounts.models import User
from agents.models import Agent
from connections.models import RELEASE_SUBJECT, AgentConnection, ConnectionSettings, SettingsVersion
from connections.services.connection_releases import agents_concerned_by, reassign_connections, release_settings
from connections.services.connection_targeting import bump_connections, hold_connections
from rollouts.audiences import Audience
from rollouts.gates import Counts
from rollouts.models import Release, Rollout
from rollouts.services.standings import Progress, Standing, counts_among, end_release, members_among, widen_release
from rollouts.subjects import Member

Status = AgentConnection.Status
# One that was told and does not say more has got it.
_DONE = (Status.APPLIED, Status.TOLD)


class ConnectionSubject:
    """`rollouts.subjects.Subject` for connection settings."""

    name = RELEASE_SUBJECT

    def hold(self) -> None:
        """As every edit of connection settings does."""
        hold_connections(exclusive=True)

    def members(self, rollout: Rollout, at: datetime) -> Iterator[Member]:
        """Those that the selector matches and those that have the settings, with what became of it."""
        settings = ConnectionSettings.objects.filter(pk=rollout.subject_id).first()
        if settings is None:
            return iter(())
        rows = AgentConnection.objects.filter(version=rollout.version_id).order_by()
        told = {key: (status, error) for key, status, error in rows.values_list("agent_id", "status", "error_message")}

        def find(agent: Mapping[str, Any]) -> Standing | None:
            found = told.get(agent["pk"])
            return _standing(*found) if found else None

        return members_among(agents_concerned_by(settings), find, at)

    def counts(self, rollout: Rollout, at: datetime) -> Counts:
        """In one statement, within the index on version and status."""
        rows = (
            AgentConnection.objects.filter(version=rollout.version_id)
            .order_by()
            .values("status", connected=F("agent__connected"), healthy=F("agent__healthy"))
            .annotate(number=Count("*"))
        )
        unsent = Agent.objects.filter(
            connected=True, connection__version=rollout.version_id, connection__status=Status.PENDING
        )
        return counts_among(((_standing(row["status"]), row) for row in rows), unsent, at)

    def release(self, rollout: Rollout, *, to: Audience, by: User | None, at: datetime) -> Release:
        """As `connection_releases.release_settings`."""
        version = SettingsVersion.objects.select_related("settings").get(pk=rollout.version_id)
        return release_settings(version, to=to, by=by, at=at, keep_former=True)

    def widen(self, rollout: Rollout, *, to: Audience, at: datetime) -> None:
        """Only agents that the larger audience adds are matched anew."""
        former = widen_release(rollout, to=to)
        bump_connections()
        reassign_connections(ConnectionSettings.objects.get(pk=rollout.subject_id), at, to=to, former=former)

    def withdraw(self, rollout: Rollout, *, at: datetime) -> Sequence[UUID]:
        """End the release. Agents that had no settings before keep what they were told: nothing can take that back."""
        settings = ConnectionSettings.objects.get(pk=rollout.subject_id)
        reached = AgentConnection.objects.filter(version=rollout.version_id).values_list("agent_id", flat=True)
        keys = list(reached)
        audience = end_release(rollout, at=at)
        bump_connections()
        reassign_connections(settings, at, to=audience)
        left = AgentConnection.objects.filter(agent_id__in=keys, version=None)
        return list(left.values_list("agent__instance_uid", flat=True))

    def discard(self, rollout: Rollout, *, at: datetime) -> None:
        """A version that was not released stays as it is, and can be released later."""

    def page_of(self, rollout: Rollout) -> str:
        """Of the settings."""
        if not ConnectionSettings.objects.filter(pk=rollout.subject_id).exists():
            return ""
        return reverse("admin:connections_connectionsettings_change", args=[rollout.subject_id])

    def described(self, rollout: Rollout) -> Mapping[str, Any]:
        """``{"connection_settings", "version"}``."""
        return {"connection_settings": rollout.name, "version": str(rollout.version_number)}


def _standing(status: str, error: str = "") -> Standing:
    progress = {Status.INCAPABLE: Progress.INCAPABLE, Status.FAILED: Progress.FAILED}.get(Status(status))
    if progress is None:
        progress = Progress.APPLIED if status in _DONE else Progress.WAITING
    unsent = status == Status.PENDING
    return Standing(progress, unsent=unsent, reached=not unsent, error=error)
