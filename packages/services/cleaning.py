"""Files in the store that no row names: of uploads that broke with their process, and of deletions that the store missed."""

from __future__ import annotations

from datetime import datetime, timedelta

from foundation import command_progress
from packages.models import Artefact
from packages.services import store

# An upload that is on its way has no row yet.
PATIENCE = timedelta(hours=24)


def clean(at: datetime, *, dry_run: bool = False, patience: timedelta = PATIENCE) -> list[str]:
    """Take them away, those older than ``patience``; returns their keys. Raises `packages.errors.StoreAway`."""
    before = at - patience
    old = [key for key, written in store.files() if written < before]
    known = set(Artefact.objects.exclude(key="").values_list("key", flat=True))
    orphans = [key for key in old if key not in known]
    if not dry_run:
        for key in orphans:
            store.delete_file(key)
            command_progress.advance_progress()
    return orphans + store.end_unfinished(before, dry_run=dry_run)
