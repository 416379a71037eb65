"""``manage.py export_configurations DIR``: all configurations as manifests and files, such as for a git repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from configurations.exporting import export_to
from configurations.manifests import UnusableManifests
from configurations.models import Configuration
from foundation import command_progress
from foundation.errors import DomainError


class Command(BaseCommand):
    """Writes what differs; a second run writes nothing."""

    help = "Write all configurations into a folder, secrets in clear text; apply_configurations reads it."

    def add_arguments(self, parser: CommandParser) -> None:
        """The folder."""
        parser.add_argument("folder", metavar="DIR", type=Path)
        parser.add_argument(
            "--prune",
            action="store_true",
            help="Remove manifests, and files they name, of configurations that are gone.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """One line says what was done."""
        try:
            with command_progress.progress_shown("configurations exported", total=Configuration.objects.count()):
                done = export_to(options["folder"], prune=options["prune"])
        except UnusableManifests as error:
            raise CommandError("\n".join([str(error), *(str(reason) for reason in error.reasons)])) from error
        except (DomainError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{len(done.written)} written, {len(done.unchanged)} unchanged, {len(done.removed)} removed: {options['folder']}"
        )
