"""Guessing passwords meets growing pauses, per account at an address and per address; no account is shut for everybody.

An attempt is counted before its password is looked at, so that many at once are no way round; a right password takes its
own back. Counts leak away. They are rows, since all processes must see them and signing in needs the database anyway: a
lost cache changes nothing. Kept is a digest of account and address, since people type passwords where names belong.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import SignInAttempts
from foundation.addresses import limit_key

# Rows that nobody added to for so long say nothing any more: every count has leaked away.
_KEPT = timedelta(days=1)
_MOST_ROWS = 50_000
_DELETED_AT_ONCE = 500
_FIRST_PAUSE_SECONDS = 5.0
_MOST_COUNTED = 20.0


@dataclass(frozen=True, slots=True)
class _Limit:
    """``free`` attempts without a pause; one is forgotten every ``leak`` seconds; no pause is longer than ``longest``."""

    free: int
    leak: float
    longest: float

    def pause(self, level: float) -> float:
        """Seconds that the attempt which brought the count to ``level`` costs the next one: 5, 10, 20 and so on."""
        over = round(level) - self.free
        return 0.0 if over < 0 else float(min(_FIRST_PAUSE_SECONDS * 2.0 ** min(over, 30), self.longest))


_ACCOUNT_AT_ADDRESS = _Limit(free=5, leak=3_600.0, longest=900.0)
# Many people may share one address; it is for those who try one password on many accounts.
_ADDRESS = _Limit(free=30, leak=60.0, longest=300.0)


class SignInPaused(Exception):
    """Too many wrong passwords: nothing was looked at. ``seconds``, at least 1, are what is left of the pause."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"paused for {seconds} s")
        self.seconds = seconds


def count_attempt(account: str, address: str, *, at: datetime) -> None:
    """Count an attempt to name the password of ``account``. Raises `SignInPaused`, and then counts nothing."""
    limits = _limits(account, address)
    # Without a lock: whoever is paused already costs one read, however often they ask.
    for row in SignInAttempts.objects.filter(key__in=limits):
        _refuse_if_paused(row, limits[row.key], at)
    _make_room(at)
    with transaction.atomic():
        for key in sorted(limits):
            limit = limits[key]
            SignInAttempts.objects.get_or_create(key=key, defaults={"counted_at": at})
            row = SignInAttempts.objects.select_for_update().get(key=key)
            _refuse_if_paused(row, limit, at)
            row.level = min(_level(row, limit, at) + 1, limit.free + _MOST_COUNTED)
            row.counted_at = at
            pause = limit.pause(row.level)
            row.paused_until = at + timedelta(seconds=pause) if pause else None
            row.save()


def forgive(account: str, address: str, *, at: datetime) -> None:
    """The attempt that was counted last was right: the account starts anew at this address, the address loses one."""
    limits = _limits(account, address)
    with transaction.atomic():
        for row in SignInAttempts.objects.select_for_update().filter(key__in=limits).order_by("key"):
            if limits[row.key] is _ACCOUNT_AT_ADDRESS:
                row.delete()
            else:
                row.level = max(_level(row, _ADDRESS, at) - 1, 0.0)
                row.paused_until = None
                row.save()


def _refuse_if_paused(row: SignInAttempts, limit: _Limit, at: datetime) -> None:
    left = (row.paused_until - at).total_seconds() if row.paused_until else 0.0
    # A pause that is longer than any was made by a clock that ran ahead.
    if 0 < left <= limit.longest:
        raise SignInPaused(math.ceil(left))


def _level(row: SignInAttempts, limit: _Limit, at: datetime) -> float:
    return max(0.0, row.level - max(0.0, (at - row.counted_at).total_seconds()) / limit.leak)


def _limits(account: str, address: str) -> dict[str, _Limit]:
    network = limit_key(address)
    return {_key("account", account.casefold(), network): _ACCOUNT_AT_ADDRESS, _key("address", network): _ADDRESS}


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _make_room(at: datetime) -> None:
    """Rows that mean nothing any more go; beyond the most there may be, the oldest as well; a few hundred at a time."""
    oldest = SignInAttempts.objects.order_by("counted_at")
    with transaction.atomic():
        useless = oldest.filter(counted_at__lt=at - _KEPT).select_for_update(skip_locked=True)[:_DELETED_AT_ONCE]
        SignInAttempts.objects.filter(key__in=[row.key for row in useless]).delete()
        if oldest.values("key")[:_MOST_ROWS].count() >= _MOST_ROWS:
            spare = oldest.select_for_update(skip_locked=True)[:_DELETED_AT_ONCE]
            SignInAttempts.objects.filter(key__in=[row.key for row in spare]).delete()
