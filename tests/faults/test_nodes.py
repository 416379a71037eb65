"""Several processes and machines: one database, one Redis, agents anywhere."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import psycopg
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.faults.configs import Editor, create_all, text
from tests.faults.conftest import Node
from tests.faults.fleet import FaultFleet, assert_all_right, shown_agents
from tests.faults.test_postgres_lost import fetch
from tests.live_server import LiveServer

AGENTS = 100


def leader(server: LiveServer) -> str:
    """The process that leads, by its id; empty when nobody does."""
    with psycopg.connect(server.environment["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT holder FROM agents_leadership WHERE expires_at > now()").fetchone()
    return row[0] if row else ""


def process_id(server: LiveServer) -> str:
    """The id under which a server of one process beats."""
    assert server.process is not None
    with psycopg.connect(server.environment["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT id FROM agents_serverprocess WHERE pid = %s", [server.process.pid]).fetchone()
    return row[0] if row else ""


def workers_of(server: LiveServer) -> list[int]:
    """The process ids of a server's workers."""
    assert server.process is not None
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text(encoding="ascii")
    return [
        pid for pid in map(int, children.split()) if b"opamp_server.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def leases(server: LiveServer) -> dict[int, set[str]]:
    """The leases of connected agents, by the process id of the worker that holds them."""
    with psycopg.connect(server.environment["DATABASE_URL"]) as connection:
        rows = connection.execute(
            "SELECT p.pid, a.lease_id FROM agents_agent a JOIN agents_serverprocess p ON p.id = a.lease_process "
            "WHERE a.connected"
        )
        held: dict[int, set[str]] = {}
        for worker, lease in rows:
            held.setdefault(worker, set()).add(lease)
        return held


def gauge(server: LiveServer, name: str) -> float:
    """One number of /metrics without labels."""
    found = re.search(rf"^{name} ([0-9.e+]+)$", fetch(server, "/metrics")[2].decode(), re.MULTILINE)
    assert found, name
    return float(found.group(1))


@pytest.mark.parametrize("transport", ["ws", pytest.param("http", marks=pytest.mark.faults(long=True))])
def test_an_agent_of_one_node_is_seen_configured_and_restarted_from_another(transport: str, node: Node) -> None:
    first, second = node("a"), node("b")
    create_all(second)
    endpoint = first.websocket_endpoint if transport == "ws" else first.http_endpoint
    with FaultFleet(endpoint, count=5) as fleet:
        assert_all_right(second, fleet, seconds=20)
        for name in ("config-0", "config-1", "config-2", "config-3"):
            assert second.api("PATCH", f"configurations/{name}", {"raw_config": text(1)}).status == 200
        assert_all_right(second, fleet, seconds=20)
        for uid in fleet.agents:
            second.post(f"agents/{uid}/restart")
        first.eventually(lambda: fleet.tally.restarts == 5, 20, "all restarted")
        assert_all_right(second, fleet, seconds=20)


@pytest.mark.faults(long=True)
def test_the_lead_moves_when_its_process_dies_and_when_it_leaves(node: Node) -> None:
    servers = [node("a"), node("b")]
    servers[0].eventually(lambda: leader(servers[0]), 20, "somebody leads")
    with FaultFleet(servers[0].websocket_endpoint, count=5) as fleet:
        leading, other = sorted(servers, key=lambda server: process_id(server) != leader(server))
        dead = process_id(leading)
        assert leader(other) == dead
        leading.kill9()
        other.eventually(lambda: leader(other) == process_id(other), 25, "the other one leads")
        if leading is servers[0]:
            # Its agents are not shown connected for ever.
            other.eventually(lambda: not any(item["connected"] for item in shown_agents(other).values()), 30, "expired")
        leading.start()
        other.terminate()
        leading.eventually(lambda: leader(leading) == process_id(leading), 10, "the lead was handed over")
        other.start()
        servers[0].eventually(lambda: fleet.tally.connected == 5, 60, "all are back")


@pytest.mark.faults(long=True)
def test_a_paused_process_gets_its_agents_back(node: Node) -> None:
    paused, other = node("a"), node("b")
    create_all(other)
    assert paused.process is not None
    with (
        FaultFleet(paused.websocket_endpoint, count=AGENTS // 2) as sockets,
        FaultFleet(paused.http_endpoint, count=10, seed=8) as polling,
        FaultFleet(other.websocket_endpoint, count=AGENTS // 2, seed=9) as others,
    ):
        assert_all_right(other, sockets, polling, others)
        reconnects = others.tally.reconnects
        paused.process.send_signal(signal.SIGSTOP)
        try:
            other.eventually(
                lambda: other.get("agents/summary")["status"]["disconnected"] >= AGENTS // 2, 60, "taken for dead"
            )
            # A change made meanwhile must be found by the process when it wakes.
            assert other.api("PATCH", "configurations/config-0", {"raw_config": text(5)}).status == 200
        finally:
            paused.process.send_signal(signal.SIGCONT)
        assert_all_right(other, sockets, polling, others)
        assert sockets.tally.reconnects == 0
        assert others.tally.reconnects == reconnects


@pytest.mark.faults(long=True)
def test_a_killed_worker_is_replaced_and_only_its_agents_notice(node: Node, rounds: int) -> None:
    server = node("a", workers=2)
    create_all(server)
    with FaultFleet(server.websocket_endpoint, count=AGENTS) as fleet:
        assert_all_right(server, fleet)
        for _ in range(rounds):
            server.eventually(lambda: len(workers_of(server)) == 2, 30, "two workers")
            before = fleet.tally.reconnects
            messages = gauge(server, 'opamp_messages_total{kind="heartbeat",transport="websocket"}')
            # All may be with one: whose worker was killed before came back to the one that was left.
            held = leases(server)
            victim = max(held, key=lambda worker: len(held[worker]))
            own = held.pop(victim)
            others = set().union(*held.values())
            assert len(own) + len(others) == AGENTS
            with Editor([server]) as editor:
                server.eventually(lambda: len(editor.acknowledged) >= 3, 60, "edits")
                os.kill(victim, signal.SIGKILL)
                server.eventually(lambda: fleet.tally.reconnects > before, 30, "its agents notice")  # noqa: B023
            editor.assert_kept(server)
            assert_all_right(server, fleet)
            assert fleet.tally.reconnects - before >= len(own)
            now = set().union(*leases(server).values())
            assert not now & own
            assert now >= others
            server.eventually(lambda: len(workers_of(server)) == 2, 30, "it is replaced")
            server.eventually(lambda: gauge(server, "opamp_connections") == AGENTS, 20, "connections add up")
            assert gauge(server, 'opamp_messages_total{kind="heartbeat",transport="websocket"}') >= messages


@pytest.mark.faults(long=True)
def test_workers_are_replaced_on_sighup(node: Node) -> None:
    server = node("a", workers=2)
    create_all(server)
    assert server.process is not None
    with FaultFleet(server.websocket_endpoint, count=AGENTS) as fleet:
        assert_all_right(server, fleet)
        former = set(workers_of(server))
        server.process.send_signal(signal.SIGHUP)
        server.eventually(
            lambda: len(workers_of(server)) == 2 and former.isdisjoint(workers_of(server)), 60, "all are replaced"
        )
        assert_all_right(server, fleet)


@pytest.mark.faults(long=True)
def test_workers_end_with_their_supervisor(node: Node) -> None:
    server = node("a", workers=2)
    workers = workers_of(server)
    assert len(workers) == 2
    server.kill9()
    server.eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 20, "the workers end")
    server.start()


@pytest.mark.faults(long=True)
def test_agents_are_sent_away_in_slices_and_newcomers_told_to_wait(portal: LiveServer) -> None:
    agents = 300
    assert portal.process is not None
    with FaultFleet(portal.websocket_endpoint, count=agents) as fleet:
        portal.eventually(lambda: fleet.tally.connected == agents, 30, "all are connected")
        begun = time.monotonic()
        portal.process.send_signal(signal.SIGTERM)
        left: list[tuple[float, int]] = []
        refusals: list[tuple[int, int]] = []
        while portal.process.poll() is None:
            left.append((time.monotonic() - begun, fleet.tally.connected))
            try:
                with connect(portal.websocket_endpoint, proxy=None, open_timeout=2):
                    pass
            except InvalidStatus as error:
                refusals.append((error.response.status_code, int(error.response.headers["Retry-After"])))
            except (OSError, EOFError):
                pass  # after the last agent it listens no more
            time.sleep(0.05)
        assert portal.process.returncode == 0
        assert time.monotonic() - begun < 20
        assert refusals
        assert all(status == 503 and seconds >= 30 for status, seconds in refusals)
        # Not all at once: somewhere on the way a part of them was still there.
        assert len({connected // 50 for _seconds, connected in left if 0 < connected < agents}) >= 3
        portal.start()
        # Those who knocked meanwhile come back as late as they were told.
        portal.eventually(lambda: fleet.tally.connected >= agents // 4, 60, "agents come back")
