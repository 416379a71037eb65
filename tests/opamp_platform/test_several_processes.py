"""Several server processes on one PostgreSQL and one Redis: no agent belongs to the process it is connected to.

Both come from DATABASE_URL and REDIS_URL. Without them there can be one process only, and these tests are skipped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
import redis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from opamp_transport.proto import opamp_pb2
from tests.databases import needs_several_processes
from tests.fake_agent import APPLIED, APPLYING, COLLECTOR, FAILED, FakeAgent, answered
from tests.live_server import LiveServer, configuration
from tests.plain_http import post

pytestmark = needs_several_processes
TIMEOUT = 20.0
ACCEPTS_SETTINGS = 0x100
# A process that were not woken would look for changes by itself every three seconds.
AT_ONCE_SECONDS = 1.0


class Pair(NamedTuple):
    """Two processes with one database and one broker."""

    first: LiveServer
    second: LiveServer


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both running."""
    with LiveServer(tmp_path_factory.mktemp("first")) as first:
        shared = {name: first.environment[name] for name in ("DATABASE_URL", "REDIS_URL")}
        with LiveServer(tmp_path_factory.mktemp("second"), **shared) as second:
            second._token = first.token
            yield Pair(first, second)


def exchange(socket: ClientConnection, message: opamp_pb2.AgentToServer) -> opamp_pb2.ServerToAgent:
    """Send, and take the next message as the answer."""
    socket.send(b"\x00" + message.SerializeToString())
    return receive(socket)


def receive(socket: ClientConnection) -> opamp_pb2.ServerToAgent:
    """The next message."""
    frame = socket.recv(timeout=TIMEOUT)
    assert isinstance(frame, bytes)
    return opamp_pb2.ServerToAgent.FromString(frame[1:])


def poll(server: LiveServer, message: opamp_pb2.AgentToServer) -> opamp_pb2.ServerToAgent:
    """One plain-HTTP exchange."""
    answer = post(server.http_endpoint, message.SerializeToString())
    assert answer.status == 200, answer
    return opamp_pb2.ServerToAgent.FromString(answer.body)


@pytest.mark.defect(14)
@pytest.mark.rule("S-66", "S-110", transport="websocket")
def test_a_change_made_in_one_process_reaches_an_agent_of_the_other_at_once(pair: Pair) -> None:
    name = f"redis-{uuid4().hex[:8]}"
    agent = FakeAgent(test=name)
    pair.second.post("configurations", configuration(name, {"test": name}, "a: 0\n"))
    with (
        redis.Redis.from_url(pair.first.environment["REDIS_URL"]) as broker,
        broker.pubsub(ignore_subscribe_messages=True) as heard,
        connect(pair.first.websocket_endpoint, proxy=None) as socket,
    ):
        exchange(socket, agent.message(**agent.full_parts()))
        heard.psubscribe("*")
        seconds = []
        for edit in range(1, 11):
            answer = pair.second.api("PATCH", f"configurations/{name}", {"raw_config": f"a: {edit}\n"})
            begun = time.monotonic()
            assert answer.status == 200
            assert receive(socket).remote_config.config_hash.hex() == answer.json["config_hash"]
            seconds.append(time.monotonic() - begun)
        assert sorted(seconds)[7] < AT_ONCE_SECONDS, seconds
        assert rings_for(agent.uid, heard, len(seconds)) == len(seconds)


def rings_for(uid: UUID, heard: redis.client.PubSub, wanted: int) -> int:
    """How many of the broker's messages name this agent; waits for as many as are wanted."""
    found = 0
    deadline = time.monotonic() + TIMEOUT
    while found < wanted and time.monotonic() < deadline:
        message = heard.get_message(timeout=1.0)  # None also in place of a message that says "subscribed"
        found += message is not None and uid.bytes in message["data"]
    return found


@pytest.mark.defect(18)
@pytest.mark.rule("S-110", transport="websocket")
def test_an_agent_of_one_process_is_seen_and_commanded_from_the_other(pair: Pair) -> None:
    name = f"shared-{uuid4().hex[:8]}"
    agent = FakeAgent(test=name)
    with connect(pair.first.websocket_endpoint, proxy=None) as socket:
        exchange(socket, agent.message(**agent.full_parts()))
        shown = pair.second.get(f"agents/{agent.uid}")
        assert (shown["connected"], shown["labels"]["test"]) == (True, name)
        wanted = pair.second.post("configurations", configuration(name, {"test": name}, "a: 1\n"))["config_hash"]
        assert receive(socket).remote_config.config_hash.hex() == wanted
        exchange(socket, agent.message(remote_config_status=answered(bytes.fromhex(wanted), APPLIED)))
        assert pair.second.get(f"agents/{agent.uid}")["in_sync"] is True
        pair.second.post(f"agents/{agent.uid}/restart")
        assert receive(socket).HasField("command")
    pair.second.eventually(lambda: not pair.second.get(f"agents/{agent.uid}")["connected"], what="the agent has left")


@pytest.mark.defect(18)
@pytest.mark.rule("S-42", "S-50", "S-110", transport="websocket")
def test_an_agent_that_moves_to_the_other_process_is_not_evicted_by_its_old_socket(pair: Pair) -> None:
    name = f"moving-{uuid4().hex[:8]}"
    agent = FakeAgent(test=name)
    wanted = pair.first.post("configurations", configuration(name, {"test": name}, "a: 1\n"))["config_hash"]
    with ExitStack() as sockets:
        old = sockets.enter_context(connect(pair.first.websocket_endpoint, proxy=None))
        exchange(old, agent.message(**agent.full_parts()))
        exchange(old, agent.message(remote_config_status=answered(bytes.fromhex(wanted), APPLIED)))
        new = sockets.enter_context(connect(pair.second.websocket_endpoint, proxy=None))
        moved = exchange(new, agent.message())
        assert not moved.flags & opamp_pb2.ServerToAgentFlags_ReportFullState
        assert not moved.HasField("remote_config")
        old.close()
        reasons = []

        def old_is_closed() -> bool:
            history = pair.first.rows("SELECT agent_id, reason FROM agents_connectionrecord")
            reasons[:] = [reason for _, reason in history]
            return "replaced" in reasons

        pair.first.eventually(old_is_closed, what="the old connection is history")
        second = pair.first.api("PATCH", f"configurations/{name}", {"raw_config": "a: 2\n"}).json["config_hash"]
        assert receive(new).remote_config.config_hash.hex() == second
        assert pair.first.get(f"agents/{agent.uid}")["connected"] is True


@pytest.mark.defect(18)
@pytest.mark.rule("S-42", "S-50", "S-110", transport="http")
def test_polls_of_one_agent_may_reach_either_process(pair: Pair) -> None:
    name = f"polling-{uuid4().hex[:8]}"
    agent = FakeAgent(test=name)
    wanted = pair.first.post("configurations", configuration(name, {"test": name}, "a: 1\n"))["config_hash"]
    assert poll(pair.first, agent.message(**agent.full_parts())).remote_config.config_hash.hex() == wanted
    replies = [poll(pair[number % 2], agent.message()) for number in range(1, 9)]
    assert not any(reply.HasField("remote_config") for reply in replies)
    assert not any(reply.flags & opamp_pb2.ServerToAgentFlags_ReportFullState for reply in replies)
    poll(pair.second, agent.message(remote_config_status=answered(bytes.fromhex(wanted), APPLIED)))
    assert pair.first.get(f"agents/{agent.uid}")["in_sync"] is True
    second = pair.second.api("PATCH", f"configurations/{name}", {"raw_config": "a: 2\n"}).json["config_hash"]
    offers = [poll(pair[number % 2], agent.message()).remote_config.config_hash.hex() for number in range(8)]
    assert [found for found in offers if found] == [second]
    events = pair.first.get(f"agents/{agent.uid}/timeline")["results"]
    assert [event["kind"] for event in events].count("connected") == 1


@pytest.mark.rule("S-50", "S-61", "S-110", transport="websocket")
def test_what_failed_in_one_process_is_not_offered_by_the_other_but_at_a_persons_word(pair: Pair) -> None:
    name = f"failing-{uuid4().hex[:8]}"
    agent = FakeAgent(test=name)
    a = bytes.fromhex(pair.first.post("configurations", configuration(name, {"test": name}, "a: 1\n"))["config_hash"])

    def says(socket: ClientConnection, config_hash: bytes, status: int, error: str = "") -> None:
        said = agent.message(remote_config_status=answered(config_hash, status, error))
        assert not exchange(socket, said).HasField("remote_config")

    def publish(server: LiveServer, body: str) -> bytes:
        return bytes.fromhex(server.api("PATCH", f"configurations/{name}", {"raw_config": body}).json["config_hash"])

    with connect(pair.first.websocket_endpoint, proxy=None) as socket:
        assert exchange(socket, agent.message(**agent.full_parts())).remote_config.config_hash == a
        says(socket, a, APPLIED)
        b = publish(pair.second, "b: 1\n")
        assert receive(socket).remote_config.config_hash == b
        for config_hash, status, error in ((b, APPLYING, ""), (b, FAILED, "crashed"), (a, APPLIED, "")):
            says(socket, config_hash, status, error)
    with connect(pair.second.websocket_endpoint, proxy=None) as socket:
        agent.sequence_num = -1
        report = {**agent.full_parts(), "remote_config_status": answered(a, APPLIED)}
        assert not exchange(socket, agent.message(**report)).HasField("remote_config")
        for server in pair:
            assert server.get(f"agents/{agent.uid}")["status"] == "error"
            assert server.get(f"agents/{agent.uid}/configuration")["error_message"] == "crashed"
        publish(pair.first, "a: 1\n")
        pair.second.eventually(lambda: pair.second.get(f"agents/{agent.uid}")["in_sync"], what="it runs what it should")
        assert publish(pair.first, "b: 1\n") == b
        assert receive(socket).remote_config.config_hash == b
        says(socket, b, FAILED, "crashed again")
        pair.first.post(f"agents/{agent.uid}/configuration/retry")
        assert receive(socket).remote_config.config_hash == b


@pytest.mark.defect(18)
@pytest.mark.rule("S-110", transport="websocket")
def test_two_workers_behind_one_port_serve_one_fleet(tmp_path: Path) -> None:
    name = "workers"
    agents = [FakeAgent(test=name) for _ in range(24)]
    with LiveServer(tmp_path, workers=2) as server, ExitStack() as sockets:
        server.eventually(
            lambda: len(server.rows("SELECT id FROM agents_serverprocess")) == 2, what="both workers serve"
        )
        fleet = [(agent, sockets.enter_context(connect(server.websocket_endpoint, proxy=None))) for agent in agents]
        for agent, socket in fleet:
            exchange(socket, agent.message(**agent.full_parts()))
        processes = server.rows("SELECT DISTINCT lease_process FROM agents_agent WHERE connected")
        assert len(processes) == 2, "the kernel gave all connections to one worker"
        for _ in range(6):  # the REST calls meet either worker
            assert server.get("agents/summary")["status"]["connected"] == len(agents)
        wanted = server.post("configurations", configuration(name, {"test": name}, "a: 1\n"))["config_hash"]
        for _agent, socket in fleet:
            assert receive(socket).remote_config.config_hash.hex() == wanted


@pytest.mark.rule("S-83", "S-115", "S-117", transport="websocket")
def test_a_credential_counts_in_each_process_and_is_revoked_in_all(tmp_path: Path) -> None:
    secret, agent = "a-secret-for-all", FakeAgent(capabilities=COLLECTOR | ACCEPTS_SETTINGS)
    environment = {
        "OPAMP_SECRET_KEY": secret, "OPAMP_AGENT_CREDENTIALS": "true", "OPAMP_OFFER_HEARTBEAT": "true",
        "SECRET_KEY": "the same in all processes, and long enough",
    }  # fmt: skip
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with ExitStack() as stack:
        first = stack.enter_context(LiveServer(folders[0], **environment))
        shared = {name: first.environment[name] for name in ("DATABASE_URL", "REDIS_URL")}
        second = stack.enter_context(LiveServer(folders[1], **environment, **shared))
        second._token = first.token

        def opened(server: LiveServer, authorization: str) -> ClientConnection:
            headers = {"Authorization": authorization}
            return stack.enter_context(connect(server.websocket_endpoint, additional_headers=headers, proxy=None))

        by_secret = opened(first, f"Bearer {secret}")
        offer = exchange(by_secret, agent.message(**agent.full_parts())).connection_settings.opamp
        own = {header.key: header.value for header in offer.headers.headers}["Authorization"]
        broker = stack.enter_context(redis.Redis.from_url(first.environment["REDIS_URL"]))
        heard = stack.enter_context(broker.pubsub(ignore_subscribe_messages=True))
        heard.psubscribe("*")
        by_credential = opened(second, own)
        assert not exchange(by_credential, agent.message()).HasField("error_response")
        # The first process answers from memory, until the wake-up reaches it.
        assert rings_for(agent.uid, heard, 1) == 1
        first.eventually(lambda: exchange(by_secret, agent.message()).HasField("error_response"))
        assert not exchange(by_credential, agent.message()).HasField("error_response")
        first.post(f"agents/{agent.uid}/revoke-credential")
        assert "revoked" in receive(by_credential).error_response.error_message
        assert rings_for(agent.uid, heard, 1) == 1
        with pytest.raises(ConnectionClosed) as closed:
            by_credential.recv(timeout=TIMEOUT)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        for server in (first, second):
            assert "revoked" in exchange(opened(server, own), agent.message()).error_response.error_message
