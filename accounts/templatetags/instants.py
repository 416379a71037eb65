"""A time on a page, as its reader's zone has it, with the exact instant on hover."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def instant(at: datetime | None) -> SafeString | str:
    """``2026-11-29 14:34``, on hover with seconds and zone; a dash for no time."""
    if not at:
        return "–"
    return time_tag(at, date_format(timezone.localtime(at), "DATETIME_FORMAT"))


def time_tag(at: datetime, shown: str) -> SafeString:
    """A ``time`` element that says ``shown``, with the exact instant on hover."""
    local = timezone.localtime(at)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', local.isoformat(), f"{local:%Y-%m-%d %H:%M:%S %Z}", shown
    )
