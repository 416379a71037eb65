"""What people do with connection settings: make, change, delete. What concerns agents is matched anew at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings as site
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts import services as accounts
from accounts.models import User
from connections.content import MOST_CHARACTERS, OPAMP, Content, read_content, warnings_of
from connections.destinations import origin_of
from connections.errors import InvalidSettings, NoMove, NoSuchVersion, SettingsChanged, SettingsInUse
from connections.hidden_values import content_shown, with_kept
from connections.members import digests_of
from connections.models import RELEASE_SUBJECT, AgentConnection, ConnectionSettings, SettingsVersion
from connections.services.connection_releases import CONNECTION_RELEASES, publish_settings
from connections.services.connection_targeting import bump_connections, hold_connections
from connections.services.stored_contents import content_of, encrypted_content
from foundation.messages import Message
from rollouts.models import Release, Rollout
from rollouts.services.row_edits import RowEdit, next_version, row_errors
from rollouts.services.version_publishing import BY_DEFAULT, VersionPlan
from variables.encryption import Unreadable
from variables.services.known_values import bump_values

MOST_SETTINGS = 200
MOST_VERSIONS = 1_000
# What can be changed of one; ``name`` is fixed.
FIELDS = ("description", "selector", "match_all", "priority", "enabled", "rollout_policy")
_ID = re.compile("[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Saved:
    """What an edit left: the row, its newest version, the rollout where it goes in stages, and what to look at once more."""

    settings: ConnectionSettings
    version: SettingsVersion
    rollout: Rollout | None = None
    warnings: list[Message] = field(default_factory=list)


def settings_called(key: str, among: QuerySet[ConnectionSettings]) -> ConnectionSettings:
    """Those of the name ``key``, else those with that id. Raises `ConnectionSettings.DoesNotExist`.

    New names are none that could be an id (`create_settings`); those that are older still count as names.
    """
    try:
        return among.get(name=key)
    except ConnectionSettings.DoesNotExist:
        if not _ID.fullmatch(key):
            raise
    return among.get(pk=int(key))


@transaction.atomic
def create_settings(
    values: Mapping[str, Any], *, by: User | None, at: datetime, note: str = "", plan: VersionPlan = BY_DEFAULT
) -> Saved:
    """Make settings with their first version, and release it as planned. Raises `InvalidSettings`."""
    fields = {name: value for name, value in values.items() if name != "content"}
    row = ConnectionSettings(created_at=at, updated_at=at, **fields)
    content = judged_settings(row, values.get("content", {}), None)
    hold_connections(exclusive=True)
    if row.name.isdecimal():
        said = Message("connection-settings-number", "A name has a letter too: a number alone is an id.")
        raise InvalidSettings({"name": [said]})
    if ConnectionSettings.objects.count() >= MOST_SETTINGS:
        said = Message(
            "too-many-connection-settings", "There are {most} connection settings at most.", most=MOST_SETTINGS
        )
        raise InvalidSettings({"name": [said]})
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        taken = Message("connection-settings-exist", "There are settings {name} already.", name=repr(row.name))
        raise InvalidSettings({"name": [taken]}) from error
    accounts.record(by=by, verb="connection_settings.create", target=row, name=row.name)
    version = _add_version(row, content, note=note, by=by, at=at)
    return Saved(row, version, publish_settings(version, by=by, at=at, plan=plan), warnings_of(content, at))


@transaction.atomic
def update_settings(
    key: int,
    values: Mapping[str, Any],
    *,
    by: User | None,
    at: datetime,
    editions: Collection[int] | None = None,
    note: str = "",
    plan: VersionPlan = BY_DEFAULT,
) -> Saved:
    """Change columns and content; another content is a version of its own, released as planned.

    ``editions``: one of them must be the present. Raises `ConnectionSettings.DoesNotExist`, `InvalidSettings`,
    `SettingsChanged`, `rollouts.errors.RolloutRunning`.
    """
    hold_connections(exclusive=True)
    row = ConnectionSettings.objects.select_for_update().get(pk=key)
    if editions is not None and row.edition not in editions:
        raise SettingsChanged(
            Message("connection-settings-changed", "Somebody else has changed the settings: look at them again.")
        )
    newest = newest_version(row)
    edit = RowEdit(row, {name: values[name] for name in FIELDS if name in values})
    content = judged_settings(row, values.get("content"), newest)
    digests = digests_of(content, key=site.SECRET_KEY)
    another = "content" in values and (digests != newest.digests or content_shown(content) != newest.shown)
    if edit.changed or another:
        edit.save(CONNECTION_RELEASES, "connection_settings.update", by=by, at=at)
    if not another:
        return Saved(row, newest, None, warnings_of(content, at))
    version = _add_version(row, content, note=note, by=by, at=at)
    return Saved(row, version, publish_settings(version, by=by, at=at, plan=plan), warnings_of(content, at))


@transaction.atomic
def delete_settings(row: ConnectionSettings, *, by: User | None, at: datetime) -> None:
    """Delete them with their versions. Raises `SettingsInUse` while agents should have them or they are rolled out."""
    hold_connections(exclusive=True)
    row = ConnectionSettings.objects.select_for_update().get(pk=row.pk)
    agents = AgentConnection.objects.filter(version__settings=row).count()
    if agents or Rollout.objects.active().of(RELEASE_SUBJECT, row.pk).exists():
        raise SettingsInUse(
            Message(
                "connection-settings-in-use",
                "{count} agents should have the settings {name}, or they are being rolled out: disable them first.",
                count=agents,
                name=row.name,
            )
        )
    Release.objects.of(RELEASE_SUBJECT, row.pk).end(at)
    accounts.record(by=by, verb="connection_settings.delete", target=row, name=row.name)
    row.delete()
    bump_connections()
    bump_values()


@transaction.atomic
def move_agents(
    key: int,
    opamp: Any,
    *,
    by: User | None,
    at: datetime,
    editions: Collection[int] | None = None,
    note: str = "",
    plan: VersionPlan = BY_DEFAULT,
) -> Saved:
    """Lead the agents of these settings to another endpoint, or to the same with other credentials; all else stays.

    What lets them in now works until they come by what they are told (S-82). Raises `NoMove`, and as `update_settings`.
    """
    hold_connections(exclusive=True)
    row = ConnectionSettings.objects.select_for_update().get(pk=key)
    newest = newest_version(row)
    content = {**readable_content(newest), OPAMP: opamp}
    saved = update_settings(key, {"content": content}, by=by, at=at, editions=editions, note=note, plan=plan)
    if saved.version.pk == newest.pk:
        raise NoMove(Message("moved-already", "The agents are led there already; nothing was changed."))
    data = {"version": saved.version.number, "to": saved.version.origin}
    accounts.record(by=by, verb="connection_settings.move", target=row, name=row.name, data=data)
    return saved


def newest_version(row: ConnectionSettings) -> SettingsVersion:
    """Released or not; there is one at least."""
    return SettingsVersion.objects.filter(settings=row).order_by("-number")[0]


def version_numbered(row: ConnectionSettings, number: int) -> SettingsVersion:
    """Raises `NoSuchVersion`."""
    version = SettingsVersion.objects.filter(settings=row, number=min(number, 2**31 - 1)).first()
    if version is None:
        raise NoSuchVersion(Message("no-such-connection-version", "There is no version {number}.", number=number))
    return version


def readable_content(version: SettingsVersion) -> Content:
    """The content of a version that is to be built upon. Raises `InvalidSettings` where no key reads it."""
    try:
        return content_of(version)
    except Unreadable as error:
        said = Message("content-unreadable", "No key reads what is stored: write all of it anew.")
        raise InvalidSettings({"content": [said]}) from error


def judged_content(given: Any, newest: SettingsVersion | None) -> Content:
    """What would be stored, with kept secrets. Raises `InvalidSettings`."""
    if len(str(given)) > MOST_CHARACTERS:
        said = Message("content-too-long", "At most {most} characters in all.", most=MOST_CHARACTERS)
        raise InvalidSettings({"content": [said]})
    former: Content = {}
    if newest is not None:
        try:
            former = content_of(newest)
        except Unreadable:
            former = {}
    whole, kept_errors = with_kept(given, former)
    content, errors = read_content(whole, default_heartbeat=site.OPAMP_HEARTBEAT_SECONDS)
    if kept_errors or errors:
        raise InvalidSettings({**errors, **kept_errors})
    return content


def judged_settings(row: ConnectionSettings, given: Any, newest: SettingsVersion | None) -> Content:
    """The content to store, the present one where none is given; all that is wrong with row and content is said at once."""
    errors = row_errors(row)
    content: Content = {}
    try:
        content = readable_content(newest) if given is None and newest is not None else judged_content(given, newest)
    except InvalidSettings as error:
        if given is not None:
            errors |= error.errors
    if errors:
        raise InvalidSettings(errors)
    return content


def _add_version(
    row: ConnectionSettings, content: Content, *, note: str, by: User | None, at: datetime
) -> SettingsVersion:
    if row.versions.count() >= MOST_VERSIONS:
        said = Message("too-many-connection-versions", "At most {most} versions.", most=MOST_VERSIONS)
        raise InvalidSettings({"content": [said]})
    version = SettingsVersion.objects.create(
        settings=row,
        encrypted=encrypted_content(content),
        shown=content_shown(content),
        digests=digests_of(content, key=site.SECRET_KEY),
        origin=origin_of(content.get(OPAMP, {}).get("endpoint", "")),
        **next_version(row, by=by, at=at, note=note),
    )
    data = {"version": version.number, "members": sorted(version.digests), "note": note}
    accounts.record(by=by, verb="connection_settings.add_version", target=row, name=row.name, data=data)
    bump_values()
    return version
