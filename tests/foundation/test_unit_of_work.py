"""Rows of one transaction: what is deleted is gone, whatever else was said of it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from agents.models import Agent, DuplicateUid
from foundation.unit_of_work import UnitOfWork

AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.django_db
def test_a_deleted_row_is_gone_and_its_changes_with_it() -> None:
    kept, gone = (
        DuplicateUid.objects.create(agent=Agent.objects.create(instance_uid=uuid4(), name="a"), stage="addresses")
        for _ in range(2)
    )
    work = UnitOfWork(AT)
    for row in (kept, gone):
        work.change(row, "returns", 3)
    work.delete(gone)
    work.save()
    assert list(DuplicateUid.objects.values_list("agent_id", "returns")) == [(kept.agent_id, 3)]
    work.change(kept, "returns", 4)
    work.save()
    assert DuplicateUid.objects.get().returns == 4
