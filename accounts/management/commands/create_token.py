"""``manage.py create_token NAME [--user U] [--expires never|30d|DATE]``: an API token, alone on stdout."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts.lifetimes import DEFAULT, UnclearExpiry, parse_expiry
from accounts.models import User
from accounts.services import issue_token
from foundation.clock import clock


class Command(BaseCommand):
    """Issues a token; it cannot be shown again."""

    help = "Create an API token and print it."

    def add_arguments(self, parser: CommandParser) -> None:
        """The token's name and whose rights it has."""
        parser.add_argument("name")
        parser.add_argument("--user", default="", help="Whose rights the token has; the first admin by default.")
        parser.add_argument(
            "--expires", default=DEFAULT, help="A number of days such as 30d, a date such as 2030-01-31, or never."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Issue and print."""
        if options["user"]:
            user = User.objects.filter(username=options["user"], is_active=True).first()
            if user is None:
                raise CommandError(f"There is no active user {options['user']!r}.")
        else:
            user = User.objects.filter(is_superuser=True, is_active=True).order_by("id").first()
            if user is None:
                raise CommandError("There is no admin yet: start the server once, or name a --user.")
        try:
            end = parse_expiry(options["expires"], at=clock.now())
        except UnclearExpiry as error:
            raise CommandError(f"--expires {options['expires']}: {error}") from error
        # One that cannot be printed is nobody's, and is not made.
        with transaction.atomic():
            _row, text = issue_token(user, name=options["name"], by=None, expires_at=end)
            self.stdout.write(text)
            self.stdout.flush()
