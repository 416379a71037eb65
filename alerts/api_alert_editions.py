"""If-Match of rules and receivers."""

from __future__ import annotations

from rest_framework.request import Request

from alerts.errors import ChangedMeanwhile
from foundation.etags import editions_named
from foundation.messages import Message


def alert_editions_of(request: Request) -> frozenset[int] | None:
    """The editions that the edit may be based on; ``None`` for any. Raises `ChangedMeanwhile` for what is no ETag of ours."""
    said = Message("alerting-etag", 'If-Match is no ETag of this; it looks like "3".')
    return editions_named(request, ChangedMeanwhile(said))
