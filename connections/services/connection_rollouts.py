"""Connection settings as something that is rolled out: what `rollouts` asks of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F
from django.urls import reverse

from accounts.models import User
from agents.models import Agent, Approval
from connections.models import RELEASE_SUBJECT, AgentConnection, ConnectionSettings, SettingsVersion
from connections.services.connection_releases import agents_concerned_by, reassign_connections, release_settings
from connections.services.connection_targeting import bump_connections, hold_connections
from rollouts.audiences import Audience, stored
from rollouts.gates import Counts
from rollouts.models import Release, Rollout
from rollouts.services.freezing import current_freezes, held_among
from rollouts.subjects import Member, MemberState, counts_of

Status = AgentConnection.Status
_CHUNK = 2_000


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
            return
        rows = AgentConnection.objects.filter(version__settings=settings).order_by()
        told = {row["agent_id"]: row for row in rows.values("agent_id", "version_id", "status", "error_message")}
        freezes = current_freezes()
        columns = ("pk", "instance_uid", "labels", "name", "hostname", "connected", "healthy", "approval")
        seen: set[int] = set()
        for agents in agents_concerned_by(settings):
            for row in agents.values(*columns).iterator(chunk_size=_CHUNK):
                if row["pk"] in seen:
                    continue
                seen.add(row["pk"])
                state, error = MemberState.TO_COME, ""
                found = told.get(row["pk"])
                if found is not None and found["version_id"] == rollout.version_id:
                    state = state_of(found["status"], connected=row["connected"], healthy=row["healthy"])
                    error = found["error_message"] if state is MemberState.FAILED else ""
                    if state is MemberState.WAITING and found["status"] == Status.PENDING:
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
                    error=error,
                )

    def counts(self, rollout: Rollout, at: datetime) -> Counts:
        """In one statement, within the index on version and status."""
        rows = (
            AgentConnection.objects.filter(version=rollout.version_id)
            .order_by()
            .values("status", connected=F("agent__connected"), healthy=F("agent__healthy"))
            .annotate(number=Count("*"))
        )
        found = Counter[MemberState | None]()
        for row in rows:
            found[state_of(row["status"], connected=row["connected"], healthy=row["healthy"])] += row["number"]
        held = self._held(rollout, at) if found[MemberState.WAITING] else 0
        return counts_of(found, held=held)

    def _held(self, rollout: Rollout, at: datetime) -> int:
        waiting = Agent.objects.filter(
            connected=True, connection__version=rollout.version_id, connection__status=Status.PENDING
        )
        return held_among(waiting, at)

    def release(self, rollout: Rollout, *, to: Audience, by: User | None, at: datetime) -> Release:
        """As `connection_releases.release_settings`."""
        version = SettingsVersion.objects.select_related("settings").get(pk=rollout.version_id)
        return release_settings(version, to=to, by=by, at=at, keep_former=True)

    def widen(self, rollout: Rollout, *, to: Audience, at: datetime) -> None:
        """Only agents that the larger audience adds are matched anew."""
        released = rollout.release
        assert released is not None  # noqa: S101  asked of a live one
        former = released.parsed_audience()
        released.audience = stored(to)
        released.save(update_fields=["audience"])
        bump_connections()
        reassign_connections(ConnectionSettings.objects.get(pk=rollout.subject_id), at, to=to, former=former)

    def withdraw(self, rollout: Rollout, *, at: datetime) -> Sequence[UUID]:
        """End the release. Agents that had no settings before keep what they were told: nothing can take that back."""
        released = rollout.release
        assert released is not None  # noqa: S101  asked of a live one
        settings = ConnectionSettings.objects.get(pk=rollout.subject_id)
        reached = AgentConnection.objects.filter(version=rollout.version_id).values_list("agent_id", flat=True)
        keys = list(reached)
        Release.objects.filter(pk=released.pk).end(at)
        bump_connections()
        reassign_connections(settings, at, to=released.parsed_audience())
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


def state_of(status: str, *, connected: bool, healthy: bool | None) -> MemberState:
    """How an agent stands to the version that it should have. One that was told and does not say more has got it."""
    if status == Status.INCAPABLE:
        return MemberState.INCAPABLE
    if status == Status.FAILED:
        return MemberState.FAILED
    if not connected:
        return MemberState.OFFLINE if status == Status.PENDING else MemberState.LOST
    if status not in (Status.APPLIED, Status.TOLD):
        return MemberState.WAITING
    return MemberState.UNHEALTHY if healthy is False else MemberState.APPLIED
