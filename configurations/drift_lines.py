"""What timelines say of offers that drift brought about. Knows values alone, no rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.extensions import TimelineKind

OFFERED_AGAIN = "offered_again"


def _offered_again(data: Mapping[str, Any]) -> str:
    said = {"what": f"{data.get('configuration', '')} r{data.get('revision', '')}", "offers": data.get("offers", "")}
    return _("Runs something else than it applied: %(what)s offered again, offer %(offers)s") % said


DRIFT_KINDS = (TimelineKind(OFFERED_AGAIN, gettext_lazy("Offered again"), _offered_again),)
