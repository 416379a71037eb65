"""``{% jobs_flyout %}``: what the reader has under way, and what of it ended lately, on every page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import template
from django.db import DatabaseError
from django.db.models import Q
from django.urls import reverse

from foundation.clock import clock
from foundation.languages import in_readers_language
from jobs.jobs_shown import job_pill
from jobs.models import LIVE, Job

register = template.Library()

_LATELY = timedelta(minutes=15)
_MOST = 5


@register.inclusion_tag("admin/jobs/flyout.html", takes_context=True)
def jobs_flyout(context: template.Context) -> dict[str, Any]:
    """The reader's own newest jobs that are live or ended lately; one query, which an index answers.

    Nothing while the database is away, of which the page tells itself.
    """
    request = context.get("request")
    if not context.get("has_permission") or request is None:
        return {"jobs": []}
    shown = Q(state__in=LIVE) | Q(ended_at__gte=clock.now() - _LATELY)
    try:
        rows = list(Job.objects.filter(shown, started_by=request.user.pk).order_by("-pk")[:_MOST])
    except DatabaseError:
        rows = []
    return {
        "address": reverse("admin:jobs_flyout"),
        "jobs": [{"row": row, "title": in_readers_language(row.title_message), "pill": job_pill(row)} for row in rows],
        "running": sum(row.is_live for row in rows),
    }
