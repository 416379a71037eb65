"""Many configurations at once, as a list says them: first a plan, compared with what there is; then all of it or nothing.

It must not know where the list comes from: a request, a folder or an archive.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.services.revealing import may_reveal
from configurations.checks import Finding, line_problem
from configurations.models import Configuration, ConfigurationDraft
from configurations.services import draft_saving, publishing
from configurations.services.collisions import claim_of, collisions
from configurations.services.drafts import Draft, InvalidConfiguration, checked, columns_of, draft_of
from configurations.services.edit_errors import NameTaken, StaleEdition, StaleRevision
from configurations.services.publishing import BY_DEFAULT, BasedOn, ReleasePlan
from configurations.services.reach_warnings import reach_warnings
from configurations.services.targeting import hold_targeting
from foundation import command_progress
from foundation.errors import Category, DomainError
from foundation.messages import Message

MAX_CONFIGURATIONS = 2_000
# Edits by others between planning and writing: planned anew this often at most.
_ATTEMPTS = 5

ErrorsByField = Mapping[str, Sequence[Message | str]]


class Action(enum.StrEnum):
    """What becomes of a configuration; the value is what programs and people read."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    UNCHANGED = "unchanged"


_RIGHTS = {Action.CREATE: "add", Action.UPDATE: "change", Action.DELETE: "delete"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a configuration should be. ``draft`` stands on nothing: hidden values in it are put back from what there is.

    ``keeps_policy``: nothing is said of its rollout policy, so that stays. ``revision``: the one this is based on, if said.
    """

    name: str
    draft: Draft
    keeps_policy: bool = True
    revision: int | None = None
    note: str = ""
    force: bool = False
    plan: ReleasePlan = BY_DEFAULT


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one configuration. ``present``: as it was found; ``wanted``: with true texts, ``None`` for a deletion."""

    name: str
    action: Action
    present: Configuration | None = None
    wanted: Wanted | None = None
    findings: tuple[Finding, ...] = ()


class NotApplicable(DomainError):
    """Some configurations cannot be saved, so none was. ``errors`` by name and field; ``findings`` by name."""

    def __init__(self, errors: Mapping[str, ErrorsByField], findings: Mapping[str, Sequence[Finding]]) -> None:
        super().__init__(
            Message(
                "configurations-not-applicable",
                "Nothing was changed, for something is wrong with {count} of the configurations.",
                count=len(errors),
            )
        )
        self.errors = {
            name: {field: [*texts] for field, texts in by_field.items()} for name, by_field in errors.items()
        }
        self.findings = {name: [*found] for name, found in findings.items()}


class Outpaced(NotApplicable):
    """They are right in themselves, but not after what others did meanwhile."""

    category = Category.CONFLICT


class NothingWanted(DomainError):
    """An empty list with ``prune`` would delete every configuration."""


class TooMany(DomainError):
    """More configurations than are taken at once."""


class NotPermitted(DomainError):
    """The plan needs a right that the person has not; nothing was changed."""

    category = Category.FORBIDDEN


def require_rights(steps: Sequence[Step], person: User) -> None:
    """Those that the single edits need. Raises `NotPermitted`."""
    actions = {step.action for step in steps}
    for action, right in _RIGHTS.items():
        if action in actions and not person.has_perm(f"configurations.{right}_configuration"):
            raise NotPermitted(
                Message(
                    "plan-needs-right",
                    "The plan needs the right configurations.{right}_configuration; nothing was changed.",
                    right=right,
                )
            )


def planned(
    wanted: Sequence[Wanted],
    existing: Mapping[str, Configuration],
    *,
    trusted: bool,
    at: datetime,
    prune: bool = False,
    allow_empty: bool = False,
) -> list[Step]:
    """The steps from ``existing`` (by name, each with its ``current``) to what is wanted, by name; writes and reads nothing.

    ``trusted``: whoever asks may see secrets. ``prune``: what is not wanted is deleted, and nothing at all only with
    ``allow_empty``. Raises `NothingWanted`, `TooMany`, `NotApplicable` or its `Outpaced`, with the errors of all configurations.
    """
    if prune and not wanted and not allow_empty:
        raise NothingWanted(
            Message(
                "nothing-wanted", "The list is empty, so pruning would delete every configuration: nothing was done."
            )
        )
    if len(wanted) > MAX_CONFIGURATIONS:
        raise TooMany(
            Message("too-many-configurations", "At most {most} configurations at once.", most=MAX_CONFIGURATIONS)
        )
    errors: dict[str, ErrorsByField] = {}
    findings: dict[str, list[Finding]] = {}
    invalid = False
    steps: dict[str, Step] = {}
    for item in wanted:
        command_progress.advance_progress()
        if item.name in steps or item.name in errors:
            invalid = True
            errors[item.name] = {**errors.get(item.name, {}), "name": [_NAME_TWICE]}
            continue
        try:
            steps[item.name] = _step(item, existing.get(item.name), trusted=trusted, at=at)
        except InvalidConfiguration as error:
            invalid = True
            errors[item.name] = error.errors
            findings[item.name] = error.findings
        except StaleRevision as error:
            errors[item.name] = {"revision": [error.message]}
    if errors:
        raise (NotApplicable if invalid else Outpaced)(errors, findings)
    if prune:
        steps |= {name: Step(name, Action.DELETE, row) for name, row in existing.items() if name not in steps}
    return [steps[name] for name in sorted(steps)]


def _step(item: Wanted, present: Configuration | None, *, trusted: bool, at: datetime) -> Step:
    """Raises `InvalidConfiguration`, `StaleRevision`."""
    if (problem := line_problem(item.note)) is not None:
        raise InvalidConfiguration({"note": [problem]})
    if present is None:
        if item.revision:
            raise StaleRevision(expected=item.revision, current=0)
        judged = checked(item.draft, force=item.force)
        publishing.new_row(item.name, judged, at)
        return Step(item.name, Action.CREATE, None, item, tuple(judged.findings))
    BasedOn(item.revision).require(present)
    before = draft_of(present)
    draft = replace(item.draft, true_files=before.true_files, trusted=trusted)
    if item.keeps_policy:
        draft = replace(draft, rollout_policy=before.rollout_policy)
    draft = draft.restored()
    judged = checked(draft, present=before, force=item.force)
    action = Action.UNCHANGED if publishing.effect_of(present, draft).nothing else Action.UPDATE
    return Step(item.name, action, present, replace(item, draft=draft), tuple(judged.findings))


def plan_configurations(
    wanted: Sequence[Wanted], *, by: User | None, at: datetime, prune: bool = False, allow_empty: bool = False
) -> list[Step]:
    """`planned` against the rows; ``by`` is ``None`` for whoever has the database at hand. Writes nothing."""
    rows = Configuration.objects.select_related("current")
    if not prune:
        rows = rows.filter(name__in={item.name for item in wanted if "\x00" not in item.name})
    existing = {row.name: row for row in rows}
    trusted = by is None or may_reveal(by)
    steps = planned(wanted, existing, trusted=trusted, at=at, prune=prune, allow_empty=allow_empty)
    _refuse_collisions(steps)
    return [
        replace(step, findings=(*step.findings, *reach_warnings(step.wanted.draft, step.present)))
        if step.wanted is not None and step.action is not Action.UNCHANGED
        else step
        for step in steps
    ]


def _refuse_collisions(steps: Sequence[Step], *, carried_out: bool = False) -> None:
    """Raises `Outpaced` for files that could meet at one agent: as planned, or as it is now that all was ``carried_out``."""
    claims = []
    for step in steps:
        wanted = None if step.wanted is None else step.wanted.draft
        if wanted is not None and not (carried_out and step.action is Action.UNCHANGED):
            claims.append(claim_of(step.name, columns_of(wanted), wanted.files))
    replaced = None if carried_out else {step.name for step in steps}
    found = collisions([claim for claim in claims if claim is not None], replaced=replaced)
    if found:
        raise Outpaced({name: {"files": texts} for name, texts in found.items()}, {})


def apply_configurations(
    wanted: Sequence[Wanted],
    *,
    by: User | None,
    at: datetime,
    prune: bool = False,
    allow_empty: bool = False,
    shown: str | None = None,
    as_drafts: bool = False,
) -> list[Step]:
    """Make everything as wanted, in one transaction, by the services that single edits go through; returns the plan.

    What is as wanted already is not written. ``as_drafts``: what would be created or updated is kept as drafts instead, one for
    each, which take the place of those kept before; nothing is deleted. ``shown``: the `fingerprint` of the plan that somebody
    agreed to. Raises what `planned` does, `NotPermitted`, and `Outpaced` also when another plan than the one shown would be
    carried out, or a rollout stands in the way.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        steps = plan_configurations(wanted, by=by, at=at, prune=prune, allow_empty=allow_empty)
        if by is not None:
            require_rights(steps, by)
        if shown is not None and shown != fingerprint(steps):
            raise Outpaced({"": {"": [_ANOTHER_PLAN]}}, {})
        try:
            _carry_out(steps, by=by, at=at, as_drafts=as_drafts)
        except _Moved as error:
            # What they were compared with is no more.
            if attempt == _ATTEMPTS:
                raise Outpaced({error.name: {"": [_ANOTHER_PLAN]}}, {}) from error
        else:
            return steps
    raise AssertionError("the last attempt returns or raises")


def fingerprint(steps: Sequence[Step]) -> str:
    """Another text for another plan: for other actions, other wishes, or other states they begin with."""
    told = hashlib.sha256()
    for step in steps:
        edition = None if step.present is None else (step.present.pk, step.present.edition)
        told.update(repr((step.name, step.action.value, edition, step.wanted)).encode(errors="surrogatepass"))
    return told.hexdigest()


_NAME_TWICE = Message("configuration-name-twice", "The name is given twice.")
_ANOTHER_PLAN = Message(
    "configurations-moved", "Somebody edited configurations meanwhile: look at what changed, then apply again."
)


class _Moved(Exception):
    """Somebody edited it since it was planned."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@transaction.atomic
def _carry_out(steps: Sequence[Step], *, by: User | None, at: datetime, as_drafts: bool) -> None:
    """Raises `_Moved`, `Outpaced`. Deletions come last, so that their agents move once and are not without any in between."""
    changing = [step for step in steps if step.action is not Action.UNCHANGED]
    if changing and not as_drafts:
        hold_targeting(exclusive=True)
    for step in sorted(changing, key=lambda step: step.action is Action.DELETE):
        with _under_its_name(step.name):
            if not as_drafts:
                _take(step, by=by, at=at)
            elif step.wanted is not None:
                _keep_draft(step.wanted, step.present, by=by, at=at)
    if changing and not as_drafts:
        _refuse_collisions(steps, carried_out=True)
    if by is None:
        kept = {step.name for step in changing} if as_drafts else set()
        for row in _drafts_of_ours({step.name for step in steps} - kept):
            draft_saving.discard_draft(row.pk, by=by)


def _drafts_of_ours(names: Collection[str]) -> list[ConfigurationDraft]:
    """Those that no person saved: a former run did."""
    return list(ConfigurationDraft.objects.filter(name__in=names, author=None, saved_by_name=accounts.SYSTEM))


def _keep_draft(item: Wanted, present: Configuration | None, *, by: User | None, at: datetime) -> None:
    """Unless there is one like it already."""
    edition = None if present is None else present.edition
    state = (columns_of(item.draft), dict(item.draft.files))
    found = False
    for row in _drafts_of_ours([item.name]) if by is None else ():
        kept = draft_saving.draft_in(row)
        if row.base_edition == edition and (columns_of(kept), dict(kept.files)) == state:
            found = True
        else:
            draft_saving.discard_draft(row.pk, by=by)
    if found:
        return
    if present is None:
        draft_saving.save_new_draft(item.name, item.draft, by=by, at=at, note=item.note)
    else:
        based_on = BasedOn(item.revision, (present.edition,))
        draft_saving.save_draft(item.name, item.draft, by=by, at=at, based_on=based_on, note=item.note)


def _take(step: Step, *, by: User | None, at: datetime) -> None:
    item, present = step.wanted, step.present
    if item is not None:
        # Files may move from one to another: what collides is looked for when all are as wanted.
        item = replace(item, plan=replace(item.plan, may_collide=True))
    if item is None:
        editions = () if present is None else (present.edition,)
        publishing.delete_configuration(step.name, by=by, at=at, based_on=BasedOn(editions=editions))
    elif present is None:
        publishing.create_configuration(
            step.name, item.draft, by=by, at=at, note=item.note, force=item.force, plan=item.plan
        )
    else:
        publishing.update_configuration(
            step.name,
            item.draft,
            by=by,
            at=at,
            based_on=BasedOn(item.revision, (present.edition,)),
            note=item.note,
            force=item.force,
            plan=item.plan,
        )


@contextmanager
def _under_its_name(name: str) -> Iterator[None]:
    try:
        yield
    except (NameTaken, StaleEdition, StaleRevision, Configuration.DoesNotExist) as error:
        raise _Moved(name) from error
    except DomainError as error:
        if error.category is not Category.CONFLICT:
            raise
        raise Outpaced({name: {"": [error.message]}}, {}) from error
