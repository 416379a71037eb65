"""How many new agents of one address come in, and what people are told when it were too many.

Only agents that the fleet does not have count: a fleet that comes back is not held up.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from opamp_transport.limits import AddressLimit

logger = logging.getLogger(__name__)

_HOUR_SECONDS = 3_600
_NOTE = "opamp.newcomers_refused"


class Newcomers:
    """New agents of each address in this process: a fleet at once, then a trickle. Several database threads ask."""

    def __init__(self) -> None:
        most = settings.OPAMP_NEW_AGENTS_PER_HOUR
        self._limit = AddressLimit(most / _HOUR_SECONDS, burst=float(most))
        self._lock = threading.Lock()
        self._refused = ""

    def admits(self, address: str) -> bool:
        """Whether this address may bring one more; if so it has."""
        with self._lock:
            if not self._limit.take(address, time.monotonic()):
                return True
            self._refused = address
            return False

    def tell(self, at: datetime) -> None:
        """Leave a note for the overview of whichever process, when somebody was refused since the last time."""
        with self._lock:
            address, self._refused = self._refused, ""
        if not address:
            return
        try:
            cache.set(_NOTE, (address, at), _HOUR_SECONDS)
        except (RedisError, OSError) as error:
            logger.warning("the overview cannot be told of refused agents", extra={"error": str(error)[:200]})


def refused_lately() -> tuple[str, datetime] | None:
    """An address whose new agents were refused within the hour, and when."""
    try:
        noted: tuple[str, datetime] | None = cache.get(_NOTE)
    except (RedisError, OSError):
        return None
    return noted
