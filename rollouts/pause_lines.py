"""What timelines say of the pauses of an agent. Knows values alone, no rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.extensions import TimelineKind


def until_words(data: Mapping[str, Any]) -> str:
    """The end that a line's values name, in the reader's language; empty for none."""
    at = parse_datetime(str(data.get("expires_at") or ""))
    return "" if at is None else date_format(localtime(at), "DATETIME_FORMAT")


def _paused(data: Mapping[str, Any]) -> str:
    said = {"by": data.get("by") or _("the system"), "reason": data.get("reason", ""), "until": until_words(data)}
    if said["until"]:
        return _("Paused by %(by)s until %(until)s: %(reason)s") % said
    return _("Paused by %(by)s: %(reason)s") % said


def _resumed(data: Mapping[str, Any]) -> str:
    if data.get("by"):
        return _("The pause was ended by %(by)s") % {"by": data["by"]}
    return _("The time of the pause is over")


PAUSE_KINDS = (
    TimelineKind("paused", gettext_lazy("Paused"), _paused),
    TimelineKind("resumed", gettext_lazy("Resumed"), _resumed),
)
