"""``manage.py create_samples``: a few Collector configurations to try the portal with."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agents.remote_config import ConfigFile
from configurations.examples import collector_example
from configurations.services.drafts import Draft, InvalidConfiguration
from configurations.services.edit_errors import NameTaken
from configurations.services.publishing import create_configuration
from foundation.clock import clock
from foundation.command_progress import advance_progress, progress_shown


def _draft(display_name: str, selector: dict[str, Any], *, priority: int, limit_mib: int, verbosity: str) -> Draft:
    """A one-file Collector configuration for the agents that ``selector`` matches."""
    text = collector_example(limit_mib=limit_mib, verbosity=verbosity)
    return Draft(
        display_name=display_name,
        description="A sample: change it, or delete it.",
        priority=priority,
        selector=selector,
        files={"": ConfigFile(text.encode(), "text/yaml")},
    )


SAMPLES = {
    "linux-default": _draft("Linux hosts", {"os.type": "linux"}, priority=0, limit_mib=256, verbosity="basic"),
    "windows-default": _draft("Windows hosts", {"os.type": "windows"}, priority=0, limit_mib=512, verbosity="basic"),
    "production": _draft(
        "Production",
        {"matchExpressions": [{"key": "env", "operator": "In", "values": ["prod", "production"]}]},
        priority=10,
        limit_mib=1024,
        verbosity="normal",
    ),
}


class Command(BaseCommand):
    """Creates what is missing; a configuration that exists keeps every change made to it."""

    help = "Create sample configurations; those that exist are left alone."

    def handle(self, *args: Any, **options: Any) -> None:
        """Create each sample through the same service as the portal."""
        # Each is assigned to the agents it matches, which may be many.
        with progress_shown("samples looked at", total=len(SAMPLES)):
            for name, draft in SAMPLES.items():
                try:
                    create_configuration(name, draft, by=None, at=clock.now())
                except NameTaken:
                    self.stdout.write(f"{name}: exists, left alone")
                except InvalidConfiguration as error:
                    raise CommandError(f"{name}: {error}") from error
                else:
                    self.stdout.write(f"{name}: created")
                advance_progress()
