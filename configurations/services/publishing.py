"""Edits of configurations: create, update, roll back, delete. Each that changes files or targeting makes a revision,
re-matches exactly the agents concerned, is audited, and wakes their processes after commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Max

from accounts import services as accounts
from accounts.models import User
from agents.remote_config import RemoteConfig
from agents.shown import value_shown
from configurations.checks import Finding, line_problem
from configurations.models import RELEASE_SUBJECT, Composition, Configuration, Revision, files_from_json, files_to_json
from configurations.services.collisions import claim_of, refuse_colliding
from configurations.services.drafts import Checked, Draft, InvalidConfiguration, checked, columns_of, draft_of
from configurations.services.edit_errors import NameTaken, StaleEdition, StaleRevision, UnknownRevision
from configurations.services.forcing import refuse_force
from configurations.services.keeping_deleted import keep_deleted
from configurations.services.pinning import require_unpinned
from configurations.services.reach_warnings import reach_warnings
from configurations.services.releasing import TARGETING_COLUMNS, release
from configurations.services.rendering import uses_of
from configurations.services.targeting import (
    bump_generation,
    fresh_targeting,
    hold_targeting,
    lock_agents_of,
    rematch,
)
from foundation import wakeups
from foundation.messages import Message
from rollouts.audiences import EVERYONE
from rollouts.models import Release
from rollouts.policies import Policy, parse_policy
from rollouts.services.rolling_out import require_none, start_rollout

# Names that would stand in the place of something else in URLs.
RESERVED_NAMES = frozenset({"preview"})


@dataclass(frozen=True, slots=True)
class BasedOn:
    """What an edit is based on: the number of a revision, and some editions one of which must be the present; else nothing."""

    revision: int | None = None
    editions: Collection[int] | None = None

    def require(self, configuration: Configuration) -> None:
        """Raises `StaleRevision` or `StaleEdition` when the configuration has moved on."""
        current = configuration.current.number if configuration.current else 0
        if self.revision is not None and self.revision != current:
            raise StaleRevision(expected=self.revision, current=current)
        if self.editions is not None and configuration.edition not in self.editions:
            raise StaleEdition


ANYTHING = BasedOn()


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """How a new revision reaches agents: by ``policy``, at once without one; ``by_default``: by the configuration's own.

    ``replace``: a rollout of the configuration that has not ended is ended for it, instead of being in its way.
    ``staged``: what would go out at once is a rollout of one stage too, that can be watched.
    ``may_collide``: for now, since the caller looks for collisions once all that belongs together is published.
    """

    policy: Policy | None = None
    by_default: bool = False
    replace: bool = False
    staged: bool = False
    may_collide: bool = False

    def policy_for(self, configuration: Configuration) -> Policy | None:
        """The policy, `None` for at once."""
        policy = default_policy(configuration) if self.by_default else self.policy
        return Policy() if policy is None and self.staged else policy


BY_DEFAULT = ReleasePlan(by_default=True)
AT_ONCE = ReleasePlan(replace=True)
"""For what is urgent: undoing, and switching off."""


def default_policy(configuration: Configuration) -> Policy | None:
    """The configuration's own policy, else the site's (``ROLLOUT_POLICY``)."""
    own = configuration.rollout_policy
    return parse_policy(settings.ROLLOUT_POLICY if own is None else own)


@dataclass(frozen=True, slots=True)
class Effect:
    """What saving a draft would do: which ``columns`` change and whether the files do."""

    columns: tuple[str, ...]
    files: bool

    @property
    def targeting(self) -> bool:
        """Other agents may get it."""
        return not set(TARGETING_COLUMNS).isdisjoint(self.columns)

    @property
    def makes_revision(self) -> bool:
        """A revision holds files and targeting; a change of name or description alone makes none."""
        return self.files or self.targeting

    @property
    def nothing(self) -> bool:
        """All is as it was."""
        return not self.columns and not self.files


def effect_of(configuration: Configuration, draft: Draft) -> Effect:
    """What saving ``draft``, which can be saved, would do."""
    return _effect(configuration, columns_of(draft), RemoteConfig(dict(draft.files)))


def _effect(configuration: Configuration, columns: Mapping[str, Any], config: RemoteConfig) -> Effect:
    changed = tuple(key for key, value in columns.items() if getattr(configuration, key) != value)
    current = configuration.current
    return Effect(changed, current is None or current.hash != config.config_hash().hex())


def new_row(name: str, wanted: Checked, at: datetime) -> Configuration:
    """The row of a configuration to be made; it is not saved. Raises `InvalidConfiguration` for a name that none may have."""
    if name in RESERVED_NAMES:
        taken = Message(
            "reserved-name", "The name {name} is taken by a URL of the API; choose another one.", name=repr(name)
        )
        raise InvalidConfiguration({"name": [taken]})
    configuration = Configuration(name=name, created_at=at, updated_at=at, **wanted.columns)
    try:
        configuration.clean_fields(exclude=["current"])
    except ValidationError as error:
        raise InvalidConfiguration({key: list(texts) for key, texts in error.message_dict.items()}) from error
    return configuration


@transaction.atomic
def create_configuration(
    name: str,
    draft: Draft,
    *,
    by: User | None,
    at: datetime,
    note: str = "",
    force: bool = False,
    plan: ReleasePlan = BY_DEFAULT,
) -> tuple[Configuration, list[Finding]]:
    """Make a configuration with revision 1 and release it to the agents it matches, by ``plan``.

    Returns it with the findings that do not block; ``force`` is `checked`'s. Raises `InvalidConfiguration`, `NameTaken`,
    `FilesCollide`.
    """
    wanted = checked(draft, force=force)
    refuse_force(wanted.forced, by)
    note = _note(note)
    configuration = new_row(name, wanted, at)
    findings = [*wanted.findings, *reach_warnings(draft, None)]
    hold_targeting(exclusive=True)
    try:
        with transaction.atomic():
            configuration.save(force_insert=True)
    except IntegrityError as error:
        taken = Message("configuration-exists", "There is a configuration named {name} already.", name=repr(name))
        raise NameTaken({"name": [taken]}) from error
    revision = _publish(configuration, wanted, plan, by=by, at=at, note=note)
    data = {"revision": revision.number, **_forced(wanted)}
    accounts.record(by=by, verb="configuration.create", target=configuration, name=name, data=data)
    return configuration, findings


@transaction.atomic
def update_configuration(
    name: str,
    draft: Draft,
    *,
    by: User | None,
    at: datetime,
    based_on: BasedOn = ANYTHING,
    note: str = "",
    force: bool = False,
    plan: ReleasePlan = BY_DEFAULT,
    anew: bool = False,
) -> tuple[Configuration, list[Finding]]:
    """Make ``draft`` the new state, as a new revision; one that changes only how it is called makes none, unless ``anew``.

    The revision is released by ``plan``. Every edit that changes something is counted as an edition. Raises
    `Configuration.DoesNotExist`, `InvalidConfiguration`, `RolloutRunning`, and `StaleRevision` or `StaleEdition` when it is
    not based on the present state.
    """
    present = draft_of(Configuration.objects.select_related("current").get(name=name))
    wanted = checked(draft, present=present, force=force)
    refuse_force(wanted.forced, by)
    note = _note(note)
    hold_targeting(exclusive=True)
    configuration = _locked(name, based_on)
    effect = _effect(configuration, wanted.columns, wanted.config)
    if effect.nothing and not anew:
        return configuration, wanted.findings
    findings = [*wanted.findings, *reach_warnings(draft, configuration)]
    before = {key: getattr(configuration, key) for key in effect.columns}
    for key in effect.columns:
        setattr(configuration, key, wanted.columns[key])
    configuration.updated_at = at
    configuration.edition += 1
    configuration.save(update_fields=[*effect.columns, "updated_at", "edition"])
    revision = configuration.current
    makes_revision = effect.makes_revision or anew or revision is None
    if makes_revision or revision is None:
        revision = _publish(configuration, wanted, plan, by=by, at=at, note=note)
    data = {
        "revision": revision.number,
        "files_changed": effect.files,
        "changed": {key: value_shown([before[key], wanted.columns[key]]) for key in effect.columns},
        **({} if makes_revision or not note else {"note": note}),
        **_forced(wanted),
    }
    accounts.record(by=by, verb="configuration.update", target=configuration, name=name, data=data)
    return configuration, findings


def rolled_back(configuration: Configuration, number: int) -> Draft:
    """The present state with files and targeting of revision ``number``; ``enabled``, names and description stay.

    Raises `UnknownRevision`.
    """
    revision = Revision.objects.filter(configuration=configuration, number=number).first()
    if revision is None:
        raise UnknownRevision(configuration.name, number)
    present = draft_of(configuration)
    files = files_from_json(revision.files)
    main = files.get(configuration.config_key)
    return replace(
        present,
        priority=revision.priority,
        selector=revision.selector,
        match_all=revision.match_all,
        content_type=(main.content_type if main else "") or present.content_type,
        files=files,
        # Texts of an older revision are true ones, whatever they say.
        true_files=None,
        proven=True,
    )


def roll_back(
    name: str,
    number: int,
    *,
    by: User | None,
    at: datetime,
    based_on: BasedOn = ANYTHING,
    note: str = "",
    force: bool = False,
) -> tuple[Configuration, list[Finding]]:
    """Make the files and the targeting of revision ``number`` the newest revision, at once; nothing is rewritten.

    It ends a rollout that is on its way.
    Raises `Configuration.DoesNotExist`, `InvalidConfiguration`, `UnknownRevision`, `StaleRevision`, `StaleEdition`.
    """
    draft = rolled_back(Configuration.objects.select_related("current").get(name=name), number)
    note = note or f"Roll back to revision {number}"
    return update_configuration(name, draft, by=by, at=at, based_on=based_on, note=note, force=force, plan=AT_ONCE)


@transaction.atomic
def delete_configuration(name: str, *, by: User | None, at: datetime, based_on: BasedOn = ANYTHING) -> int:
    """Delete a configuration with its revisions, the newest of which are kept apart; returns how many agents that concerned.

    They get what matches them next, or keep what they run and show "unassigned".
    Raises `Configuration.DoesNotExist`, `StaleRevision`, `StaleEdition`, `StillPinned`.
    """
    hold_targeting(exclusive=True)
    configuration = _locked(name, based_on)
    require_unpinned(configuration)
    concerned = lock_agents_of(configuration)
    accounts.record(
        by=by, verb="configuration.delete", target=configuration, name=name, data={"agents": len(concerned)}
    )
    keep_deleted(configuration, by=by, at=at)
    require_none(RELEASE_SUBJECT, configuration.pk, replace=True, by=by, at=at)
    Release.objects.of(RELEASE_SUBJECT, configuration.pk).end(at)
    Configuration.objects.filter(pk=configuration.pk).update(current=None)
    Composition.objects.filter(parts__configuration=configuration.pk).delete()
    configuration.delete()
    bump_generation()
    # The deletion set the assignments' references to NULL; re-matching then sees by the name and the hash that they moved.
    wakeups.wake(rematch(concerned, fresh_targeting(), at))
    return len(concerned)


def _publish(
    configuration: Configuration, wanted: Checked, plan: ReleasePlan, *, by: User | None, at: datetime, note: str
) -> Revision:
    """Make a revision of what is wanted and let it out as planned. Raises `RolloutRunning`, `FilesCollide`."""
    claim = claim_of(configuration.name, wanted.columns, wanted.config.files)
    if claim is not None and not plan.may_collide:
        refuse_colliding([claim])
    require_none(RELEASE_SUBJECT, configuration.pk, replace=plan.replace, by=by, at=at)
    revision = add_revision(configuration, wanted.config, by=by, at=at, note=note)
    policy = plan.policy_for(configuration)
    if policy is None:
        release(revision, to=EVERYONE, by=by, at=at)
        return revision
    start_rollout(
        RELEASE_SUBJECT,
        configuration.pk,
        revision.pk,
        name=configuration.name,
        version_number=revision.number,
        policy=policy,
        by=by,
        at=at,
    )
    # The rollout has released it by now, unless it waits.
    revision.refresh_from_db(fields=["release"])
    return revision


def _locked(name: str, based_on: BasedOn) -> Configuration:
    configuration = Configuration.objects.select_for_update(of=("self",)).get(name=name)
    based_on.require(configuration)
    return configuration


def _note(text: str) -> str:
    """Of one line. Raises `InvalidConfiguration`."""
    problem = line_problem(text)
    if problem is not None:
        raise InvalidConfiguration({"note": [problem]})
    return text


def _forced(wanted: Checked) -> dict[str, Any]:
    """What was saved although it blocks, for the audit trail."""
    return {"forced": [str(item.message) for item in wanted.forced]} if wanted.forced else {}


def add_revision(
    configuration: Configuration, config: RemoteConfig, *, by: User | None, at: datetime, note: str
) -> Revision:
    """Number and store the next revision, with the configuration's targeting; nobody runs it before `release`.

    In the caller's transaction, which holds targeting. The unique constraint holds even where row locks do not exist.
    """
    # Not the present one's: after a rollout was rolled back that is an older one.
    newest = configuration.revisions.aggregate(newest=Max("number"))["newest"] or 0
    uses = uses_of(config.files)
    revision = Revision.objects.create(
        configuration=configuration,
        number=newest + 1,
        files=files_to_json(config.files),
        hash=config.config_hash().hex(),
        templated=uses is not None,
        uses=uses or {},
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
    return revision
