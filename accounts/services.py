"""The audit trail, API tokens, the roles and the first admin. Edits of people are `accounts.people`'s business."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import models, transaction
from django.utils.translation import override

from accounts.events import AuditEvent
from accounts.models import ApiToken, AuditEntry, User
from accounts.rights import must_act_for
from foundation.clock import clock
from foundation.events import publish

_SCHEME = "opk"
# A token that is used all the time writes its last-used time at most once in this period.
_LAST_USED_GRANULARITY = timedelta(minutes=1)

TOKEN_LIFETIME = timedelta(days=90)

# The portal itself, in the audit trail.
SYSTEM = "system"
# An entry about very many objects names so many of them.
_LISTED = 500
# Keys of the entries by verb, inside `one_entry`.
_written: ContextVar[dict[str, int] | None] = ContextVar("audit_entries", default=None)

VIEWER, OPERATOR = "viewer", "operator"
# No group: what Django calls a superuser.
ADMINISTRATOR = "administrator"
_FLEET_APPS = (
    "agents",
    "certificates",
    "configurations",
    "connections",
    "packages",
    "rollouts",
    "enrolment",
    "variables",
)


class Never(Enum):
    """A token's end that does not come."""

    EXPIRES = "never"


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """What the first start has to say: the admin's name, and the password if it was generated."""

    username: str
    generated_password: str | None


def record(
    *,
    by: User | None,
    verb: str,
    target: models.Model,
    name: str,
    data: Mapping[str, Any] | None = None,
    actor: str = SYSTEM,
) -> AuditEntry:
    """Append one audit entry inside the caller's transaction. ``by=None``: it was ``actor``, by default the portal itself."""
    entry = _entry(by, verb, target, name, data, actor)
    _write(entry)
    return entry


def record_all(targets: Iterable[tuple[models.Model, str, Mapping[str, Any]]], *, by: User | None, verb: str) -> None:
    """`record` for many ``(target, name, data)`` of one model at once: one entry that lists them.

    Within `one_entry` all calls with the same verb write the same entry.
    """
    members = [(str(target.pk), name, dict(data), target) for target, name, data in targets]
    if not members:
        return
    written = _written.get()
    # A transaction that was rolled back took its entry along.
    before = AuditEntry.objects.filter(pk=written[verb]).first() if written and verb in written else None
    _key, name, data, target = members[0]
    if before is None and len(members) == 1:
        entry = record(by=by, verb=verb, target=target, name=name, data=data)
    else:
        entry = before or _entry(by, verb, target, name, None)
        _list_objects(entry, [(key, name, data) for key, name, data, _target in members], type(target))
        _write(entry)
    if written is not None:
        written[verb] = entry.pk


@contextmanager
def one_entry() -> Iterator[None]:
    """What `record_all` writes inside, in however many transactions, is one entry for each verb.

    It grows with each transaction, so that it never says more than was done, nor less when a later one fails.
    """
    if _written.get() is not None:
        yield
        return
    token = _written.set({})
    try:
        yield
    finally:
        _written.reset(token)


def _list_objects(entry: AuditEntry, members: list[tuple[str, str, dict[str, Any]]], model: type[models.Model]) -> None:
    """Make ``entry`` one about these too. What is the same of all is said once; of very many only the first are named."""
    if "objects" in entry.data:
        common = {key: value for key, value in entry.data.items() if key not in {"count", "objects"}}
        listed, count = list(entry.data["objects"]), int(entry.data["count"])
    elif entry.pk:
        common, listed, count = entry.data, [{"id": entry.object_id, "name": entry.object_name}], 1
    else:
        common, listed, count = members[0][2], [], 0
    shared = {key for key, value in common.items() if all(data.get(key, ...) == value for _k, _n, data in members)}
    # Those listed before keep what turns out to be not the same of all.
    apart = {key: value for key, value in common.items() if key not in shared}
    listed = [{**apart, **one} for one in listed]
    for key, name, data in members[: max(_LISTED - len(listed), 0)]:
        own = {field: value for field, value in data.items() if field not in shared}
        listed.append({"id": key, "name": name, **own})
    count += len(members)
    entry.object_id = ""
    with override("en"):
        entry.object_name = f"{count} {model._meta.verbose_name_plural}"
    entry.data = {**{key: common[key] for key in shared}, "count": count, "objects": listed}


def _entry(
    by: User | None, verb: str, target: models.Model, name: str, data: Mapping[str, Any] | None, actor: str = SYSTEM
) -> AuditEntry:
    return AuditEntry(
        actor=by,
        actor_name=by.get_username() if by else actor,
        verb=verb,
        object_type=target._meta.label_lower,
        object_id=str(target.pk or ""),
        object_name=name[:255],
        data=dict(data or {}),
    )


def _write(entry: AuditEntry) -> None:
    """The only place where the trail grows: the row, and after the commit its event."""
    entry.save()
    publish(AuditEvent, map(_event_of, [entry]))


def _event_of(entry: AuditEntry) -> AuditEvent:
    return AuditEvent(
        entry_id=entry.pk,
        at=clock.now(),
        actor_id=entry.actor_id,
        actor_name=entry.actor_name,
        verb=entry.verb,
        object_type=entry.object_type,
        object_id=entry.object_id,
        object_name=entry.object_name,
        data=entry.data,
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def issue_token(
    user: User, *, name: str, by: User | None, expires_at: datetime | Never | None = None
) -> tuple[ApiToken, str]:
    """Make an API token for ``user``; the second value is the token text, which cannot be had again.

    Without ``expires_at`` it lives 90 days. Raises `accounts.rights.BeyondOwnRights` when ``user`` has more rights than ``by``.
    """
    must_act_for(by, user)
    until = None if isinstance(expires_at, Never) else expires_at or clock.now() + TOKEN_LIFETIME
    prefix = secrets.token_hex(5)
    text = f"{_SCHEME}_{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiToken.objects.create(name=name, user=user, prefix=prefix, digest=_digest(text), expires_at=until)
    said = {
        "user": user.get_username(),
        "prefix": prefix,
        "expires_at": until.isoformat(timespec="seconds") if until else None,
    }
    record(by=by, verb="token.issue", target=row, name=name, data=said)
    return row, text


def verify_token(text: str, *, at: datetime) -> ApiToken | None:
    """The live token row with its user, or ``None`` when the text is unknown, revoked, expired or of an inactive user.

    SHA-256 suffices for 256 random bits, and a slow hash would cap requests. Compared in constant time.
    """
    scheme, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    if scheme != _SCHEME or not prefix or not secret or len(text) > 200:
        return None
    row = ApiToken.objects.select_related("user").filter(prefix=prefix).first()
    if row is None or row.user is None or not hmac.compare_digest(row.digest, _digest(text)):
        return None
    if row.revoked_at or not row.user.is_active or (row.expires_at and row.expires_at <= at):
        return None
    if row.last_used_at is None or at - row.last_used_at >= _LAST_USED_GRANULARITY:
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=at)
    return row


@transaction.atomic
def revoke_token(token: ApiToken, *, by: User | None, at: datetime) -> bool:
    """Revoke ``token``; false when it already was. Takes effect with the next request. The row stays.

    Raises `accounts.rights.BeyondOwnRights` when its user has more rights than ``by``.
    """
    if token.user is not None:
        must_act_for(by, token.user)
    if not ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=at):
        return False
    said = {"user": token.user.get_username() if token.user else "", "prefix": token.prefix}
    record(by=by, verb="token.revoke", target=token, name=token.name, data=said)
    return True


def revoke_tokens_of(person: User, *, by: User | None, at: datetime) -> int:
    """Revoke all tokens of ``person`` that were not; returns how many."""
    return sum(revoke_token(token, by=by, at=at) for token in person.api_tokens.filter(revoked_at=None))


def ensure_roles() -> None:
    """Make the groups *viewer* (sees the fleet) and *operator* (changes it); rights an admin added to them stay."""
    fleet = Permission.objects.filter(content_type__app_label__in=_FLEET_APPS)
    roles = {VIEWER: fleet.filter(codename__startswith="view_"), OPERATOR: fleet}
    for name, permissions in roles.items():
        group, _created = Group.objects.get_or_create(name=name)
        group.permissions.add(*permissions)


@transaction.atomic
def ensure_first_admin(*, username: str, password: str) -> FirstAdmin | None:
    """Make the first superuser unless one exists; an empty ``password`` is replaced by a generated one."""
    if User.objects.filter(is_superuser=True).exists():
        return None
    generated = None if password else secrets.token_urlsafe(12)
    user = User.objects.create_superuser(username=username, password=password or generated)
    record(by=None, verb="user.create", target=user, name=username, data={"first_admin": True})
    return FirstAdmin(username=username, generated_password=generated)
