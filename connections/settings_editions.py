"""ETag and If-Match of connection settings (RFC 9110 section 13.1)."""

from __future__ import annotations

import re

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from connections.errors import SettingsChanged
from connections.models import ConnectionSettings
from foundation.messages import Message

IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description='The ETags that the edit may be based on, such as `"3"`, or `*`; 412 when none is the present one.',
)
_TAG = re.compile(r'\s*(?:W/)?"([0-9]{1,9})"\s*')


def settings_etag(row: ConnectionSettings) -> str:
    """Another one with every edit."""
    return f'"{row.edition}"'


def editions_named(request: Request) -> frozenset[int] | None:
    """The editions that the edit may be based on; ``None`` for any. Raises `SettingsChanged` for what is no ETag of ours."""
    header = request.headers.get("If-Match", "").strip()
    if header in ("", "*"):
        return None
    found = [_TAG.fullmatch(part) for part in header.split(",")]
    if not all(found):
        raise SettingsChanged(
            Message("connection-settings-etag", 'If-Match is no ETag of these settings; it looks like "3".')
        )
    return frozenset(int(each[1]) for each in found if each)
