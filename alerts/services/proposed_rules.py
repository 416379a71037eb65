"""Rules to start with: nobody gets any without asking, since an upgrade must not make noise."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from accounts.models import User
from alerts.models import AlertRule, AlertSeverity
from alerts.rule_kinds import KINDS
from alerts.services.rule_edits import create_rule

# What differs from the defaults of the kind.
PROPOSED: dict[str, dict[str, Any]] = {
    "agents_gone": {"parameters": {"minutes": 15}},
    "agents_unhealthy": {},
    "configuration_failed": {"group_by": AlertRule.Grouping.CONFIGURATION},
    "rollout_stopped": {"dwell_seconds": 0},
    "agents_drifted": {"dwell_seconds": 900, "severity": AlertSeverity.INFO},
    "expiring": {"dwell_seconds": 0, "repeat_seconds": 24 * 3600},
    # A portal that is started anew has its agents back within a minute or two.
    "fleet_dropped": {"dwell_seconds": 180, "severity": AlertSeverity.CRITICAL},
    "configuration_unmatched": {"dwell_seconds": 3_600, "severity": AlertSeverity.INFO, "repeat_seconds": 0},
}


def create_proposed(*, by: User | None, at: datetime) -> list[AlertRule]:
    """A rule of each kind that has none, called what the kind is called in the reader's language; returns what was made."""
    present = set(AlertRule.objects.values_list("kind", flat=True))
    names = set(AlertRule.objects.values_list("name", flat=True))
    made = []
    for kind, values in PROPOSED.items():
        title = str(KINDS[kind].title)
        if kind not in present and title not in names:
            made.append(create_rule({"name": title, "kind": kind, **values}, by=by, at=at))
    return made
