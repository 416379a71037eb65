"""ETag and If-Match of rows that count their editions (RFC 9110 section 13.1)."""

from __future__ import annotations

import re
from typing import Protocol

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from foundation.errors import DomainError

IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description='The ETags that the edit may be based on, such as `"3"`, or `*`; 412 when none is the present one.',
)
_TAG = re.compile(r'\s*(?:W/)?"([0-9]{1,9})"\s*')


class HasEdition(Protocol):
    """A row whose ``edition`` every edit counts up."""

    edition: int


def edition_etag(row: HasEdition) -> str:
    """Another one with every edit."""
    return f'"{row.edition}"'


def editions_named(request: Request, refusal: DomainError) -> frozenset[int] | None:
    """The editions that the edit may be based on; ``None`` for any. Raises ``refusal`` for what is no ETag of ours."""
    header = request.headers.get("If-Match", "").strip()
    if header in ("", "*"):
        return None
    found = [_TAG.fullmatch(part) for part in header.split(",")]
    if not all(found):
        raise refusal
    return frozenset(int(each[1]) for each in found if each)
