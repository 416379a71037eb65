"""If-Match of connection settings."""

from __future__ import annotations

from rest_framework.request import Request

from connections.errors import SettingsChanged
from foundation import etags
from foundation.messages import Message


def settings_editions_named(request: Request) -> frozenset[int] | None:
    """The editions that the edit may be based on; ``None`` for any. Raises `SettingsChanged` for what is no ETag of ours."""
    said = Message("connection-settings-etag", 'If-Match is no ETag of these settings; it looks like "3".')
    return etags.editions_named(request, SettingsChanged(said))
