"""What this process knows of tokens without asking: bounded, and never older than a few seconds.

A token that is shown again and again, by a fleet that polls, costs a query every `_KEPT_SECONDS`, so that a token that was
revoked elsewhere is of no use here after that time. While the database is away what was known last goes on.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from django.db import DatabaseError

from enrolment.models import EnrolmentToken
from enrolment.tokens import TokenState

# Revoking is effective within 5 s everywhere.
_KEPT_SECONDS = 3.0
_MOST = 1_000

_known: OrderedDict[str, tuple[float, TokenState | None]] = OrderedDict()
_lock = threading.Lock()


def recalled(number: str) -> tuple[bool, TokenState | None]:
    """Whether the token with this number was looked up lately, and what was found: ``None`` for no token. From memory."""
    with _lock:
        read_at, state = _known.get(number, (float("-inf"), None))
    return time.monotonic() - read_at < _KEPT_SECONDS, state


def look_up(number: str) -> TokenState | None:
    """The token with this number, read anew. Raises `DatabaseError` unless something was known of it."""
    now = time.monotonic()
    try:
        row = EnrolmentToken.objects.filter(number=number).first()
    except DatabaseError:
        with _lock:
            if number in _known:
                return _known[number][1]
        raise
    state = None if row is None else row.state()
    with _lock:
        _known[number] = (now, state)
        _known.move_to_end(number)
        while len(_known) > _MOST:
            _known.popitem(last=False)
    return state


def forget_tokens() -> None:
    """Look up all anew: something was changed here."""
    with _lock:
        _known.clear()
