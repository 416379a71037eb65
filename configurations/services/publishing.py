"""Edits of configurations: create, update, roll back, delete. Each makes a revision, re-matches exactly the agents
concerned, is audited, and rings their processes after commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Q

from accounts import services as accounts
from accounts.models import User
from accounts.sentence import Sentence
from agents import doorbell
from agents.label_conditions import selector_condition
from agents.models import Agent
from agents.reports import AgentCapabilities
from agents.shown import value_shown
from configurations.checks import Finding
from configurations.models import Assignment, Configuration, Revision, files_from_json, files_to_json
from configurations.outcome import AssignmentStatus
from configurations.remote_config import RemoteConfig
from configurations.services.drafts import Draft, InvalidConfiguration, checked, draft_of
from configurations.services.targeting import (
    bump_generation,
    fresh_targeting,
    hold_targeting,
    lock_agents_of,
    rematch,
)

# Names that would stand in the place of something else in URLs.
RESERVED_NAMES = frozenset({"preview"})


class NameTaken(InvalidConfiguration):
    """Another configuration has this name."""


class StaleRevision(ValueError):
    """The edit is based on an older revision than the present one; nothing was saved."""

    def __init__(self, *, expected: int, current: int) -> None:
        super().__init__(
            Sentence(
                "This edit is based on revision {expected}, but revision {current} is the present one: "
                "look at what changed, then edit again.",
                expected=expected,
                current=current,
            )
        )
        self.expected, self.current = expected, current


class UnknownRevision(LookupError):
    """The configuration has no revision of that number."""


def changes_nothing(configuration: Configuration, draft: Draft) -> bool:
    """Whether publishing ``draft`` would make no revision. Raises `InvalidConfiguration`."""
    columns, config, _findings = checked(draft)
    return not _changed_columns(configuration, columns) and _has_files(configuration, config)


def _changed_columns(configuration: Configuration, columns: Mapping[str, Any]) -> list[str]:
    return [key for key, value in columns.items() if getattr(configuration, key) != value]


def _has_files(configuration: Configuration, config: RemoteConfig) -> bool:
    return configuration.current is not None and configuration.current.hash == config.config_hash().hex()


@transaction.atomic
def create_configuration(
    name: str, draft: Draft, *, by: User | None, at: datetime, note: str = ""
) -> tuple[Configuration, list[Finding]]:
    """Make a configuration with revision 1 and assign it to the agents it matches.

    Returns it with the findings that do not block. Raises `InvalidConfiguration`, `NameTaken`.
    """
    if name in RESERVED_NAMES:
        taken = Sentence("The name {name} is taken by a URL of the API; choose another one.", name=repr(name))
        raise InvalidConfiguration({"name": [taken]})
    columns, config, findings = checked(draft)
    configuration = Configuration(name=name, created_at=at, updated_at=at, **columns)
    try:
        configuration.clean_fields(exclude=["current"])
    except ValidationError as error:
        raise InvalidConfiguration({key: list(texts) for key, texts in error.message_dict.items()}) from error
    hold_targeting(exclusive=True)
    try:
        with transaction.atomic():
            configuration.save(force_insert=True)
    except IntegrityError as error:
        taken = Sentence("There is a configuration named {name} already.", name=repr(name))
        raise NameTaken({"name": [taken]}) from error
    revision = _add_revision(configuration, config, by=by, at=at, note=note)
    _retarget(configuration, at)
    accounts.record(
        by=by, verb="configuration.create", target=configuration, name=name, data={"revision": revision.number}
    )
    return configuration, findings


@transaction.atomic
def update_configuration(
    name: str,
    draft: Draft,
    *,
    by: User | None,
    at: datetime,
    expected_revision: int | None = None,
    note: str = "",
) -> tuple[Configuration, list[Finding]]:
    """Make ``draft`` the new state, as a new revision; an edit that changes nothing makes none.

    Raises `Configuration.DoesNotExist`, `InvalidConfiguration`, and `StaleRevision` when ``expected_revision`` is given
    and is not the present one.
    """
    columns, config, findings = checked(draft)
    hold_targeting(exclusive=True)
    configuration = _locked(name, expected_revision)
    changed = _changed_columns(configuration, columns)
    same_files = _has_files(configuration, config)
    if not changed and same_files:
        return configuration, findings
    before = {key: getattr(configuration, key) for key in changed}
    for key in changed:
        setattr(configuration, key, columns[key])
    configuration.updated_at = at
    configuration.save(update_fields=[*changed, "updated_at"])
    revision = _add_revision(configuration, config, by=by, at=at, note=note)
    if {"selector", "match_all", "priority", "enabled"} & set(changed):
        _retarget(configuration, at)
    else:
        _renew(configuration, revision, at)
    accounts.record(
        by=by,
        verb="configuration.update",
        target=configuration,
        name=name,
        data={
            "revision": revision.number,
            "files_changed": not same_files,
            "changed": {key: value_shown([before[key], columns[key]]) for key in changed},
        },
    )
    return configuration, findings


def roll_back(
    name: str,
    number: int,
    *,
    by: User | None,
    at: datetime,
    expected_revision: int | None = None,
    note: str = "",
) -> tuple[Configuration, list[Finding]]:
    """Make the files and the targeting of revision ``number`` the newest revision; nothing is rewritten.

    ``enabled`` stays as it is. Raises `Configuration.DoesNotExist`, `UnknownRevision`, `StaleRevision`.
    """
    configuration = Configuration.objects.get(name=name)
    revision = Revision.objects.filter(configuration=configuration, number=number).first()
    if revision is None:
        raise UnknownRevision(f"{name} has no revision {number}.")
    present = draft_of(configuration)
    files = files_from_json(revision.files)
    main = files.get(configuration.config_key)
    draft = replace(
        present,
        priority=revision.priority,
        selector=revision.selector,
        match_all=revision.match_all,
        content_type=main.content_type if main else present.content_type,
        files=files,
        # Texts of an older revision are true ones, whatever they say.
        present=None,
    )
    return update_configuration(
        name,
        draft,
        by=by,
        at=at,
        expected_revision=expected_revision,
        note=note or f"Roll back to revision {number}",
    )


@transaction.atomic
def delete_configuration(name: str, *, by: User | None, at: datetime, expected_revision: int | None = None) -> int:
    """Delete a configuration with its revisions; returns how many agents that concerned.

    They get what matches them next, or keep what they run and show "unassigned".
    Raises `Configuration.DoesNotExist`, `StaleRevision`.
    """
    hold_targeting(exclusive=True)
    configuration = _locked(name, expected_revision)
    concerned = lock_agents_of(configuration)
    accounts.record(
        by=by, verb="configuration.delete", target=configuration, name=name, data={"agents": len(concerned)}
    )
    Configuration.objects.filter(pk=configuration.pk).update(current=None)
    configuration.delete()
    bump_generation()
    # The deletion set the assignments' references to NULL; re-matching then sees by the name that they moved.
    doorbell.ring(rematch(concerned, fresh_targeting(), at))
    return len(concerned)


def _locked(name: str, expected_revision: int | None) -> Configuration:
    configuration = Configuration.objects.select_for_update(of=("self",)).get(name=name)
    current = configuration.current.number if configuration.current else 0
    if expected_revision is not None and expected_revision != current:
        raise StaleRevision(expected=expected_revision, current=current)
    return configuration


def _add_revision(
    configuration: Configuration, config: RemoteConfig, *, by: User | None, at: datetime, note: str
) -> Revision:
    """Number and store the next revision; the unique constraint holds even where row locks do not exist."""
    former = configuration.current.number if configuration.current else 0
    revision = Revision.objects.create(
        configuration=configuration,
        number=former + 1,
        files=files_to_json(config.files),
        hash=config.config_hash().hex(),
        selector=configuration.selector,
        match_all=configuration.match_all,
        priority=configuration.priority,
        enabled=configuration.enabled,
        author=by,
        author_name=by.get_username() if by else "system",
        note=note[:500],
        created_at=at,
    )
    configuration.current = revision
    configuration.save(update_fields=["current"])
    bump_generation()
    return revision


def _retarget(configuration: Configuration, at: datetime) -> None:
    """Re-match the agents that run it and those it may win now: nobody else can be concerned."""
    concerned = set(Assignment.objects.filter(configuration=configuration).values_list("agent_id", flat=True))
    if configuration.enabled:
        matching = selector_condition(configuration.parsed_selector())
        concerned |= set(Agent.objects.filter(matching).order_by().values_list("pk", flat=True))
    doorbell.ring(rematch(concerned, fresh_targeting(), at))


def _renew(configuration: Configuration, revision: Revision, at: datetime) -> None:
    """New files for the agents that run this configuration already: set statements, whatever the size of the fleet.

    Those for whom the general rule says something else than "pending" (they report this hash already, or cannot be
    configured) are placed one by one.
    """
    everybody = lock_agents_of(configuration)
    assigned = Agent.objects.filter(assignment__configuration=configuration)
    special = Q(remote_config_hash=revision.hash) | Q(configuration_hash=revision.hash)
    capable = list(
        assigned.exclude(special)
        .annotate(accepts=_bit(AgentCapabilities.ACCEPTS_REMOTE_CONFIG))
        .filter(accepts=int(AgentCapabilities.ACCEPTS_REMOTE_CONFIG))
        .order_by()
        .values_list("pk", "instance_uid")
    )
    keys = [key for key, _uid in capable]
    for start in range(0, len(keys), 5_000):
        part = keys[start : start + 5_000]
        Assignment.objects.filter(agent_id__in=part).update(
            revision=revision,
            assigned_at=at,
            status=AssignmentStatus.PENDING,
            status_at=at,
            error_message="",
            offer_count=0,
            retry_requested=False,
        )
        Agent.objects.filter(pk__in=part).update(
            configuration_revision=revision.number,
            configuration_hash=revision.hash,
            in_sync=False,
            config_failed=False,
        )
    others = set(everybody) - set(keys)
    moved: list[UUID] = rematch(others, fresh_targeting(), at)
    doorbell.ring([uid for _key, uid in capable] + moved)


def _bit(capability: AgentCapabilities) -> Any:
    """``capabilities & bit`` as an expression."""
    return F("capabilities").bitand(int(capability))
