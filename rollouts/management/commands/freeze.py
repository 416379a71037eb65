"""``manage.py freeze --reason TEXT [--selector env=prod] [--hours N]``: offer nothing until it ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents.selectors import parse_label_query
from foundation.clock import clock
from foundation.errors import DomainError
from rollouts.audiences import EVERYONE, Everyone, Matching
from rollouts.services import freezing


class Command(BaseCommand):
    """Starts a freeze."""

    help = "Offer nothing to the fleet, or to the agents of a selector, until the freeze ends."

    def add_arguments(self, parser: CommandParser) -> None:
        """Why, whom, how long."""
        parser.add_argument("--reason", required=True, help="One line that everybody sees who wonders.")
        parser.add_argument("--selector", help="Labels, such as env=prod; without it the whole fleet.")
        parser.add_argument("--hours", type=float, help="End it by itself after so many hours.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start it and say its number."""
        at = clock.now()
        try:
            row = freezing.start_freeze(
                _audience(options["selector"]),
                reason=options["reason"],
                by=None,
                at=at,
                expires_at=at + timedelta(hours=options["hours"]) if options["hours"] is not None else None,
            )
        except (DomainError, OverflowError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Freeze {row.pk} is in force: {freezing.audience_name(row.parsed_audience())}.")


def _audience(query: str | None) -> Everyone | Matching:
    if query is None:
        return EVERYONE
    selector = parse_label_query(query)
    if not selector.requirements:
        raise CommandError("--selector names no label; leave it out to freeze the whole fleet.")
    return Matching(selector)
