"""Who sends a request, and whether they may send anything long: asked by its head, before more of its body is read.

The view decides once more, and exactly; here nobody is refused whom it would let in.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.http import parse_cookie

from accounts.models import User
from notifications import people


def names_somebody(headers: Mapping[str, str]) -> bool:
    """Whether there is anything that `sender_of` would look up. Names of ``headers`` are in lower case, here and below."""
    return any(_credentials(headers))


def sender_of(headers: Mapping[str, str], *, at: datetime) -> User | None:
    """Whose API token or session it is; ``None`` where it is nobody's, or was somebody's once."""
    token, session = _credentials(headers)
    person = people.by_token(token, at=at) if token else people.by_session(session, at=at)
    return None if person is None else User.objects.filter(pk=person.user_id).first()


def may_send(user: User, *, right: str = "") -> bool:
    """Whether ``user`` has this ``right``, or, where it is empty, any but to look at things."""
    if right:
        return user.has_perm(right)
    return any(".view_" not in each for each in user.get_all_permissions())


def _credentials(headers: Mapping[str, str]) -> tuple[str, str]:
    """The text of an API token or the key of a session; beside a token, however wrong, no session counts, as for the API."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return text.strip(), ""
    return "", parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME, "")
