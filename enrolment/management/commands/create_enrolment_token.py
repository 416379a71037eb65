"""``manage.py create_enrolment_token NAME [--label env=prod] [--uses N] [--expires never|30d|DATE]``: prints the token alone."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts.lifetimes import UnclearExpiry, parse_expiry
from accounts.services import Never
from enrolment.models import ApprovalRule
from enrolment.services.tokens import DEFAULT_DAYS, TokenWish, issue_enrolment_token
from foundation.clock import clock
from foundation.errors import DomainError


class Command(BaseCommand):
    """Makes a token; it cannot be shown again."""

    help = "Create an enrolment token, by which new agents come in, and print it."

    def add_arguments(self, parser: CommandParser) -> None:
        """What it shall be."""
        parser.add_argument("name")
        parser.add_argument(
            "--label", action="append", default=[], help="key=value for its agents; several times for more."
        )
        parser.add_argument("--uses", type=int, help="How many agents it may bring; any number by default.")
        parser.add_argument(
            "--expires",
            default=f"{DEFAULT_DAYS}d",
            help="A number of days such as 30d, a date such as 2030-01-31, or never.",
        )
        parser.add_argument(
            "--approval", choices=ApprovalRule.values, default=ApprovalRule.SITE, help="Whether its agents wait for it."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Make and print."""
        labels = {}
        for text in options["label"]:
            key, sign, value = text.partition("=")
            if not sign:
                raise CommandError(f"--label {text}: write key=value.")
            labels[key] = value
        at = clock.now()
        try:
            end = parse_expiry(options["expires"], at=at)
        except UnclearExpiry as error:
            raise CommandError(f"--expires {options['expires']}: {error}") from error
        wish = TokenWish(
            name=options["name"],
            labels=labels,
            max_uses=options["uses"],
            expires_at=None if isinstance(end, Never) else end,
            approval_rule=options["approval"],
        )
        try:
            # One that cannot be printed is nobody's, and is not made.
            with transaction.atomic():
                _row, text = issue_enrolment_token(wish, by=None, at=at)
                self.stdout.write(text)
                self.stdout.flush()
        except DomainError as error:
            raise CommandError(str(error)) from error
