"""Who listens: a session or an API token, looked at when a socket opens and again every few seconds. Everything here asks rows.

A socket outlives the request that opened it, so signing out, revoking, switching off and taking away rights must reach it by
asking anew. Asking for hundreds is four statements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.db.models import Q
from django.utils.crypto import constant_time_compare

from accounts.idle_sessions import is_idle
from accounts.models import ApiToken, User
from accounts.services import verify_token
from foundation.topics import registered_topics

_LONGEST_SESSION_KEY = 40


@dataclass(frozen=True, slots=True)
class Credential:
    """What somebody came in by: the key of a session, or of the row of an API token."""

    session: str = ""
    token: int = 0


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who listens, and the topics (by name) that their rights let them hear of; ``everything``: an administrator."""

    user_id: int
    credential: Credential
    topics: frozenset[str]
    everything: bool = False


def by_token(text: str, *, at: datetime) -> Person | None:
    """Whose API token it is; ``None`` for a dead or wrong one."""
    row = verify_token(text, at=at)
    return None if row is None else _one(Credential(token=row.pk), at)


def by_session(key: str, *, at: datetime) -> Person | None:
    """Who is signed in by this cookie; ``None`` for nobody."""
    return _one(Credential(session=key), at) if 0 < len(key) <= _LONGEST_SESSION_KEY else None


def look_again(credentials: Collection[Credential], *, at: datetime) -> dict[Credential, Person]:
    """Who is behind each of these now; those that let nobody in any more are missing."""
    claimed = {**dict(_by_tokens(credentials, at)), **dict(_by_sessions(credentials, at))}
    # Of a session also the hash of the password it was opened with.
    users = {
        user.pk: user for user in User.objects.filter(pk__in={key for key, _hash in claimed.values()}, is_active=True)
    }
    rights = _rights_of(users)
    topics = registered_topics().values()
    found = {}
    for credential, (key, password_hash) in claimed.items():
        user = users.get(key)
        if user is None or (password_hash is not None and not _same_password(user, password_hash)):
            continue
        own = rights.get(key, set())
        heard = {topic.name for topic in topics if user.is_superuser or topic.right in own}
        if heard:
            heard |= {topic.name for topic in topics if topic.personal}
        found[credential] = Person(key, credential, frozenset(heard), everything=user.is_superuser)
    return found


def _one(credential: Credential, at: datetime) -> Person | None:
    return look_again([credential], at=at).get(credential)


_Claim = tuple[Credential, tuple[int, str | None]]


def _by_tokens(credentials: Collection[Credential], at: datetime) -> Iterator[_Claim]:
    keys = [item.token for item in credentials if item.token]
    alive = Q(expires_at=None) | Q(expires_at__gt=at)
    rows = ApiToken.objects.filter(alive, pk__in=keys, revoked_at=None, user__isnull=False) if keys else ()
    for row in rows:
        if row.user_id is not None:
            yield Credential(token=row.pk), (row.user_id, None)


def _by_sessions(credentials: Collection[Credential], at: datetime) -> Iterator[_Claim]:
    keys = [item.session for item in credentials if item.session]
    for row in Session.objects.filter(session_key__in=keys, expire_date__gt=at) if keys else ():
        said = row.get_decoded()
        user_id = str(said.get(SESSION_KEY, ""))
        if user_id.isdecimal() and not is_idle(said, at.timestamp()):
            yield Credential(session=row.session_key), (int(user_id), str(said.get(HASH_SESSION_KEY, "")))


def _same_password(user: User, password_hash: str) -> bool:
    """As Django asks with each request: a changed password ends all other sessions."""
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(password_hash, item) for item in hashes)


def _rights_of(users: Mapping[int, User]) -> dict[int, set[str]]:
    """Of those who are no administrators, which of the topics' rights they have."""
    asked = [key for key, user in users.items() if not user.is_superuser]
    if not asked:
        return {}
    rights = {topic.right for topic in registered_topics().values() if topic.right}
    permissions = Permission.objects.filter(codename__in={right.partition(".")[2] for right in rights})
    found: dict[int, set[str]] = {}
    for way in ("user", "group__user"):
        rows = permissions.filter(**{f"{way}__in": asked}).order_by()
        for key, app, codename in rows.values_list(way, "content_type__app_label", "codename"):
            found.setdefault(key, set()).add(f"{app}.{codename}")
    return found
