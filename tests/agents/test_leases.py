"""Sightings written in batches, and agents of lost processes: exactly those, and at no cost while there are none."""

from __future__ import annotations

import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Agent, AgentPresence, ServerProcess, Transport
from agents.services.leases import PROCESS_PATIENCE, Sighting, expire_agents, note_sightings

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def connected(process: str) -> Agent:
    """An agent on a WebSocket of ``process``."""
    agent = Agent.objects.create(
        instance_uid=uuid4(), name="a", connected=True, transport=Transport.WEBSOCKET,
        lease_id=f"ws-{uuid4().hex}", lease_process=process,
    )  # fmt: skip
    AgentPresence.objects.create(agent=agent, last_seen_at=AT)
    return agent


def process(name: str, *, beat_at: datetime) -> str:
    """A process that runs on another host."""
    ServerProcess.objects.create(id=name, hostname="elsewhere", pid=1, started_at=AT, beat_at=beat_at)
    return name


def is_connected(agent: Agent) -> bool:
    """As the row says now."""
    return Agent.objects.get(pk=agent.pk).connected


@pytest.mark.parametrize("thorough", [False, True])
def test_agents_of_a_process_that_stopped_beating_are_disconnected(thorough: bool) -> None:
    held = connected(process("alive", beat_at=AT))
    lost = connected(process("dead", beat_at=AT - PROCESS_PATIENCE - timedelta(seconds=1)))
    assert expire_agents(at=AT, thorough=thorough) == 1
    assert (is_connected(held), is_connected(lost)) == (True, False)


def test_a_process_of_this_host_whose_number_nobody_has_is_dead_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait(30)
    hostname = socket.gethostname()[:255]
    ServerProcess.objects.create(id="killed", hostname=hostname, pid=child.pid, started_at=AT, beat_at=AT)
    lost = connected("killed")
    assert expire_agents(at=AT, thorough=False) == 1
    assert not is_connected(lost)


def test_agents_of_a_process_that_nobody_knows_wait_for_a_thorough_look() -> None:
    agent = connected("forgotten")
    assert expire_agents(at=AT, thorough=False) == 0
    assert is_connected(agent)
    assert expire_agents(at=AT, thorough=True) == 1
    assert not is_connected(agent)


def test_a_dead_process_is_forgotten_only_with_its_agents() -> None:
    lost = connected(process("long dead", beat_at=AT - 11 * PROCESS_PATIENCE))
    expire_agents(at=AT, thorough=False)
    assert not is_connected(lost)
    assert not ServerProcess.objects.exists()


def test_an_expiry_without_lost_processes_looks_at_no_connected_agent() -> None:
    process("alive", beat_at=AT)
    connected("alive")
    with CaptureQueriesContext(connection) as queries:
        assert expire_agents(at=AT, thorough=False) == 0
    statements = [query["sql"] for query in queries if '"agents_' in query["sql"]]
    assert len(statements) == 2, statements
    assert not any('FROM "agents_agent"' in sql for sql in statements), statements


def test_sightings_are_written_for_agents_that_exist_and_are_still_here() -> None:
    websocket, http, elsewhere, gone = (connected("alive") for _ in range(4))
    Agent.objects.filter(pk=http.pk).update(transport=Transport.HTTP)
    seen, interval = AT + timedelta(seconds=7), timedelta(seconds=30)
    sightings = [
        Sighting(websocket.pk, seen, 2**64 - 1, websocket.lease_id, interval),
        Sighting(http.pk, seen, 8, "", interval),
        Sighting(elsewhere.pk, seen, 9, "ws-of-a-former-connection", interval),
        Sighting(gone.pk, seen, 9, gone.lease_id, interval),
    ]
    gone.delete()
    noted = note_sightings(sightings)
    assert (noted.written, noted.displaced) == (2, {elsewhere.pk})
    rows = {row.agent_id: row for row in AgentPresence.objects.all()}
    assert set(rows) == {websocket.pk, http.pk, elsewhere.pk}
    assert [rows[agent.pk].last_seen_at for agent in (websocket, http, elsewhere)] == [seen, seen, AT]
    assert (rows[websocket.pk].sequence_num, rows[websocket.pk].expires_at) == (2**64 - 1, None)
    assert rows[http.pk].sequence_num == 8
    assert rows[http.pk].expires_at is not None
    assert rows[http.pk].expires_at > seen
