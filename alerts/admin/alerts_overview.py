"""What the overview shows of alerts: those that fire, each with the agents it is about, and rules that cannot be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, IntegerField, When
from django.http import HttpRequest
from django.urls import reverse

from alerts.admin.shared import severity_pill
from alerts.alert_words import alert_query
from alerts.alerts_shown import alert_text
from alerts.models import Alert, AlertRule, AlertSeverity
from foundation.overview import OverviewPanel, register_overview_panel

_MOST = 8


def agents_url(alert: Alert) -> str:
    """The list of exactly the agents that it is about now; empty when it is about none."""
    query = alert_query(alert)
    return f"{reverse('admin:agents_agent_changelist')}?{urlencode({'q': query})}" if query else ""


def firing_panel(request: HttpRequest) -> Mapping[str, Any] | None:
    """The worst first, of each severity the newest; nothing where nothing fires."""
    if not request.user.has_perm("alerts.view_alert"):
        return None
    places = (When(severity=name, then=place) for place, name in enumerate(AlertSeverity.values))
    worst = Case(*places, default=0, output_field=IntegerField())
    rows = list(Alert.objects.firing().annotate(worst=worst).order_by("-worst", "-pk")[:_MOST])
    broken = 0
    if request.user.has_perm("alerts.view_alertrule"):
        broken = AlertRule.objects.filter(enabled=True, problem__isnull=False).count()
    if not rows and not broken:
        return None
    may_list = request.user.has_perm("agents.view_agent")
    return {
        "alerts": [
            {
                "alert": row,
                "pill": severity_pill(row.severity),
                "text": alert_text(row),
                "agents_url": agents_url(row) if may_list else "",
            }
            for row in rows
        ],
        "firing": Alert.objects.firing().order_by().count() if len(rows) == _MOST else len(rows),
        "broken": broken,
    }


def register() -> None:
    """Onto the overview."""
    register_overview_panel(OverviewPanel("alerts", "overview/alerts.html", firing_panel, rank=3, wide=True))
