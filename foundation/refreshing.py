"""Pages that read themselves again by a script (`static/portal/live.js`) say so with each request."""

from __future__ import annotations

from django.http import HttpRequest


def refreshes_itself(request: HttpRequest) -> bool:
    """Whether nobody asked: the answer needs only what changes by itself, and the session is as idle as before."""
    return request.headers.get("X-Portal-Refresh") == "live"
