"""What an upgrade keeps of rows that are laid out anew."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

_BEFORE, _AFTER = [("agents", "0013_reveal_all_secrets")], [("agents", "0014_duplicate_uids")]
_DISPLACED = {
    "lease": "ws-a", "process": "p", "transport": "websocket", "address": "10.0.0.1", "opened": "", "last": "5", "first": "9",
    "since": "2026-01-01T00:00:00+00:00",
}  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_who_must_tell_everything_after_two_agents_were_told_apart_still_must() -> None:
    newest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    MigrationExecutor(connection).migrate(_BEFORE)
    try:
        agents = MigrationExecutor(connection).loader.project_state(_BEFORE).apps.get_model("agents", "Agent")
        stored = {"apart": {"foreign_state": True}, "displaced": _DISPLACED, "nobody": None}
        for name, known in stored.items():
            agents.objects.create(instance_uid=uuid4(), name=name, rivalry=known)
        MigrationExecutor(connection).migrate(_AFTER)
        found = MigrationExecutor(connection).loader.project_state(_AFTER).apps.get_model("agents", "DuplicateUid")
        assert list(found.objects.values_list("agent__name", "stage", "returns")) == [("apart", "told_apart", 0)]
    finally:
        MigrationExecutor(connection).migrate(newest)
