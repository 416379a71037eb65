"""``manage.py rotate_secrets``: have all secrets stored under the newest of SECRETS_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from foundation import command_progress
from foundation.clock import clock
from variables.models import Secret
from variables.services.value_edits import rotate


class Command(BaseCommand):
    """Prints how many; fails when some cannot be read, having done the others."""

    help = "Encrypt all stored secrets under the newest key in SECRETS_KEYS; after it the older keys can be removed."

    def handle(self, *args: Any, **options: Any) -> None:
        with command_progress.progress_shown("secrets rotated", total=Secret.objects.count()):
            count, lost = rotate(at=clock.now())
        self.stdout.write(f"Secrets under the newest key: {count}.")
        if lost:
            raise CommandError(
                f"No key reads these, so they are as before: {', '.join(lost)}. Add the key they were stored under to "
                "SECRETS_KEYS, or enter them anew."
            )
