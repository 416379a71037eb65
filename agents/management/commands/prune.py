"""``manage.py prune``: delete what is kept no longer, now; a running server does the same by itself."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from agents.services import retention
from foundation import command_progress
from foundation.clock import read_database_clock


class Command(BaseCommand):
    """May run beside a server, and several at once."""

    help = "Delete what is older than the OPAMP_KEEP_…, OPAMP_FORGET_… and …_RETENTION_DAYS settings."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whether to delete at all."""
        parser.add_argument("--dry-run", action="store_true", help="Only count; nothing is deleted.")

    def handle(self, *args: Any, **options: Any) -> None:
        """One line for each kind: what was deleted, or would be."""
        at = read_database_clock().at
        verb = "would be deleted" if options["dry_run"] else "deleted"
        for kind in retention.pruned_kinds():
            if options["dry_run"]:
                count = retention.count_overdue(kind, at=at)
            else:
                count = 0
                with command_progress.progress_shown(f"pruning {kind.value}"):
                    for deleted in retention.prune(kind, at=at):
                        count += deleted
                        command_progress.advance_progress(deleted)
                        time.sleep(retention.PAUSE_SECONDS)
            self.stdout.write(f"{kind.value}: {count} {verb}")
