"""What timelines say of enrolment. Knows values alone, no rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.extensions import TimelineKind

ENROLLED, APPROVAL, REJECTED = "enrolled", "approval", "rejected"


def _enrolled(data: Mapping[str, Any]) -> str:
    return _("Came by the enrolment token %(token)s") % {"token": data.get("token", "")}


def _decided(data: Mapping[str, Any]) -> str:
    said = {"by": data.get("by") or _("the system")}
    if data.get("approval") == REJECTED:
        return _("Rejected by %(by)s") % said
    return _("Approved by %(by)s") % said


TIMELINE_KINDS = (
    TimelineKind(ENROLLED, gettext_lazy("Enrolled"), _enrolled),
    TimelineKind(APPROVAL, gettext_lazy("Approval"), _decided),
)
