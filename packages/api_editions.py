"""If-Match of packages."""

from __future__ import annotations

from rest_framework.request import Request

from foundation.etags import editions_named
from foundation.messages import Message
from packages.errors import PackageChanged


def editions_of(request: Request) -> frozenset[int] | None:
    """The editions that the edit may be based on; ``None`` for any. Raises `PackageChanged` for what is no ETag of ours."""
    refusal = PackageChanged(Message("package-etag", 'If-Match is no ETag of this package; it looks like "3".'))
    return editions_named(request, refusal)
