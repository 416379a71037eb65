"""``manage.py createsuperuser``: Django's own, with an entry in the audit trail."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands.createsuperuser import Command as CreateSuperuser
from django.db import transaction
from django.db.models import Max

from accounts.models import User
from accounts.services import record


class Command(CreateSuperuser):
    """Another administrator, made at the console."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Made and noted together."""
        with transaction.atomic():
            last = User.objects.aggregate(last=Max("pk"))["last"] or 0
            super().handle(*args, **options)
            for person in User.objects.filter(pk__gt=last, is_superuser=True):
                record(by=None, verb="user.create", target=person, name=person.get_username(), data={"console": True})
