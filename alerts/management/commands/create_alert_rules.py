"""``manage.py create_alert_rules``: rules to start with."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from alerts.services.proposed_rules import create_proposed
from foundation.clock import clock


class Command(BaseCommand):
    """Creates a rule of each kind that has none; rules that exist keep every change made to them."""

    help = "Create alert rules to start with; kinds that have a rule are left alone."

    def handle(self, *args: Any, **options: Any) -> None:
        """Through the same service as the portal."""
        made = create_proposed(by=None, at=clock.now())
        for rule in made:
            self.stdout.write(f"{rule.name}: created")
        if not made:
            self.stdout.write("each kind has a rule already")
