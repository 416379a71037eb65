"""What the audit trail tells other apps. Knows neither rows nor who listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from foundation.events import Event


@dataclass(frozen=True, slots=True)
class AuditEvent(Event):
    """Somebody did something, and the audit trail says so.

    ``actor_id`` is ``None`` when it was the portal itself, or somebody who is not known; ``actor_name`` says who then. An entry
    that grows with each transaction of one act (`accounts.services.one_entry`) comes again with each, under the same
    ``entry_id``; the last says all. ``object_id`` is empty for many objects, which ``data`` lists. ``at`` is the portal's clock.
    """

    entry_id: int
    at: datetime
    actor_id: int | None
    actor_name: str
    verb: str
    object_type: str
    object_id: str
    object_name: str
    data: Mapping[str, Any]
