"""Writes about people: issue, verify and revoke API tokens; record the audit trail; make the roles and the first admin."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import models, transaction

from accounts.models import ApiToken, AuditEntry, User

_SCHEME = "opk"
# A token that is used all the time writes its last-used time at most once in this period.
_LAST_USED_GRANULARITY = timedelta(minutes=1)

VIEWER, OPERATOR = "viewer", "operator"
_FLEET_APPS = ("agents", "configurations")


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
) -> AuditEntry:
    """Append one audit entry inside the caller's transaction. ``by=None`` means the portal itself did it."""
    entry = _entry(by, verb, target, name, data)
    entry.save(force_insert=True)
    return entry


def record_all(
    targets: Iterable[tuple[models.Model, str, Mapping[str, Any]]], *, by: User | None, verb: str
) -> list[AuditEntry]:
    """`record` for many ``(target, name, data)`` at once, in bulk."""
    entries = [_entry(by, verb, target, name, data) for target, name, data in targets]
    return AuditEntry.objects.bulk_create(entries, batch_size=500)


def _entry(by: User | None, verb: str, target: models.Model, name: str, data: Mapping[str, Any] | None) -> AuditEntry:
    return AuditEntry(
        actor=by,
        actor_name=by.get_username() if by else "system",
        verb=verb,
        object_type=target._meta.label_lower,
        object_id=str(target.pk),
        object_name=name[:255],
        data=dict(data or {}),
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def issue_token(user: User, *, name: str, by: User | None, expires_at: datetime | None = None) -> tuple[ApiToken, str]:
    """Make an API token for ``user``; the second value is the token text, which cannot be had again."""
    prefix = secrets.token_hex(5)
    text = f"{_SCHEME}_{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiToken.objects.create(name=name, user=user, prefix=prefix, digest=_digest(text), expires_at=expires_at)
    record(by=by, verb="token.issue", target=row, name=name, data={"user": user.get_username(), "prefix": prefix})
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
    if row is None or not hmac.compare_digest(row.digest, _digest(text)):
        return None
    if row.revoked_at or not row.user.is_active or (row.expires_at and row.expires_at <= at):
        return None
    if row.last_used_at is None or at - row.last_used_at >= _LAST_USED_GRANULARITY:
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=at)
    return row


@transaction.atomic
def revoke_token(token: ApiToken, *, by: User | None, at: datetime) -> bool:
    """Revoke ``token``; false when it already was. Takes effect with the next request."""
    if not ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=at):
        return False
    record(by=by, verb="token.revoke", target=token, name=token.name, data={"prefix": token.prefix})
    return True


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
