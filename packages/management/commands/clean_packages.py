"""``manage.py clean_packages [--dry-run]``: take away stored files that belong to no package."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from foundation import command_progress
from foundation.clock import clock
from foundation.errors import DomainError
from packages.services.cleaning import clean


class Command(BaseCommand):
    """Cleans the store."""

    help = "Take away files in the store that no package has, a day after they were written."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whether to do it."""
        parser.add_argument("--dry-run", action="store_true", help="Only list them.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it and say what."""
        try:
            with command_progress.progress_shown("stored files looked at or taken away"):
                found = clean(clock.now(), dry_run=options["dry_run"])
        except DomainError as error:
            raise CommandError(str(error)) from error
        for key in found:
            self.stdout.write(key)
        if not found:
            self.stdout.write("Nothing to clean.")
        elif options["dry_run"]:
            self.stdout.write(f"{len(found)} would be taken away.")
        else:
            self.stdout.write(f"{len(found)} taken away.")
