"""Configurations that nobody runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from alerts.models import MOST_SAMPLED, AlertRule
from alerts.rule_kinds.base import AlertKind
from alerts.subjects_firing import FiringSubject, Sampled
from configurations.models import Configuration
from foundation.messages import Message


class ConfigurationUnmatched(AlertKind):
    """Enabled configurations that no agent should run."""

    name = "configuration_unmatched"
    title = _("A configuration has no agents")
    about = _("Enabled configurations that no agent should run: a label may be misspelt.")
    right = "configurations.view_configuration"

    def evaluate(self, rule: AlertRule, now: datetime) -> list[FiringSubject]:
        """One alert for all of them."""
        counted: QuerySet[Any] = Configuration.objects.enabled().with_matched_agents()
        rows = counted.filter(matched_agents=0).order_by("name")
        count = rows.count()
        if not count:
            return []
        sample = [Sampled(row.name, "configuration", row.pk) for row in rows.only("name")[:MOST_SAMPLED]]
        said = Message(
            "alert-configuration-unmatched",
            "Enabled configurations without agents: {names}",
            names=", ".join([*(one.name for one in sample[:5]), *(["…"] if count > 5 else [])]),
        )
        return [FiringSubject("", said, count, None, sample)]
