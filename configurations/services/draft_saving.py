"""Drafts that are kept: saved, edited, based anew, discarded, published. Only the last reaches anybody.

Whatever two people do at once with one draft, one of them is told: every write names the edition of the draft that it is based
on, and is made only if that is the present one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models, transaction

from accounts import services as accounts
from accounts.models import User
from configurations.checks import Finding, line_problem
from configurations.masked_values import masked_values
from configurations.models import (
    Configuration,
    ConfigurationDraft,
    files_from_json,
    files_to_json,
    findings_to_json,
)
from configurations.services import publishing
from configurations.services.draft_errors import (
    DraftGone,
    StaleDraft,
    TooManyDrafts,
    base_moved_on,
    configuration_deleted,
    refuse_masked,
)
from configurations.services.drafts import Draft, InvalidConfiguration, blocking, checked, columns_of, draft_of
from configurations.services.edit_errors import NameTaken, StaleEdition, StaleRevision
from configurations.services.publishing import ANYTHING, BY_DEFAULT, RESERVED_NAMES, BasedOn, ReleasePlan
from configurations.services.targeting import hold_targeting
from foundation.messages import Message

# Open drafts under one name.
MOST_DRAFTS = 20
# Findings of one draft that are stored; whoever publishes it is told all.
_MOST_FINDINGS = 200


@dataclass(frozen=True, slots=True)
class Base:
    """The state of a configuration that a draft starts from: numbers of its revision and of its edition."""

    revision: int
    edition: int

    @classmethod
    def of(cls, configuration: Configuration) -> Base:
        """The present one."""
        return cls(configuration.current.number if configuration.current else 0, configuration.edition)


def draft_in(row: ConfigurationDraft) -> Draft:
    """What ``row`` wants, to be edited by somebody who may not see secrets."""
    columns = {key: value for key, value in row.state.items() if key != "files"}
    files = files_from_json(row.state["files"])
    return Draft(**columns, files=files, true_files=files)


def savable(wanted: Draft, *, present: Draft | None = None, adopted: bool = False) -> tuple[Draft, list[Finding]]:
    """``wanted`` with true texts, and all that the checks say of these; of an ``adopted`` one also what its agent hides.

    A draft may have any texts, be they unfinished. Raises `InvalidConfiguration` for what is wrong around them, and for
    hidden values that cannot stay.
    """
    wanted = wanted.restored()
    masked = masked_values(wanted.files) if adopted else []
    try:
        return wanted, [*masked, *checked(wanted, present=present).findings]
    except InvalidConfiguration as error:
        about_texts = {blocking(item) for item in error.findings if item.blocks}
        others = {
            field: left
            for field, said in error.errors.items()
            if (left := [text for text in said if text not in about_texts])
        }
        if others:
            raise InvalidConfiguration(others) from error
        return wanted, [*masked, *error.findings]


@transaction.atomic
def save_draft(
    name: str,
    wanted: Draft,
    *,
    by: User | None,
    at: datetime,
    base: Base | None = None,
    based_on: BasedOn = ANYTHING,
    note: str = "",
) -> ConfigurationDraft:
    """Keep ``wanted`` as a draft of the configuration ``name``, started from ``base``, by default the present state.

    Raises `Configuration.DoesNotExist`, `InvalidConfiguration`, `TooManyDrafts`, and what ``based_on`` raises when that is
    not the present state.
    """
    locked = Configuration.objects.select_for_update(of=("self",)).select_related("current")
    configuration = locked.get(name=name)
    based_on.require(configuration)
    present = Base.of(configuration)
    if base is None or base.edition > present.edition or base.revision > present.revision:
        base = present
    wanted, findings = savable(wanted, present=draft_of(configuration))
    return _keep(name, wanted, findings, configuration=configuration, base=base, by=by, at=at, note=note)


@transaction.atomic
def save_new_draft(
    name: str, wanted: Draft, *, by: User | None, at: datetime, note: str = "", adopted_from: UUID | None = None
) -> ConfigurationDraft:
    """Keep ``wanted`` as the draft of a configuration that does not exist yet; ``adopted_from``: an agent runs it.

    Raises `InvalidConfiguration`, also for a name that none can have, `NameTaken`, `TooManyDrafts`.
    """
    _require_free_name(name)
    wanted, findings = savable(wanted, adopted=adopted_from is not None)
    options: dict[str, Any] = {"by": by, "at": at, "note": note, "adopted_from": adopted_from}
    return _keep(name, wanted, findings, configuration=None, base=None, **options)


@transaction.atomic
def edit_draft(
    pk: int,
    wanted: Draft,
    *,
    by: User | None,
    at: datetime,
    editions: Collection[int] | None,
    note: str | None = None,
    name: str | None = None,
) -> ConfigurationDraft:
    """Make ``wanted`` what the draft says. ``note`` and ``name`` stay unless they are given.

    ``editions``: see `locked_draft`. Only the draft of a configuration that does not exist can get another name. Raises
    `DraftGone`, `StaleDraft`, `InvalidConfiguration`, `NameTaken`.
    """
    row = locked_draft(pk, editions)
    if name is not None and name != row.name:
        if row.base_edition is not None:
            said = Message("draft-keeps-name", "The name of a configuration cannot change.")
            raise InvalidConfiguration({"name": [said]})
        _require_free_name(name)
        row.name = name
    present = None if row.configuration is None else draft_of(row.configuration)
    wanted, findings = savable(wanted, present=present, adopted=row.adopted_from is not None)
    row.state, row.findings = _state_of(wanted), findings_to_json(findings[:_MOST_FINDINGS])
    row.note = row.note if note is None else _note(note)
    _save(row, by=by, at=at, columns=["name", "state", "findings", "note"])
    _record(row, by=by, verb="draft.edit")
    return row


@transaction.atomic
def rebase_draft(
    pk: int, *, by: User | None, at: datetime, editions: Collection[int] | None, onto: BasedOn = ANYTHING
) -> ConfigurationDraft:
    """Take the present state under the draft's name as what it starts from; what it wants stays as it is.

    Without a configuration of that name it becomes the draft of a new one. ``onto`` must be the present state. Raises
    `DraftGone`, `StaleDraft`, `StaleRevision`, `StaleEdition`.
    """
    # A deletion takes targeting, the configuration and then its drafts.
    hold_targeting(exclusive=False)
    row = locked_draft(pk, editions)
    configuration = Configuration.objects.select_related("current").filter(name=row.name).first()
    before = row.base_revision
    base = None if configuration is None else Base.of(configuration)
    if configuration is not None:
        onto.require(configuration)
    elif onto.revision:
        raise StaleRevision(expected=onto.revision, current=0)
    elif onto.editions is not None and 0 not in onto.editions:
        raise StaleEdition
    row.configuration = configuration
    row.base_revision, row.base_edition = (base.revision, base.edition) if base else (None, None)
    _save(row, by=by, at=at, columns=["configuration", "base_revision", "base_edition"])
    _record(row, by=by, verb="draft.rebase", data={"former_base": before})
    return row


@transaction.atomic
def discard_draft(pk: int, *, by: User | None, editions: Collection[int] | None = None) -> None:
    """Delete a draft. Raises `DraftGone`, `StaleDraft`."""
    row = locked_draft(pk, editions)
    _record(row, by=by, verb="draft.discard")
    _delete(row)


@transaction.atomic
def publish_draft(
    pk: int,
    *,
    by: User | None,
    at: datetime,
    editions: Collection[int] | None,
    wanted: Draft | None = None,
    over: BasedOn | None = None,
    name: str | None = None,
    note: str | None = None,
    force: bool = False,
    plan: ReleasePlan = BY_DEFAULT,
) -> tuple[Configuration, list[Finding]]:
    """Make what the draft says the newest state of its configuration, or make that; the draft ends.

    ``wanted`` is published in place of what is stored, ``over`` is the state that it was compared with in place of the
    draft's base, ``name`` that of a new configuration; ``plan`` says how it reaches agents. Returns the configuration with
    the findings that do not block. Raises `DraftGone`, `StaleDraft`, `DraftOutdated`, and what `publishing` raises; nothing
    is changed then.
    """
    hold_targeting(exclusive=True)
    row = locked_draft(pk, editions)
    if wanted is None:
        wanted = replace(draft_in(row), true_files=None)
    if row.adopted_from is not None:
        wanted = wanted.restored()
        refuse_masked(wanted, by=by, force=force)
    note = row.note if note is None else note
    options: dict[str, Any] = {"by": by, "at": at, "note": note, "force": force, "plan": plan}
    if row.base_edition is None:
        configuration, findings = publishing.create_configuration(name or row.name, wanted, **options)
    else:
        configuration, findings = _publish_over(row, wanted, over, **options)
    _delete(row)
    data = {"revision": configuration.current.number if configuration.current else 0}
    row.configuration = configuration
    _record(row, by=by, verb="draft.publish", data=data)
    return configuration, findings


def _publish_over(
    row: ConfigurationDraft, wanted: Draft, over: BasedOn | None, **options: Any
) -> tuple[Configuration, list[Finding]]:
    if row.configuration is None or row.base_edition is None:
        raise configuration_deleted(row.name)
    if over is not None:
        return publishing.update_configuration(row.name, wanted, based_on=over, **options)
    try:
        based_on = BasedOn(editions=(row.base_edition,))
        return publishing.update_configuration(row.name, wanted, based_on=based_on, **options)
    except StaleEdition as error:
        present = Configuration.objects.select_related("current").get(pk=row.configuration.pk).current
        raise base_moved_on(
            base=row.base_revision or 0,
            present=present.number if present else 0,
            author=present.author_name if present else "",
        ) from error


def locked_draft(pk: int, editions: Collection[int] | None) -> ConfigurationDraft:
    """The draft, under lock, with the configuration it would change; ``editions``: one of these must be the present one.

    Raises `DraftGone`, `StaleDraft`.
    """
    row = ConfigurationDraft.objects.select_for_update(of=("self",)).with_present().filter(pk=pk).first()
    if row is None:
        raise DraftGone
    if editions is not None and row.edition not in editions:
        raise StaleDraft(by=row.saved_by_name, at=row.updated_at)
    return row


# --- Writing -----------------------------------------------------------------------------------------------------------


def _keep(
    name: str,
    wanted: Draft,
    findings: list[Finding],
    *,
    configuration: Configuration | None,
    base: Base | None,
    by: User | None,
    at: datetime,
    note: str,
    adopted_from: UUID | None = None,
) -> ConfigurationDraft:
    if ConfigurationDraft.objects.filter(name=name).count() >= MOST_DRAFTS:
        raise TooManyDrafts(name, MOST_DRAFTS)
    person = by.get_username() if by else accounts.SYSTEM
    row = ConfigurationDraft.objects.create(
        configuration=configuration,
        name=name,
        author=by,
        author_name=person,
        saved_by_name=person,
        base_revision=base.revision if base else None,
        base_edition=base.edition if base else None,
        state=_state_of(wanted),
        note=_note(note),
        adopted_from=adopted_from,
        findings=findings_to_json(findings[:_MOST_FINDINGS]),
        created_at=at,
        updated_at=at,
    )
    _record(row, by=by, verb="draft.save")
    return row


def _save(row: ConfigurationDraft, *, by: User | None, at: datetime, columns: list[str]) -> None:
    """Compare-and-set on the edition. Raises `StaleDraft`, `DraftGone`."""
    former = row.edition
    row.edition += 1
    row.saved_by_name = by.get_username() if by else accounts.SYSTEM
    row.updated_at = at
    values = {name: getattr(row, name) for name in (*columns, "edition", "saved_by_name", "updated_at")}
    if not ConfigurationDraft.objects.filter(pk=row.pk, edition=former).update(**values):
        raise _overtaken(row)


def _delete(row: ConfigurationDraft) -> None:
    """Compare-and-set on the edition. Raises `StaleDraft`, `DraftGone`."""
    deleted, _by_kind = ConfigurationDraft.objects.filter(pk=row.pk, edition=row.edition).delete()
    if not deleted:
        raise _overtaken(row)


def _overtaken(row: ConfigurationDraft) -> StaleDraft | DraftGone:
    now = ConfigurationDraft.objects.filter(pk=row.pk).first()
    return DraftGone() if now is None else StaleDraft(by=now.saved_by_name, at=now.updated_at)


def _record(row: ConfigurationDraft, *, by: User | None, verb: str, data: dict[str, Any] | None = None) -> None:
    """In the trail of the configuration when there is one."""
    target: models.Model = row if row.configuration is None else row.configuration
    said = {"draft": row.pk, "author": row.author_name, "edition": row.edition, "based_on": row.base_revision}
    if row.adopted_from is not None:
        said["adopted_from"] = str(row.adopted_from)
    accounts.record(by=by, verb=verb, target=target, name=row.name, data={**said, **(data or {})})


def _state_of(wanted: Draft) -> dict[str, Any]:
    return {**columns_of(wanted), "files": files_to_json(wanted.files)}


def _note(text: str) -> str:
    """Of one line. Raises `InvalidConfiguration`."""
    problem = line_problem(text)
    if problem is not None:
        raise InvalidConfiguration({"note": [problem]})
    return text[:500]


def _require_free_name(name: str) -> None:
    """Raises `InvalidConfiguration` for a name that no configuration can have, `NameTaken` for one that another has."""
    others = [field.name for field in Configuration._meta.fields if field.name != "name"]
    try:
        Configuration(name=name).clean_fields(exclude=others)
    except ValidationError as error:
        raise InvalidConfiguration({key: list(texts) for key, texts in error.message_dict.items()}) from error
    if name in RESERVED_NAMES:
        reserved = Message(
            "reserved-name", "The name {name} is taken by a URL of the API; choose another one.", name=repr(name)
        )
        raise InvalidConfiguration({"name": [reserved]})
    if Configuration.objects.filter(name=name).exists():
        taken = Message("configuration-exists", "There is a configuration named {name} already.", name=repr(name))
        raise NameTaken({"name": [taken]})
