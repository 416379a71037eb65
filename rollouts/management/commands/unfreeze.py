"""``manage.py unfreeze [ID | --all]``: go on offering; without either, the freezes in force are listed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from foundation.clock import clock
from foundation.errors import DomainError
from rollouts.models import Freeze
from rollouts.services import freezing


class Command(BaseCommand):
    """Ends freezes."""

    help = "End a freeze by its number, or all of them; pauses of single agents stay. Without either, list them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which."""
        which = parser.add_mutually_exclusive_group()
        which.add_argument("freeze", nargs="?", type=int, help="The number of a freeze.")
        which.add_argument("--all", action="store_true", help="Every freeze of the fleet or of a selector.")

    def handle(self, *args: Any, **options: Any) -> None:
        """End and say what ended."""
        at = clock.now()
        if options["all"]:
            self.stdout.write(f"{freezing.end_all(by=None, at=at)} freezes are ended.")
        elif options["freeze"] is not None:
            try:
                row = freezing.end_freeze(options["freeze"], by=None, at=at)
            except (DomainError, Freeze.DoesNotExist, OverflowError) as error:
                raise CommandError(str(error)) from error
            self.stdout.write(f"Freeze {row.pk} is ended.")
        else:
            for row in Freeze.objects.active().of_several():
                whom = freezing.audience_name(row.parsed_audience())
                self.stdout.write(f"{row.pk}  {whom}  {row.started_by_name}: {row.reason}")
