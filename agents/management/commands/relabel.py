"""``manage.py relabel``: what ``serve`` does at its start, for other servers."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from agents.models import Agent
from agents.services.labelling import apply_trusted_keys
from foundation import command_progress
from foundation.clock import clock


class Command(BaseCommand):
    """Labels follow a changed ``OPAMP_TRUSTED_LABEL_KEYS``."""

    help = "Compute the labels of all agents anew after OPAMP_TRUSTED_LABEL_KEYS was changed."

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how many agents have other labels now."""
        with command_progress.progress_shown("agents labelled", total=Agent.objects.count()):
            moved = apply_trusted_keys(at=clock.now())
        self.stdout.write(f"{moved} agents have other labels now.")
