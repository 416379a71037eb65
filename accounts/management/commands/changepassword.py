"""``manage.py changepassword NAME``: Django's own, with an entry in the audit trail."""

from __future__ import annotations

import getpass
from typing import Any

from django.contrib.auth.management.commands.changepassword import Command as ChangePassword
from django.core.management.base import CommandParser
from django.db import transaction

from accounts import people
from accounts.models import User
from foundation.clock import clock


class Command(ChangePassword):
    """Asks for the new password twice. The way back in when an administrator's is lost."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Who, and whether their API tokens end too."""
        super().add_arguments(parser)
        parser.add_argument("--end-tokens", action="store_true", help="Revoke all API tokens of this person too.")

    def handle(self, *args: Any, **options: Any) -> str:
        """Changed and noted together."""
        with transaction.atomic():
            said = str(super().handle(*args, **options))
            person = User.objects.get(username=options["username"] or getpass.getuser())
            people.password_changed(person, by=None, at=clock.now(), end_tokens=options["end_tokens"])
        return said
