"""Edits of configurations: create, update, roll back, delete. Each makes a revision, re-matches exactly the agents
concerned, is audited, and rings their processes after commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Q

from accounts import services as accounts
from accounts.models import User
from agents import doorbell
from agents.label_conditions import selector_condition
from agents.models import Agent
from agents.reports import AgentCapabilities, Json
from agents.selectors import InvalidSelector, parse_selector
from configurations.checks import Finding, InvalidContentType, check_files, normalise_content_type
from configurations.models import Assignment, Configuration, Revision, files_from_json, files_to_json
from configurations.outcome import AssignmentStatus
from configurations.remote_config import ConfigFile, RemoteConfig
from configurations.services.targeting import (
    bump_generation,
    fresh_targeting,
    hold_targeting,
    lock_agents_of,
    rematch,
)

MAX_BODY_BYTES = 1024 * 1024
MAX_FILES = 64
# Names that would stand in the place of something else in URLs.
RESERVED_NAMES = frozenset({"preview"})


class InvalidConfiguration(ValueError):
    """What was sent cannot be saved. ``errors`` maps a field to its messages, ``findings`` hold lines and columns."""

    def __init__(self, errors: Mapping[str, Sequence[str]], findings: Sequence[Finding] = ()) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in errors.items()))
        self.errors = {name: list(texts) for name, texts in errors.items()}
        self.findings = list(findings)


class NameTaken(InvalidConfiguration):
    """Another configuration has this name."""


class StaleRevision(ValueError):
    """The edit is based on an older revision than the present one; nothing was saved."""

    def __init__(self, *, expected: int, current: int) -> None:
        super().__init__(
            f"This edit is based on revision {expected}, but revision {current} is the present one: "
            "look at what changed, then edit again."
        )
        self.expected, self.current = expected, current


class UnknownRevision(LookupError):
    """The configuration has no revision of that number."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What an edit wants a configuration to be; every field complete. ``files`` holds ``config_key`` too."""

    display_name: str = ""
    description: str = ""
    priority: int = 0
    enabled: bool = True
    selector: Json = field(default_factory=dict)
    match_all: bool = False
    content_type: str = "text/yaml"
    config_key: str = ""
    files: Mapping[str, ConfigFile] = field(default_factory=dict)


def draft_of(configuration: Configuration) -> Draft:
    """The present state of ``configuration``, to be edited."""
    return Draft(
        display_name=configuration.display_name,
        description=configuration.description,
        priority=configuration.priority,
        enabled=configuration.enabled,
        selector=configuration.selector,
        match_all=configuration.match_all,
        content_type=configuration.content_type,
        config_key=configuration.config_key,
        files=files_from_json(configuration.current.files) if configuration.current else {},
    )


def checked(draft: Draft) -> tuple[dict[str, Any], RemoteConfig, list[Finding]]:
    """Validate a draft: column values, files, and findings that do not block. Raises `InvalidConfiguration`."""
    errors: dict[str, list[str]] = {}
    findings: list[Finding] = []
    selector: dict[str, Json] = {}
    try:
        selector = parse_selector(draft.selector, match_all=draft.match_all).as_json()
    except InvalidSelector as error:
        errors["selector"] = [f"{path}: {message}" if path else message for path, message in error.errors]
    try:
        content_type = normalise_content_type(draft.content_type)
    except InvalidContentType as error:
        content_type = draft.content_type
        errors["content_type"] = [str(error)]
    if not -(2**31) <= draft.priority < 2**31:
        errors["priority"] = ["The priority must fit 32 bits."]
    texts_of_draft = f"{draft.display_name}{draft.description}{draft.config_key}"
    if "\x00" in texts_of_draft or not _is_text(texts_of_draft):
        errors["display_name"] = ["Texts must not contain NUL characters or lone surrogates."]
    if len(draft.files) > MAX_FILES:
        errors["files"] = [f"At most {MAX_FILES} files; {len(draft.files)} were sent."]
    if not draft.files:
        errors["raw_config"] = ["A configuration needs at least one file; its text may be empty."]
    texts: dict[str, tuple[str, str]] = {}
    for key, file in draft.files.items():
        problem = _file_problem(key, file)
        if problem:
            errors[_field_of(key, draft)] = [problem]
        else:
            texts.update(_text_of(key, file))
    for key, found in check_files(texts).items():
        findings.extend(found)
        blocking = [f"line {item.line}, column {item.column}: {item.message}" for item in found if item.blocks]
        if blocking:
            errors[_field_of(key, draft)] = blocking
    if errors:
        raise InvalidConfiguration(errors, findings)
    columns = {
        "display_name": draft.display_name,
        "description": draft.description,
        "priority": draft.priority,
        "enabled": draft.enabled,
        "selector": selector,
        "match_all": draft.match_all,
        "content_type": content_type,
        "config_key": draft.config_key,
    }
    return columns, RemoteConfig(dict(draft.files)), findings


def changes_nothing(configuration: Configuration, draft: Draft) -> bool:
    """Whether publishing ``draft`` would make no revision. Raises `InvalidConfiguration`."""
    columns, config, _findings = checked(draft)
    return not _changed_columns(configuration, columns) and _has_files(configuration, config)


def _changed_columns(configuration: Configuration, columns: Mapping[str, Any]) -> list[str]:
    return [key for key, value in columns.items() if getattr(configuration, key) != value]


def _has_files(configuration: Configuration, config: RemoteConfig) -> bool:
    return configuration.current is not None and configuration.current.hash == config.config_hash().hex()


def _field_of(key: str, draft: Draft) -> str:
    return "raw_config" if key == draft.config_key else f"files.{key}"


def _file_problem(key: str, file: ConfigFile) -> str | None:
    if len(key) > 255 or "\x00" in key or not _is_text(key + file.content_type + file.role):
        return "A config key has at most 255 characters, without NUL or lone surrogates."
    if len(file.body) > MAX_BODY_BYTES:
        return f"The text has {len(file.body)} bytes; at most {MAX_BODY_BYTES} are kept."
    return None


def _is_text(text: str) -> bool:
    """False for lone surrogates, which JSON can carry and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text_of(key: str, file: ConfigFile) -> dict[str, tuple[str, str]]:
    """The text to check; nothing for opaque bytes, which are legal (S-68)."""
    try:
        return {key: (file.body.decode(), file.content_type)}
    except UnicodeDecodeError:
        return {}


@transaction.atomic
def create_configuration(
    name: str, draft: Draft, *, by: User | None, at: datetime, note: str = ""
) -> tuple[Configuration, list[Finding]]:
    """Make a configuration with revision 1 and assign it to the agents it matches.

    Returns it with the findings that do not block. Raises `InvalidConfiguration`, `NameTaken`.
    """
    if name in RESERVED_NAMES:
        raise InvalidConfiguration({"name": [f"The name {name!r} is taken by a URL of the API; choose another one."]})
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
        raise NameTaken({"name": [f"There is a configuration named {name!r} already."]}) from error
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
            "changed": {key: [before[key], columns[key]] for key in changed},
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
    draft = Draft(
        display_name=present.display_name,
        description=present.description,
        priority=revision.priority,
        enabled=present.enabled,
        selector=revision.selector,
        match_all=revision.match_all,
        content_type=main.content_type if main else present.content_type,
        config_key=present.config_key,
        files=files,
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
