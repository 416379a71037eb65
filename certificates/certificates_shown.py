"""What people are shown of certificates: pills, times, the section of an agent's page. Reads only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.extensions import Panel
from agents.models import Agent
from certificates.models import AgentCertificate
from foundation.clock import clock

State = AgentCertificate.State
# So many rows the page of an agent shows.
_SHOWN = 10
SOON = timedelta(days=30)
_PILLS = {
    State.PENDING: ("configuring", "◔"),
    State.APPROVED: ("configuring", "…"),
    State.ISSUED: ("connected", "✔"),
    State.DENIED: ("disconnected", "✖"),
    State.FAILED: ("error", "!"),
    State.REVOKED: ("error", "✖"),
}


def certificate_pill(row: AgentCertificate) -> SafeString:
    """The state as text and sign; one whose time is over says so."""
    if is_expired(row):
        return format_html('<span class="pill pill-disconnected">○ {}</span>', _("expired"))
    look, sign = _PILLS[State(row.state)]
    return format_html('<span class="pill pill-{}">{} {}</span>', look, sign, State(row.state).label)


def is_expired(row: AgentCertificate) -> bool:
    """Whether it was issued and its time is over."""
    return row.state == State.ISSUED and row.not_after is not None and row.not_after <= clock.now()


def _panel(request: HttpRequest, agent: Agent) -> dict[str, Any]:
    rows = AgentCertificate.objects.visible_to(request.user).filter(agent=agent).order_by("-pk")[:_SHOWN]
    soon = clock.now() + SOON
    return {
        "certificates": [
            {
                "row": row,
                "pill": certificate_pill(row),
                "ends_soon": row.state == State.ISSUED and row.not_after is not None and row.not_after <= soon,
            }
            for row in rows
        ]
    }


CERTIFICATES_PANEL = Panel(
    "certificates", "panels/certificates.html", _panel, gettext_lazy("Certificates"), tab="connections"
)
