"""How long ago something was, as people say it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from accounts.clock import clock

register = template.Library()


@register.filter
def ago(at: datetime) -> str:
    """``just now``, or the largest unit alone: ``3 hours ago``. Clocks that run ahead count as now."""
    now = clock.now()
    if now - at < timedelta(minutes=1):
        return _("just now")
    return _("%(time)s ago") % {"time": timesince(at, now, depth=1)}
