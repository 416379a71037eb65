"""The bell on every page of the admin: ``{% alert_bell %}``."""

from __future__ import annotations

from typing import Any

from django import template
from django.db import DatabaseError

from alerts.bell import bell

register = template.Library()


@register.inclusion_tag("admin/alerts/bell.html", takes_context=True)
def alert_bell(context: template.Context) -> dict[str, Any]:
    """For who may see alerts; nothing while the database is away, of which the page tells itself."""
    request = context.get("request")
    if not context.get("has_permission") or request is None or not request.user.has_perm("alerts.view_alert"):
        return {"shown": False}
    try:
        return {"shown": True, "count": bell.count()}
    except DatabaseError:
        return {"shown": False}
