"""Edits of variables and secrets: what uses them is rendered anew and released in the same transaction, or only counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, models, transaction

from accounts import services as accounts
from accounts.models import User
from agents.selectors import InvalidSelector, parse_selector
from agents.shown import value_shown
from foundation import command_progress
from foundation.errors import Category, DomainError
from foundation.messages import Message
from variables.encryption import Unreadable, decrypted, encrypted, rotated
from variables.models import Secret, Variable
from variables.secret_holders import secret_holders
from variables.services.known_values import bump_values, know_stored_secrets
from variables.services.value_versions import rotate_versions, standing_for
from variables.value_users import Rerendering, ValueChange, consumers

LONGEST_VALUE = 64 * 1024
# Former values of a secret that agents may still run.
_FORMER = 3
_Row = Variable | Secret


class InvalidValue(DomainError):
    """What was sent cannot be saved. ``errors`` maps a field to its messages, ours or Django's."""

    def __init__(self, errors: Mapping[str, Sequence[Message | str]]) -> None:
        super().__init__(Message("invalid-value", "The value is not valid."))
        self.errors = {name: list(texts) for name, texts in errors.items()}

    def __str__(self) -> str:
        return "; ".join(f"{name}: {' '.join(map(str, texts))}" for name, texts in self.errors.items())


class InUse(DomainError):
    """Something in force uses it; the text names what."""

    category = Category.CONFLICT


class SharedName(DomainError):
    """Several values of a variable have the name that was to mean one of them."""

    category = Category.CONFLICT


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit did, or would do: ``row`` is ``None`` for a deletion, and for one that was only counted."""

    row: _Row | None
    effects: Sequence[Rerendering]

    @property
    def agents(self) -> int:
        """For how many something changes."""
        return sum(effect.changes for effect in self.effects)

    @property
    def rollouts(self) -> list[Rerendering]:
        """What goes out in stages."""
        return [effect for effect in self.effects if effect.planned is not None]

    @property
    def obstructed(self) -> list[Rerendering]:
        """What it is refused for, unless that is to be replaced."""
        return [effect for effect in self.effects if effect.obstacle is not None]


def variable_called(key: str, among: models.QuerySet[Variable]) -> Variable:
    """The value with the id ``key``, or the only one of that name; names never begin with a digit.

    Raises `Variable.DoesNotExist`, `SharedName`.
    """
    if key.isdecimal():
        return among.get(pk=int(key))
    ids = list(among.filter(name=key).order_by("pk").values_list("pk", flat=True))
    if len(ids) > 1:
        raise SharedName(
            Message(
                "variable-name-shared",
                "{count} values have the name {name}; say which by its id: {ids}.",
                count=len(ids),
                name=key,
                ids=", ".join(map(str, ids[:20])),
            )
        )
    return among.get(name=key)


def save_variable(
    row: Variable | None,
    values: Mapping[str, Any],
    *,
    by: User | None,
    at: datetime,
    dry_run: bool = False,
    replace: bool = False,
) -> Change:
    """Make a variable, or change ``row``; ``values`` are columns.

    ``replace``: rollouts in the way are ended. Raises `InvalidValue`, `InUse` (renamed while used), `Variable.DoesNotExist`, and
    what consumers refuse it for.
    """

    def prepare() -> _Prepared:
        present = Variable() if row is None else Variable.objects.select_for_update().get(pk=row.pk)
        before = {key: getattr(present, key) for key in values}
        former = present.name
        for key, value in values.items():
            setattr(present, key, value)
        _check_variable(present)
        present.selector = parse_selector(present.selector, match_all=present.match_all).as_json()
        present.updated_at, present.updated_by = at, by.get_username() if by else accounts.SYSTEM
        changed = [key for key in values if before[key] != getattr(present, key)]

        def write() -> _Row:
            if row is not None and former != present.name and Variable.objects.filter(name=former).count() == 1:
                _refuse_in_use("vars", former)
            present.save()
            verb = "variable.create" if row is None else "variable.update"
            pairs = {key: [None if row is None else before[key], getattr(present, key)] for key in changed}
            data = {"changed": {key: value_shown(pair) for key, pair in pairs.items()}}
            accounts.record(by=by, verb=verb, target=present, name=present.name, data=data)
            return present

        return _Prepared(_uses_of("vars", former, present.name, said=values.keys() - {"description"}), write)

    return _changed(prepare, by=by, at=at, dry_run=dry_run, replace=replace)


def save_secret(
    row: Secret | None,
    values: Mapping[str, Any],
    *,
    by: User | None,
    at: datetime,
    dry_run: bool = False,
    replace: bool = False,
) -> Change:
    """Make a secret, or change ``row``; ``values`` are ``name``, ``description``, and ``value``, which stays when left out.

    ``replace`` and errors as of `save_variable`.
    """

    def prepare() -> _Prepared:
        present = Secret() if row is None else Secret.objects.select_for_update().get(pk=row.pk)
        former, new_value = present.name, values.get("value")
        changed = [key for key in ("name", "description") if key in values and getattr(present, key) != values[key]]
        for key in changed:
            setattr(present, key, values[key])
        _check_secret(present, new_value, is_new=row is None)
        if new_value is not None and not _is(present.encrypted, new_value):
            if present.encrypted:
                present.former = [present.encrypted, *present.former][:_FORMER]
            present.encrypted = encrypted(new_value)
            changed.append("value")
        present.updated_at, present.updated_by = at, by

        def write() -> _Row:
            if row is not None and former != present.name:
                _refuse_in_use("secrets", former)
            _insert(present)
            verb = "secret.create" if row is None else "secret.update"
            accounts.record(by=by, verb=verb, target=present, name=present.name, data={"changed": changed})
            return present

        return _Prepared(_uses_of("secrets", former, present.name, said=values.keys() - {"description"}), write)

    return _changed(prepare, by=by, at=at, dry_run=dry_run, replace=replace)


def delete(row: _Row, *, by: User | None, at: datetime, dry_run: bool = False, replace: bool = False) -> Change:
    """Delete a variable's value or a secret.

    Raises `InUse` when it is the last of a name that something in force uses; ``replace`` and other errors as of `save_variable`.
    """
    group = "secrets" if isinstance(row, Secret) else "vars"

    def write() -> None:
        if isinstance(row, Secret) or Variable.objects.filter(name=row.name).count() == 1:
            _refuse_in_use(group, row.name)
        verb = f"{row._meta.model_name}.delete"
        accounts.record(by=by, verb=verb, target=row, name=row.name)
        row.delete()

    def prepare() -> _Prepared:
        return _Prepared({f"{group}.{row.name}"}, write)

    return _changed(prepare, by=by, at=at, dry_run=dry_run, replace=replace)


def users_of(uses: Sequence[str]) -> dict[str, list[str]]:
    """For each of ``uses`` (``vars.name``, ``secrets.name``) the names of what is in force and has it."""
    found: dict[str, list[str]] = {use: [] for use in uses}
    for consumer in consumers():
        for use, names in consumer.users(found).items():
            found[use] += names
    return found


@transaction.atomic
def rotate(*, at: datetime) -> tuple[int, list[str]]:
    """Encrypt all secrets under the newest key; returns how many that were, and the names of those that no key reads.

    Values stay as they are, but what was rendered with them may have another hash, if its key changed, or a result at last.
    Former values that cannot be read are dropped.
    """
    count, lost = 0, []
    for consumer in consumers():
        consumer.hold()
    for row in Secret.objects.select_for_update().order_by("pk"):
        try:
            row.encrypted = rotated(row.encrypted)
        except Unreadable:
            lost.append(row.name)
            continue
        row.former = [rotated(item) for item in row.former if _readable(item)]
        row.save(update_fields=["encrypted", "former"])
        count += 1
    lost += [name for name in rotate_versions() if name not in lost]
    for holder in secret_holders():
        further, unreadable = holder.rotate()
        count += further
        lost += unreadable
    bump_values()
    for name in Secret.objects.order_by("name").values_list("name", flat=True):
        for consumer in consumers():
            consumer.render_anew(f"secrets.{name}", at)
        command_progress.advance_progress()
    return count, lost


def unreadable_secrets() -> list[str]:
    """The names of secrets that no key of the settings reads; empty without the table."""
    try:
        rows = list(Secret.objects.order_by("name").values_list("name", "encrypted"))
    except DatabaseError:
        return []
    return [name for name, token in rows if not _readable(token)]


# --- Shared ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An edit of rows that are locked: the ``uses`` it may change, and what writes it."""

    uses: set[str]
    write: Callable[[], _Row | None]


def _uses_of(group: str, former: str, name: str, *, said: AbstractSet[str]) -> set[str]:
    """What an edit that says something of the columns ``said`` may change: nothing when only words are told of it.

    The same value once more is a change too, where something holds a former one.
    """
    if former == name and said <= {"name"}:
        return set()
    return {f"{group}.{each}" for each in (former, name) if each}


def _changed(
    prepare: Callable[[], _Prepared], *, by: User | None, at: datetime, dry_run: bool, replace: bool
) -> Change:
    """An edit, and all that uses it rendered anew, at once or in stages; with ``dry_run`` only counted, and nothing stays."""
    effects: list[Rerendering] = []
    with transaction.atomic():
        for consumer in consumers():
            consumer.hold()
        prepared = prepare()
        former = standing_for(prepared.uses)
        written = prepared.write()
        bump_values()
        now = standing_for(prepared.uses)
        changed = frozenset(use for use in prepared.uses if former[use] != now[use])
        change = ValueChange(former, changed, by, at, replace)
        for consumer in consumers():
            found = consumer.preview(change)
            effects += found if dry_run else consumer.release(change, found)
        if dry_run:
            transaction.set_rollback(True)
        transaction.on_commit(know_stored_secrets)
    if dry_run:
        # What was only tried is no secret of ours.
        know_stored_secrets()
    return Change(None if dry_run else written, effects)


def _insert(row: Secret) -> None:
    """Raises `InvalidValue` for a name that is taken."""
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        taken = Message("secret-exists", "There is a secret named {name} already.", name=repr(row.name))
        raise InvalidValue({"name": [taken]}) from error


def _refuse_in_use(group: str, name: str) -> None:
    use = f"{group}.{name}"
    users = users_of([use])[use]
    if users:
        raise InUse(
            Message(
                "value-in-use",
                "{name} is used by {users}: change those first.",
                name=use,
                users=", ".join(users[:20]),
            )
        )


def _check_variable(row: Variable) -> None:
    errors = _model_errors(row)
    try:
        parse_selector(row.selector, match_all=row.match_all)
    except InvalidSelector as error:
        errors["selector"] = [*error.problems]
    if problem := _value_problem(row.value):
        errors["value"] = [problem]
    if errors:
        raise InvalidValue(errors)


def _check_secret(row: Secret, value: str | None, *, is_new: bool) -> None:
    errors = _model_errors(row)
    if (value is None and is_new) or value == "":
        errors["value"] = [Message("secret-empty", "A secret needs a value.")]
    elif value is not None and (problem := _value_problem(value)):
        errors["value"] = [problem]
    if errors:
        raise InvalidValue(errors)


def _model_errors(row: models.Model) -> dict[str, list[Message | str]]:
    try:
        row.clean_fields(exclude=["selector", "value", "encrypted", "former", "updated_by"])
    except ValidationError as error:
        return {key: list(texts) for key, texts in error.message_dict.items()}
    return {}


def _value_problem(value: str) -> Message | None:
    if len(value) > LONGEST_VALUE:
        return Message("value-too-long", "A value has at most {most} characters.", most=LONGEST_VALUE)
    return Message("value-with-nul", "A value has no NUL.") if "\x00" in value else None


def _is(token: str, value: str) -> bool:
    try:
        return bool(token) and decrypted(token) == value
    except Unreadable:
        return False


def _readable(token: str) -> bool:
    try:
        decrypted(token)
    except Unreadable:
        return False
    return True
