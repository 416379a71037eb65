"""Each way of editing a configuration over REST leaves exactly one audit entry that names who did it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import AuditEntry
from configurations.models import Configuration

pytestmark = pytest.mark.django_db
URL = "/api/v1/configurations"
ONE = f"{URL}/c"
BODY = {"raw_config": "a: 1\n", "selector": {"env": "prod"}}


def entries() -> list[tuple[str, str, str]]:
    """Verb, actor and object of each entry about configurations, oldest first."""
    rows = AuditEntry.objects.filter(verb__startswith="configuration.").order_by("pk")
    return [(row.verb, row.actor.username if row.actor else "", row.object_name) for row in rows]


EDITS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "put": ("configuration.update", lambda client: client.put(ONE, {**BODY, "raw_config": "a: 2\n"})),
    "patch": ("configuration.update", lambda client: client.patch(ONE, {"raw_config": "a: 2\n"})),
    "description": ("configuration.update", lambda client: client.patch(ONE, {"description": "Described"})),
    "disable": ("configuration.update", lambda client: client.patch(ONE, {"enabled": False})),
    "selector": ("configuration.update", lambda client: client.patch(ONE, {"selector": {"env": "dev"}})),
    "priority": ("configuration.update", lambda client: client.patch(ONE, {"priority": 7})),
    "files": ("configuration.update", lambda client: client.patch(ONE, {"files": {"": {"body": "a: 3\n"}}})),
    "delete": ("configuration.delete", lambda client: client.delete(ONE)),
}


@pytest.mark.parametrize("way", EDITS)
def test_an_edit_leaves_one_entry(api_of, alice, way):
    client = api_of(alice)
    assert client.post(URL, {"name": "c", **BODY}).status_code == 201
    verb, edit = EDITS[way]
    answer = edit(client)
    assert answer.status_code in (200, 204), answer.content
    assert entries() == [("configuration.create", "alice", "c"), (verb, "alice", "c")]


def test_a_rollback_leaves_one_entry_and_does_not_enable(api_of, alice):
    client = api_of(alice)
    assert client.post(URL, {"name": "c", **BODY}).status_code == 201
    assert client.patch(ONE, {"raw_config": "a: 2\n"}).status_code == 200
    assert client.patch(ONE, {"enabled": False}).status_code == 200
    before = entries()
    answer = client.post(f"{ONE}/rollback", {"revision": 1})
    assert answer.status_code == 200, answer.content
    assert entries() == [*before, ("configuration.update", "alice", "c")]
    row = Configuration.objects.select_related("current").get(name="c")
    assert not row.enabled
    assert row.current is not None
    assert (row.current.number, row.current.enabled) == (4, False)
