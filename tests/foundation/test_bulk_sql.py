"""Many rows in one statement: what is written is what Django would have written, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import DataError, connection, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from agents.models import Agent, AgentCommand, AgentEvent, AgentPresence, ReportedState, Transport
from agents.reports import RemoteConfigStatuses
from foundation.bulk_sql import (
    among,
    bulk_copy,
    bulk_insert,
    bulk_read,
    bulk_save,
    bulk_set,
    bulk_update,
    is_new,
    reserve_keys,
)
from tests.databases import on_postgresql, on_sqlite

pytestmark = pytest.mark.django_db

AT = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
ODD_TEXT = "quote ' and \" \\ back, % percent %s, {brace}, line\nbreak, émoji 🦊, null"


def agents(count: int) -> list[Agent]:
    """Agents with their keys, not in the database yet."""
    return [
        Agent(pk=key, instance_uid=uuid4(), name=f"agent {key}", first_seen_at=AT)
        for key in reserve_keys(Agent, count)
    ]  # fmt: skip


def test_inserted_rows_read_back_as_they_were() -> None:
    (agent,) = agents(1)
    agent.labels = {"text": ODD_TEXT, "number": 1.5, "list": [1, None, True], "": {}}
    agent.notes, agent.healthy, agent.connected = ODD_TEXT, False, True
    agent.transport, agent.remote_config_status = Transport.HTTP, RemoteConfigStatuses.FAILED
    agent.connected_at, agent.capabilities = AT, 2**40
    bulk_insert([agent])
    assert not is_new(agent)
    found = Agent.objects.get(pk=agent.pk)
    for field in Agent._meta.concrete_fields:
        assert getattr(found, field.attname) == getattr(agent, field.attname), field.name


def test_rows_without_a_key_get_one_from_the_database() -> None:
    (agent,) = agents(1)
    bulk_insert([agent])
    bulk_insert(AgentEvent(agent=agent, at=AT, kind=kind, data={"text": ODD_TEXT}) for kind in ("registered", "health"))
    assert list(AgentEvent.objects.order_by("id").values_list("kind", "at", "data")) == [
        ("registered", AT, {"text": ODD_TEXT}),
        ("health", AT, {"text": ODD_TEXT}),
    ]


def test_reserved_keys_never_meet_those_the_database_gives() -> None:
    first = Agent.objects.create(instance_uid=uuid4(), name="first")
    reserved = agents(3)
    bulk_insert(reserved)
    last = Agent.objects.create(instance_uid=uuid4(), name="last")
    keys = [first.pk, *(agent.pk for agent in reserved), last.pk]
    assert keys == sorted(set(keys))
    Agent.objects.all().delete()
    assert reserve_keys(Agent, 1)[0] > last.pk
    assert reserve_keys(Agent, 0) == []


def test_only_the_named_fields_of_the_named_rows_are_written() -> None:
    one, two, other = rows = agents(3)
    bulk_insert(rows)
    Agent.objects.filter(pk=one.pk).update(notes="an operator wrote this meanwhile")
    one.name, one.labels, one.started_at, one.notes = "new name", {"a": "b"}, AT, "stale"
    two.healthy, two.name = True, "not to be written"
    bulk_save([(one, {"name", "labels", "started_at"}), (two, {"healthy"}), (other, set())])
    one.refresh_from_db()
    two.refresh_from_db()
    assert (one.name, one.labels, one.started_at, one.notes) == (
        "new name", {"a": "b"}, AT, "an operator wrote this meanwhile",
    )  # fmt: skip
    assert (two.healthy, two.name) == (True, f"agent {two.pk}")


def test_a_value_becomes_null_and_back() -> None:
    (agent,) = agents(1)
    bulk_insert([agent])
    state = ReportedState(agent=agent, health={"healthy": True}, full_state_requested_at=AT)
    bulk_insert([state])
    for health, asked_at in ((None, None), ({"healthy": False}, AT)):
        state.health, state.full_state_requested_at = health, asked_at
        bulk_update([state], ["health", "full_state_requested_at"])
        found = ReportedState.objects.get(pk=agent.pk)
        assert (found.health, found.full_state_requested_at) == (health, asked_at)
    assert ReportedState.objects.filter(health__isnull=True).count() == 0


@pytest.mark.parametrize("sequence_num", [0, 2**63 - 1, 2**63, 2**64 - 1])
def test_fields_that_translate_their_values_do_so(sequence_num: int) -> None:
    (agent,) = agents(1)
    bulk_insert([agent])
    bulk_insert([AgentPresence(agent=agent, last_seen_at=AT)])
    row = AgentPresence.objects.get(pk=agent.pk)
    row.sequence_num, row.last_seen_at, row.expires_at = sequence_num, AT + timedelta(seconds=1), None
    bulk_update([row], ["sequence_num", "last_seen_at", "expires_at"])
    found = AgentPresence.objects.get(pk=agent.pk)
    assert (found.sequence_num, found.last_seen_at) == (sequence_num, AT + timedelta(seconds=1))


def test_the_number_of_statements_does_not_grow_with_the_rows() -> None:
    counts = []
    for number in (1, 50):
        rows = agents(number)
        with CaptureQueriesContext(connection) as queries:
            bulk_insert(rows)
            for row in rows:
                row.name = "renamed"
            bulk_save([(row, {"name"}) for row in rows])
        counts.append(len(queries))
    assert counts == [2, 2]
    assert Agent.objects.filter(name="renamed").count() == 51


def test_rows_that_are_gone_are_no_error() -> None:
    one, gone = rows = agents(2)
    bulk_insert(rows)
    Agent.objects.filter(pk=gone.pk).delete()
    one.name = gone.name = "renamed"
    bulk_update(rows, ["name"])
    assert list(Agent.objects.values_list("name", flat=True)) == ["renamed"]


@on_postgresql
def test_text_that_is_too_long_is_refused() -> None:
    (agent,) = agents(1)
    agent.version = "v" * 101
    with pytest.raises(DataError), transaction.atomic():
        bulk_insert([agent])


@on_sqlite
def test_sqlite_which_knows_no_lengths_cuts_no_text() -> None:
    (agent,) = agents(1)
    agent.version = "v" * 101
    bulk_insert([agent])
    assert Agent.objects.get().version == "v" * 101


def test_nothing_to_write_asks_nothing() -> None:
    with CaptureQueriesContext(connection) as queries:
        bulk_insert([])
        bulk_update([], ["name"])
        bulk_save([])
    assert len(queries) == 0


def test_rows_are_read_as_django_reads_them_in_one_statement() -> None:
    people = agents(4)
    bulk_insert(people)
    person = get_user_model().objects.create_user("reader")
    for number, agent in enumerate(reversed(people)):
        for outcome in (AgentCommand.Outcome.PENDING, AgentCommand.Outcome.SENT):
            AgentCommand.objects.create(
                agent=agent, kind=AgentCommand.Kind.RESTART, outcome=outcome, payload={"text": ODD_TEXT, "n": number},
                requested_by=person, requested_at=AT,
            )  # fmt: skip
    keys = [agent.pk for agent in people[:3]]
    with CaptureQueriesContext(connection) as statements:
        read = bulk_read(AgentCommand, {"agent": keys}, outcome=AgentCommand.Outcome.PENDING.value)
    assert len(statements) == 1
    wanted = list(AgentCommand.objects.filter(agent_id__in=keys, outcome=AgentCommand.Outcome.PENDING).order_by("id"))
    assert len(wanted) == 3
    for found, other in zip(read, wanted, strict=True):
        assert_same(found, other)
    assert bulk_read(AgentCommand, {"agent": []}) == []
    assert bulk_read(AgentCommand, {"agent": [0]}) == []


@pytest.mark.parametrize("locked", [False, True])
def test_rows_that_belong_to_others_come_with_them(locked: bool) -> None:
    people = agents(5)
    people[0].next_instance_uid = uuid4()
    people[1].labels = {"text": ODD_TEXT}
    bulk_insert(people)
    bulk_insert(AgentPresence(agent=agent, last_seen_at=AT, sequence_num=2**64 - 1) for agent in people[1:])
    bulk_insert(
        ReportedState(agent=agent, health={"text": ODD_TEXT}, custom_capabilities=["a"]) for agent in people[:2]
    )
    uids = {
        "instance_uid": [people[2].instance_uid, people[1].instance_uid, uuid4()],
        "next_instance_uid": [people[0].next_instance_uid],
    }
    with transaction.atomic(), CaptureQueriesContext(connection) as statements:
        read = bulk_read(Agent, uids, beside=("reported", "presence"), locked=locked)
        assert [agent.pk for agent in read] == [agent.pk for agent in people[:3]]
        for found in read:
            other = Agent.objects.get(pk=found.pk)
            assert_same(found, other)
            for name in ("reported", "presence"):
                before = len(statements)
                beside = getattr(found, name, None)
                assert len(statements) == before, "it was read with the agent"
                wanted = getattr(other, name, None)
                assert (beside is None) == (wanted is None)
                if beside is not None:
                    assert beside.agent is found
                    assert_same(beside, wanted)


@on_postgresql
@pytest.mark.parametrize("locked", [False, True])
def test_rows_are_locked_where_that_is_wanted(locked: bool) -> None:
    people = agents(2)
    bulk_insert(people)
    uids = {"instance_uid": [agent.instance_uid for agent in people]}
    with transaction.atomic(), CaptureQueriesContext(connection) as statements:
        assert len(bulk_read(Agent, uids, locked=locked)) == 2
    assert ["FOR UPDATE" in statement["sql"] for statement in statements] == [locked]


def test_fields_without_values_are_not_asked_for() -> None:
    people = agents(2)
    bulk_insert(people)
    with CaptureQueriesContext(connection) as statements:
        read = bulk_read(Agent, {"instance_uid": [people[1].instance_uid], "next_instance_uid": []})
        assert bulk_read(Agent, {"instance_uid": [], "next_instance_uid": []}) == []
    assert [agent.pk for agent in read] == [people[1].pk]
    assert len(statements) == 1


def assert_same(found: Model, other: Model) -> None:
    """All columns of a row, and that both are of the database."""
    assert not is_new(found)
    for field in type(other)._meta.concrete_fields:
        assert getattr(found, field.attname) == getattr(other, field.attname), field.name


def test_the_same_values_are_written_into_the_rows_with_these_keys_alone() -> None:
    one, two, other = rows = agents(3)
    bulk_insert(rows)
    values = {"notes": ODD_TEXT, "labels": {"text": ODD_TEXT}, "healthy": None, "started_at": AT, "capabilities": 2**40}
    bulk_set(Agent, [two.pk, one.pk, 2**40], values)
    bulk_set(Agent, [], {"notes": "nobody"})
    bulk_set(Agent, [other.pk], {})
    for row in (one, two):
        found = Agent.objects.values(*values).get(pk=row.pk)
        assert found == values
    assert Agent.objects.get(pk=other.pk).notes == ""


def test_copies_of_a_row_belong_to_their_owners() -> None:
    rows = agents(3)
    bulk_insert(rows)
    line = AgentEvent(agent=rows[0], at=AT, kind="assigned", data={"text": ODD_TEXT, "number": 7})
    bulk_copy(line, "agent", [rows[2].pk, rows[1].pk])
    bulk_copy(line, "agent", [])
    assert is_new(line)
    found = AgentEvent.objects.order_by("agent").values_list("agent", "at", "kind", "data", "count", "last_at")
    assert list(found) == [(row.pk, AT, "assigned", line.data, 1, None) for row in rows[1:]]


def test_rows_are_found_by_many_keys_at_once() -> None:
    rows = agents(3)
    bulk_insert(rows)
    assert list(Agent.objects.filter(among("pk", [rows[2].pk, 2**40, rows[0].pk])).order_by("pk")) == [rows[0], rows[2]]
    assert not Agent.objects.filter(among("pk", [])).exists()
    bulk_insert(AgentEvent(agent=row, at=AT, kind="registered") for row in rows)
    assert AgentEvent.objects.filter(among("agent_id", [rows[1].pk])).get().agent_id == rows[1].pk
