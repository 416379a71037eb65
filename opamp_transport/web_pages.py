"""What the consumers refuse before they look at secrets and rates: web pages of others, and strangers where nobody is asked.

A page in the browser of somebody who can reach the portal must be no agent: it would receive configurations.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings

from opamp_transport.admission import Refusal
from opamp_transport.message_io import Scope
from opamp_transport.origins import KnownOrigins, host_problem, is_loopback, known_by, page_problem, split_host

# So long a browser may remember what it was told about an origin (seconds).
_PREFLIGHT_SECONDS = 600
_REQUEST_HEADERS = "Authorization, Secret-Key, Content-Type, Content-Encoding"


def refused_page(scope: Scope, headers: Mapping[str, str]) -> Refusal | None:
    """403 for a request of a page that may not speak OpAMP, and for one that nobody asks for a secret where they should.

    An agent that shows a secret and names no origin is let through whatever name it came to.
    """
    page = "origin" in headers
    if settings.OPAMP_SECRET_KEY and not page:
        return None
    host, known = headers.get("host", ""), _known()
    if page:
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"origin"]
        problem = page_problem(origins, scheme=_scheme(scope, headers), host=host, known=known)
        if problem is not None:
            return Refusal(403, "foreign origin", problem)
    if settings.OPAMP_SECRET_KEY:
        return None
    problem = host_problem(host, known)
    if problem is not None:
        return Refusal(403, "unknown host", problem)
    if not settings.OPAMP_ALLOW_ANONYMOUS_AGENTS and not _arrived_on_loopback(scope):
        return Refusal(
            403,
            "no secret is set",
            "Without OPAMP_SECRET_KEY agents come in on loopback alone. Set it, or OPAMP_ALLOW_ANONYMOUS_AGENTS=true.",
        )
    return None


def portals_page_problem(scope: Scope, headers: Mapping[str, str]) -> str | None:
    """Why a WebSocket of the portal's own is refused: it was opened by a page of others, or by a name that is not the portal's.

    Pages that may speak OpAMP are none of the portal's. ``None`` when nothing speaks against it.
    """
    host, names = headers.get("host", ""), tuple(settings.ALLOWED_HOSTS)
    own = split_host(host, 80)
    if "*" in names and own is not None:
        # As for all pages: under a name that somebody else points here a browser has no session, and nobody has a token.
        names = (*names, own[0])
    known = known_by(names, tuple(settings.CSRF_TRUSTED_ORIGINS), ())
    if "origin" not in headers:
        return host_problem(host, known)
    origins = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"origin"]
    if page_problem(origins, scheme=_scheme(scope, headers), host=host, known=known) is None:
        return None
    return "This page is none of the portal's. See CSRF_TRUSTED_ORIGINS and ALLOWED_HOSTS."


def preflight(scope: Scope, headers: Mapping[str, str]) -> dict[str, str] | None:
    """Headers of the answer to a page that asks whether it may post (Fetch, CORS-preflight); ``None`` for no such request.

    Only for what `refused_page` let through.
    """
    if scope["method"] != "OPTIONS" or "access-control-request-method" not in headers:
        return None
    answer = {
        **readable(headers),
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": _REQUEST_HEADERS,
        "access-control-max-age": str(_PREFLIGHT_SECONDS),
    }
    if "access-control-request-private-network" in headers:
        answer["access-control-allow-private-network"] = "true"
    return answer


def readable(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that let the page which was let through read the answer; none for agents, who name no origin."""
    origin = headers.get("origin")
    return {} if origin is None else {"access-control-allow-origin": origin, "vary": "Origin"}


def _known() -> KnownOrigins:
    return known_by(
        tuple(settings.ALLOWED_HOSTS), tuple(settings.CSRF_TRUSTED_ORIGINS), tuple(settings.OPAMP_ALLOWED_ORIGINS)
    )


def _scheme(scope: Scope, headers: Mapping[str, str]) -> str:
    """How the request left its sender: as a trusted proxy says, else as it arrived."""
    if settings.OPAMP_TRUSTED_PROXIES:
        named = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
        if named:
            return named
    return str(scope.get("scheme") or "http")


def _arrived_on_loopback(scope: Scope) -> bool:
    """False when the address of ours that was called is one that other machines reach; a socket file has none."""
    server = scope.get("server")
    try:
        return not server or not server[0] or is_loopback(str(server[0]))
    except ValueError:
        return True  # a name, as no server of ours gives it
