"""What timelines say of the pins of an agent. Knows values alone, no rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.extensions import TimelineKind
from rollouts.pause_lines import until_words


def _pinned(data: Mapping[str, Any]) -> str:
    number = data.get("revision")
    said = {
        "by": data.get("by") or _("the system"),
        "reason": data.get("reason", ""),
        "until": until_words(data),
        "what": f"{data.get('configuration', '')} r{number}" if number else data.get("configuration", ""),
    }
    if said["until"]:
        return _("Pinned to %(what)s by %(by)s until %(until)s: %(reason)s") % said
    return _("Pinned to %(what)s by %(by)s: %(reason)s") % said


def _unpinned(data: Mapping[str, Any]) -> str:
    said = {"by": data.get("by"), "what": data.get("configuration", "")}
    if said["by"]:
        return _("Unpinned from %(what)s by %(by)s") % said
    return _("The time of the pin to %(what)s is over") % said


PIN_KINDS = (
    TimelineKind("pinned", gettext_lazy("Pinned"), _pinned),
    TimelineKind("unpinned", gettext_lazy("Unpinned"), _unpinned),
)
