"""Which connection settings each agent should have: all that is released, read once for each generation. Changes no agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID, uuid4

from django.db import connection

from agents.selectors import Selector
from connections.models import RELEASE_SUBJECT, ConnectionGeneration, ConnectionSettings, SettingsVersion
from rollouts.audiences import Audience
from rollouts.models import Release

# Any number, as long as nothing else in this database takes advisory locks under it.
_CONNECTIONS_LOCK = 0x0A4D_5043


@dataclass(frozen=True, slots=True)
class SettingsCandidate:
    """One enabled row of settings with its selector and what of it is released, the newest first."""

    settings: ConnectionSettings
    selector: Selector
    releases: Sequence[tuple[Audience, SettingsVersion]]

    def released_to(self, instance_uid: UUID, labels: Mapping[str, str]) -> SettingsVersion | None:
        """The newest release that includes the agent; ``None`` for nothing, or when the selector does not match."""
        if not self.selector.matches(labels):
            return None
        return next((version for audience, version in self.releases if audience.includes(instance_uid, labels)), None)


@dataclass(frozen=True, slots=True)
class ConnectionTargeting:
    """All candidates as of one generation, the strongest first."""

    generation: UUID | None
    candidates: Sequence[SettingsCandidate]

    def wanted_by(self, instance_uid: UUID, labels: Mapping[str, str]) -> SettingsVersion | None:
        """The version of the strongest that matches and is released to the agent."""
        found = (candidate.released_to(instance_uid, labels) for candidate in self.candidates)
        return next((version for version in found if version is not None), None)


NOTHING_RELEASED = ConnectionTargeting(None, ())
"""While nobody has released anything: then no agent has a row."""
_known: ConnectionTargeting | None = None


def hold_connections(*, exclusive: bool) -> None:
    """Keep what is released still until the transaction ends: shared while matching, exclusive while changing it.

    After configurations' targeting and packages, before agents. SQLite has one writer, so there it holds by itself.
    """
    if connection.vendor == "postgresql":
        function = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [_CONNECTIONS_LOCK])


def bump_connections() -> None:
    """Have every process read what is released anew; inside the transaction that changed it."""
    ConnectionGeneration.objects.update_or_create(pk=1, defaults={"token": uuid4()})


def current_connections() -> ConnectionTargeting:
    """What is released, read anew only when it changed: one small query otherwise. Only for who did not change it."""
    global _known  # noqa: PLW0603  a cache of committed rows, replaced whole
    token = ConnectionGeneration.objects.filter(pk=1).values_list("token", flat=True).first()
    if token is None:
        return NOTHING_RELEASED
    known = _known
    if known is None or known.generation != token:
        known = _known = _read(token)
    return known


def fresh_connections() -> ConnectionTargeting:
    """What is released as this transaction sees it, not kept."""
    return _read(None)


def _read(generation: UUID | None) -> ConnectionTargeting:
    releases = list(Release.objects.filter(subject=RELEASE_SUBJECT).live().order_by("subject_id", "-pk"))
    rows = ConnectionSettings.objects.filter(enabled=True).in_bulk([release.subject_id for release in releases])
    versions = SettingsVersion.objects.in_bulk([release.version_id for release in releases])
    candidates = []
    for key, of_settings in groupby(releases, lambda release: release.subject_id):
        row = rows.get(key)
        if row is None:
            continue
        released = [
            (release.parsed_audience(), version)
            for release in of_settings
            if (version := versions.get(release.version_id)) is not None
        ]
        candidates.append(SettingsCandidate(row, row.parsed_selector(), released))
    candidates.sort(key=lambda each: (-each.settings.priority, each.settings.name))
    return ConnectionTargeting(generation, candidates)
