"""How long ago something was, and how often, as people say it."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from django import template
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.timezone import localtime
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts.templatetags.instants import time_tag
from agents.models import AgentEvent
from foundation.clock import clock

register = template.Library()

_MINUTE, _HOUR, _DAY, _WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
# Beyond four weeks the words depend on how long the months were.
_ALIKE = 4 * _WEEK
_ANY_DAY = datetime(2001, 1, 1)  # noqa: DTZ001  only differences count


@register.filter
def ago(at: datetime) -> str:
    """``just now``, or the largest unit alone: ``3 hours ago``. Clocks that run ahead count as now."""
    now = clock.now()
    passed = now - at
    if passed < _MINUTE:
        return _("just now")
    if passed < _ALIKE:
        unit = next(unit for unit in (_WEEK, _DAY, _HOUR, _MINUTE) if passed >= unit)
        return _words(passed // unit * unit, get_language())
    return _("%(time)s ago") % {"time": timesince(at, now, depth=1)}


@register.filter
def time_element(at: datetime) -> SafeString:
    """How long ago, as a ``time`` element with the time itself on hover."""
    return time_tag(at, ago(at))


@register.filter
def day_element(at: datetime) -> SafeString:
    """The day alone, as a ``time`` element with the time itself on hover."""
    return time_tag(at, date_format(localtime(at)))


@register.filter
def repeats(event: AgentEvent) -> SafeString | str:
    """Behind the text of a line: how often it was said in all, and when last; nothing for one that was said once."""
    if event.last_at is None:
        return ""
    times = _("%(times)s times, the last") % {"times": event.count}
    return format_html(' <span class="quiet">· {} {}</span>', times, time_element(event.last_at))


@lru_cache(maxsize=1_024)
def _words(passed: timedelta, _language: str | None) -> str:
    """Asking Django for the words takes long, and there are a hundred of them in a language."""
    return _("%(time)s ago") % {"time": timesince(_ANY_DAY, _ANY_DAY + passed, depth=1)}
