"""What is kept of a configuration that is being deleted, and deleting that for good. Knows nothing of releases and agents."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import chain
from typing import Any

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from configurations.models import Configuration, DeletedConfiguration, Revision
from foundation.errors import Category, DomainError
from foundation.messages import Message

# Revisions of one configuration that are kept, and how many characters of files those beside the present one may have.
MOST_REVISIONS = 20
_MOST_FORMER = 8 * 1024 * 1024
_COLUMNS = (
    "display_name", "description", "priority", "enabled", "selector", "match_all", "content_type", "config_key",
    "rollout_policy", "kind",
)  # fmt: skip


class DeletedGone(DomainError):
    """There is no such deleted configuration any more, or there never was."""

    category = Category.NOT_FOUND

    def __init__(self) -> None:
        super().__init__(
            Message(
                "deleted-configuration-gone",
                "There is no such deleted configuration: somebody may have restored it, or deleted it for good.",
            )
        )


def keep_deleted(configuration: Configuration, *, by: User | None, at: datetime) -> DeletedConfiguration:
    """Keep what `restoring_deleted` needs; within the transaction that deletes the configuration."""
    files: dict[str, Any] = {}
    revisions: list[dict[str, Any]] = []
    left = _MOST_FORMER
    present = configuration.current
    others = Revision.objects.filter(configuration=configuration).exclude(pk=present.pk if present else 0)
    for row in chain([] if present is None else [present], others[: MOST_REVISIONS - 1].iterator(chunk_size=1)):
        if row.hash not in files:
            size = len(json.dumps(row.files)) if revisions else 0
            if size > left:
                break
            left -= size
            files[row.hash] = row.files
        revisions.append(
            {
                "number": row.number,
                "hash": row.hash,
                "selector": row.selector,
                "match_all": row.match_all,
                "priority": row.priority,
                "enabled": row.enabled,
                "author": row.author_id,
                "author_name": row.author_name,
                "note": row.note,
                "created_at": row.created_at.isoformat(),
            }
        )
    state = {name: getattr(configuration, name) for name in _COLUMNS}
    # After a rollout was rolled back the present one is not the newest.
    revisions.sort(key=lambda entry: -entry["number"])
    state |= {
        "revision": present.number if present else 0,
        "edition": configuration.edition,
        "created_at": configuration.created_at.isoformat(),
    }
    return DeletedConfiguration.objects.create(
        name=configuration.name,
        state=state,
        revisions=revisions,
        files=files,
        deleted_by=by,
        deleted_by_name=by.get_username() if by else accounts.SYSTEM,
        deleted_at=at,
    )


@transaction.atomic
def delete_for_good(pk: int, *, by: User | None) -> None:
    """Delete what is kept of a deleted configuration; it cannot be restored then. Raises `DeletedGone`."""
    row = DeletedConfiguration.objects.listed().filter(pk=pk).first()
    if row is None or not DeletedConfiguration.objects.filter(pk=pk).delete()[0]:
        raise DeletedGone
    accounts.record(by=by, verb="configuration.delete_for_good", target=row, name=row.name)
