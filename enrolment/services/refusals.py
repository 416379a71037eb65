"""Tokens that let nobody in, for the metrics and the audit trail: a row for each token and reason now and then, not for each try.

Whoever tries again and again, a fleet whose token has expired or somebody who guesses, must not fill the trail: the next row
says how many there were.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from accounts import services as accounts
from agents.credentials import Denial
from enrolment import metrics
from enrolment.models import EnrolmentToken

# One row in so many seconds for each token and reason, in each process.
_PAUSE_SECONDS = 900.0
# Tokens and reasons that are told apart.
_MOST = 1_000

_lock = threading.Lock()
_noted: OrderedDict[tuple[int, str], _Tally] = OrderedDict()


@dataclass(slots=True)
class _Tally:
    """Refusals since the last row. ``written_at`` is `time.monotonic` in seconds."""

    written_at: float = float("-inf")
    times: int = 0


def count(token_id: int, denial: Denial) -> bool:
    """Note a refusal, of token 0 where nobody knows which; true when it is time to `write`."""
    metrics.TOKEN_REFUSALS.labels(denial.value).inc()
    with _lock:
        tally = _noted.setdefault((token_id, denial.value), _Tally())
        _noted.move_to_end((token_id, denial.value))
        while len(_noted) > _MOST:
            _noted.popitem(last=False)
        tally.times += 1
        return time.monotonic() - tally.written_at >= _PAUSE_SECONDS


def write(token_id: int, denial: Denial) -> None:
    """Add the row that `count` found due, in the caller's transaction."""
    with _lock:
        tally = _noted.setdefault((token_id, denial.value), _Tally())
        if time.monotonic() - tally.written_at < _PAUSE_SECONDS:
            return
        times, tally.times, tally.written_at = max(tally.times, 1), 0, time.monotonic()
    row = EnrolmentToken.objects.filter(pk=token_id).first() if token_id else None
    name = row.name if row is not None else "–"
    said = {"reason": denial.value, "count": times}
    accounts.record(by=None, verb="enrolment_token.refuse", target=row or EnrolmentToken(), name=name, data=said)


def forget_refusals() -> None:
    """Begin anew; for tests."""
    with _lock:
        _noted.clear()
