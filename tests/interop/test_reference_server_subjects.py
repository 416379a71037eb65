"""The subjects that the reference server library tests of itself, shown of this server over real sockets.

Left out is what only a library has: attaching to a foreign HTTP server, middleware, and TLS, which is a proxy's business
in front of this server.
"""

from __future__ import annotations

import gzip
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from opamp_transport.proto import opamp_pb2
from tests.fake_agent import APPLIED, FakeAgent, answered, effective_config
from tests.interop.full_queue import full_queue
from tests.interop.recording_proxy import RecordingProxy
from tests.live_server import LiveServer, configuration
from tests.plain_http import post

LIMIT = 4096
TIMEOUT = 15.0
BAD_REQUEST = opamp_pb2.ServerErrorResponseType_BadRequest


class Wire:
    """One WebSocket; ``with Wire(endpoint) as wire``."""

    connection: ClientConnection

    def __init__(self, endpoint: str, *, compression: str | None = None) -> None:
        self._connecting = connect(endpoint, proxy=None, compression=compression, ping_interval=None, close_timeout=5)

    def __enter__(self) -> Self:
        self.connection = self._connecting.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connecting.__exit__(kind, error, trace)

    def send(self, message: opamp_pb2.AgentToServer) -> None:
        """One framed message."""
        self.connection.send(b"\x00" + message.SerializeToString())

    def receive(self) -> opamp_pb2.ServerToAgent:
        """The next message; it must be one whole binary frame with an empty header."""
        frame = self.connection.recv(timeout=TIMEOUT)
        assert isinstance(frame, bytes)
        assert frame[0] == 0
        return opamp_pb2.ServerToAgent.FromString(frame[1:])

    def talk_nonsense(self, times: int) -> None:
        """So many messages that cannot be read, each answered."""
        for _ in range(times):
            self.connection.send(b"\x00\xff\xff")
            self.receive()

    def exchange(self, message: opamp_pb2.AgentToServer) -> opamp_pb2.ServerToAgent:
        """Send, and take the next message as its answer."""
        self.send(message)
        return self.receive()


def shown(server: LiveServer, agent: FakeAgent, **fields: object) -> dict[str, object]:
    """The agent as the portal shows it, once it has these fields."""

    def claim() -> dict[str, object] | None:
        answer = server.api("GET", f"agents/{agent.uid}")
        return answer.json if answer.status == 200 and fields.items() <= answer.json.items() else None

    return server.eventually(claim, TIMEOUT, f"{agent.uid} with {fields}") or {}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a small limit for messages in both directions."""
    with LiveServer(tmp_path_factory.mktemp("narrow"), OPAMP_MAX_MESSAGE_SIZE=str(LIMIT)) as server:
        yield server


class TestStartAndStop:
    def test_it_starts_again_and_again_on_the_same_port(self, portal: LiveServer) -> None:
        agent = FakeAgent()
        for _ in range(2):
            with Wire(portal.websocket_endpoint) as wire:
                assert wire.exchange(agent.message(**agent.full_parts())).instance_uid == agent.uid.bytes
                portal.terminate()  # with the agent still connected
            portal.start()
        assert shown(portal, agent, connected=False)["sequence_num"] == 1

    def test_agents_and_pages_share_one_listener(self, shared_portal: LiveServer) -> None:
        agent = FakeAgent()
        with Wire(shared_portal.websocket_endpoint) as wire:
            wire.exchange(agent.message(**agent.full_parts()))
            assert post(shared_portal.http_endpoint, FakeAgent().message().SerializeToString()).status == 200
            assert post(f"{shared_portal.url}/health/live", b"", method="GET").status == 200
            assert shown(shared_portal, agent)["connected"] is True


class TestReject:
    @pytest.mark.rule("S-103", "S-105", transport="websocket")
    def test_a_rejected_handshake_has_status_and_headers(self, tmp_path: Path) -> None:
        with LiveServer(tmp_path, OPAMP_QUEUE_LIMIT="1") as server:
            with full_queue(server), pytest.raises(InvalidStatus) as refused, Wire(server.websocket_endpoint):
                pass
            assert refused.value.response.status_code == 503
            assert int(refused.value.response.headers["Retry-After"]) >= 30
            with Wire(server.websocket_endpoint) as wire:
                agent = FakeAgent()
                assert not wire.exchange(agent.message(**agent.full_parts())).HasField("error_response")


class TestAccept:
    def test_an_accepted_agent_is_known_with_its_address(self, shared_portal: LiveServer) -> None:
        agent = FakeAgent()
        with Wire(shared_portal.websocket_endpoint) as wire:
            response = wire.connection.response
            assert response is not None
            assert response.status_code == 101
            wire.exchange(agent.message(**agent.full_parts()))
            assert shown(shared_portal, agent, connected=True)["remote_address"] == "127.0.0.1"

    def test_what_happened_before_an_agent_spoke_comes_with_its_first_answer(self, shared_portal: LiveServer) -> None:
        agent = FakeAgent(test="before-it-spoke")
        with Wire(shared_portal.websocket_endpoint) as wire:
            body = configuration("before-it-spoke", {"test": "before-it-spoke"}, "a: 1\n")
            wanted = shared_portal.post("configurations", body)["config_hash"]
            first = wire.exchange(agent.message(**agent.full_parts()))
            assert first.remote_config.config_hash.hex() == wanted
            assert not wire.exchange(agent.message()).HasField("remote_config")


class TestDisconnect:
    @pytest.mark.rule("S-34", transport="websocket")
    @pytest.mark.parametrize("orderly", [True, False], ids=["close frame", "reset"])
    def test_from_the_client(self, shared_portal: LiveServer, orderly: bool) -> None:
        agent = FakeAgent()
        with Wire(shared_portal.websocket_endpoint) as wire:
            wire.exchange(agent.message(**agent.full_parts()))
            shown(shared_portal, agent, connected=True)
            if orderly:
                wire.connection.close()
            else:
                wire.connection.socket.shutdown(socket.SHUT_RDWR)
            shown(shared_portal, agent, connected=False, status="disconnected")

    @pytest.mark.rule("S-15", "S-111", transport="websocket")
    def test_from_the_server(self, shared_portal: LiveServer) -> None:
        agent, nuisance = FakeAgent(), FakeAgent()
        with Wire(shared_portal.websocket_endpoint) as good, Wire(shared_portal.websocket_endpoint) as bad:
            good.exchange(agent.message(**agent.full_parts()))
            bad.exchange(nuisance.message(**nuisance.full_parts()))
            with pytest.raises(ConnectionClosed) as closed:
                bad.talk_nonsense(100)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
            shown(shared_portal, nuisance, connected=False)
            assert not good.exchange(agent.message()).HasField("error_response")

    def test_a_client_that_does_not_wait_for_its_answer_costs_nobody_else(self, shared_portal: LiveServer) -> None:
        hasty, agent = FakeAgent(), FakeAgent()
        with Wire(shared_portal.websocket_endpoint) as good:
            good.exchange(agent.message(**agent.full_parts()))
            with Wire(shared_portal.websocket_endpoint) as wire:
                wire.send(hasty.message(**hasty.full_parts()))
            shown(shared_portal, hasty, connected=False)
            assert not good.exchange(agent.message()).HasField("error_response")

    @pytest.mark.rule("S-35", transport="websocket")
    def test_after_its_goodbye_an_agent_may_speak_again(self, shared_portal: LiveServer) -> None:
        agent = FakeAgent()
        with Wire(shared_portal.websocket_endpoint) as wire:
            wire.exchange(agent.message(**agent.full_parts()))
            farewell = wire.exchange(agent.message(agent_disconnect=opamp_pb2.AgentDisconnect()))
            assert farewell.instance_uid == agent.uid.bytes
            shown(shared_portal, agent, connected=False)
            assert not wire.exchange(agent.message()).HasField("error_response")
            shown(shared_portal, agent, connected=True)


class TestMessages:
    @pytest.mark.rule("S-05", "S-27", "S-53", transport="websocket")
    def test_over_websocket(self, shared_portal: LiveServer) -> None:
        agent = FakeAgent()
        with Wire(shared_portal.websocket_endpoint) as wire:
            reply = wire.exchange(agent.message(**agent.full_parts()))
        assert reply.instance_uid == agent.uid.bytes
        assert reply.capabilities & opamp_pb2.ServerCapabilities_AcceptsStatus

    @pytest.mark.rule("S-05", "S-20", "S-27", "S-53", transport="http")
    def test_over_plain_http(self, shared_portal: LiveServer) -> None:
        agent = FakeAgent()
        for _ in range(2):  # news, then a heartbeat, which memory answers
            answer = post(shared_portal.http_endpoint, agent.message(**agent.full_parts()).SerializeToString())
            assert (answer.status, answer.headers["content-type"]) == (200, "application/x-protobuf")
            reply = opamp_pb2.ServerToAgent.FromString(answer.body)
            assert reply.instance_uid == agent.uid.bytes
            assert reply.capabilities & opamp_pb2.ServerCapabilities_AcceptsStatus

    @pytest.mark.rule("S-06", "S-07", "S-08", "S-100", "S-101", transport="websocket")
    @pytest.mark.parametrize(
        "frame",
        [
            "abc",
            b"",
            b"\x00",
            b"\x01\x0a",
            b"\x80",
            b"\x00\x0a\xff",
            FakeAgent(UUID(int=1)).message().SerializeToString(),
        ],
        ids=["text", "nothing", "header alone", "other header", "half a header", "half a message", "no header"],
    )
    def test_what_cannot_be_read_is_answered_and_the_connection_lives(
        self, shared_portal: LiveServer, frame: str | bytes
    ) -> None:
        agent = FakeAgent()
        with Wire(shared_portal.websocket_endpoint) as wire:
            wire.connection.send(frame)
            error = wire.receive().error_response
            assert error.type == BAD_REQUEST
            assert error.error_message
            assert not wire.exchange(agent.message(**agent.full_parts())).HasField("error_response")

    @pytest.mark.rule("S-08", transport="websocket")
    def test_a_message_in_fragments_is_one_message(self, shared_portal: LiveServer) -> None:
        agent = FakeAgent()
        frame = b"\x00" + agent.message(**agent.full_parts()).SerializeToString()
        with Wire(shared_portal.websocket_endpoint) as wire:
            wire.connection.send([frame[:1], frame[1:7], b"", frame[7:]])
            assert wire.receive().instance_uid == agent.uid.bytes
        assert shown(shared_portal, agent)["hostname"] == "web-1"

    @pytest.mark.rule("S-33", "S-36", "S-106", transport="websocket")
    def test_concurrent_answers_and_offers_share_a_socket_without_tearing(self, shared_portal: LiveServer) -> None:
        """Twenty agents behind one socket, bursts of messages, and edits meanwhile: each frame is one whole message."""
        name, edits, beats = "shared-socket", 5, 15
        agents = {agent.uid.bytes: agent for agent in (FakeAgent(test=name) for _ in range(20))}
        answers: Counter[bytes] = Counter()
        body = configuration(name, {"test": name}, "a: 0\n")
        newest = shared_portal.post("configurations", body)["config_hash"]
        with Wire(shared_portal.websocket_endpoint) as wire:
            for agent in agents.values():
                wire.send(agent.message(**agent.full_parts()))
            for edit in range(1, edits + 1):
                for _ in range(beats // edits):
                    for agent in agents.values():
                        wire.send(agent.message())
                answer = shared_portal.api("PATCH", f"configurations/{name}", {"raw_config": f"a: {edit}\n"})
                assert answer.status == 200
                newest = answer.json["config_hash"]
            told: set[bytes] = set()
            while len(told) < len(agents) or min(answers.values()) < 1 + beats:
                reply = wire.receive()
                assert reply.instance_uid in agents
                assert not reply.HasField("error_response")
                answers[reply.instance_uid] += 1
                if reply.remote_config.config_hash.hex() == newest:
                    told.add(reply.instance_uid)
            for agent in agents.values():
                wire.send(agent.message(remote_config_status=answered(bytes.fromhex(newest), APPLIED)))
            for agent in agents.values():
                shown(shared_portal, agent, in_sync=True)


class TestEncodings:
    @pytest.mark.rule("S-16", transport="http")
    def test_of_requests(self, shared_portal: LiveServer) -> None:
        agent = FakeAgent()
        plain = agent.message(**agent.full_parts()).SerializeToString()
        assert post(shared_portal.http_endpoint, gzip.compress(plain), content_encoding="gzip").status == 200
        assert shown(shared_portal, agent)["hostname"] == "web-1"
        again = agent.message().SerializeToString()
        assert post(shared_portal.http_endpoint, again, content_encoding="identity").status == 200
        assert post(shared_portal.http_endpoint, again, content_encoding="br").status == 415
        assert post(shared_portal.http_endpoint, again, content_encoding="gzip").status == 400
        half = gzip.compress(again)[:-9]
        assert post(shared_portal.http_endpoint, half, content_encoding="gzip").status == 400

    @pytest.mark.rule("S-17", transport="http")
    @pytest.mark.parametrize(
        ("accepted", "compressed"),
        [
            ("", False),
            ("gzip", True),
            ("deflate, GZIP;q=0.5", True),
            ("*", True),
            ("gzip;q=0", False),
            ("*;q=1, gzip;q=0", False),
            ("identity, br", False),
        ],
    )
    def test_of_responses(self, shared_portal: LiveServer, accepted: str, compressed: bool) -> None:
        agent = FakeAgent()
        body = agent.message(**agent.full_parts()).SerializeToString()
        answer = post(shared_portal.http_endpoint, body, **({"accept_encoding": accepted} if accepted else {}))
        assert answer.status == 200
        assert ("gzip" in answer.headers.get("content-encoding", "")) is compressed
        reply = gzip.decompress(answer.body) if compressed else answer.body
        assert opamp_pb2.ServerToAgent.FromString(reply).instance_uid == agent.uid.bytes

    @pytest.mark.rule("S-13", transport="websocket")
    @pytest.mark.parametrize("compression", [None, "deflate"], ids=["plain", "deflate offered"])
    def test_of_websocket_messages(self, shared_portal: LiveServer, compression: str | None) -> None:
        large = "receivers: {}\n" + "# again and again the same\n" * 2_000
        agent = FakeAgent()
        parts = {**agent.full_parts(), "effective_config": effective_config(large)}
        with RecordingProxy(shared_portal.websocket_endpoint) as proxy:
            with Wire(proxy.endpoint, compression=compression) as wire:
                assert wire.exchange(agent.message(**parts)).instance_uid == agent.uid.bytes
                response = wire.connection.response
                assert response is not None
                taken = response.headers.get("Sec-WebSocket-Extensions", "")
            if "permessage-deflate" in taken:
                assert compression == "deflate"
                assert len(proxy.sent) < len(large) // 4
            else:
                assert len(proxy.sent) > len(large)
        config = shared_portal.get(f"agents/{agent.uid}/effective-config")
        assert "again and again" in str(config)


class TestSizes:
    @pytest.mark.rule("S-09", "S-10", transport="websocket")
    def test_of_a_websocket_message_received(self, narrow: LiveServer) -> None:
        agent = FakeAgent()
        with Wire(narrow.websocket_endpoint) as wire:
            wire.exchange(agent.message(**agent.full_parts()))
            wire.send(agent.message(effective_config=effective_config("x" * LIMIT)))
            with pytest.raises(ConnectionClosed) as closed:
                wire.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009

    @pytest.mark.rule("S-18", transport="http")
    @pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
    def test_of_an_http_request(self, narrow: LiveServer, zipped: bool) -> None:
        agent = FakeAgent()
        body = agent.message(effective_config=effective_config("x" * LIMIT)).SerializeToString()
        if zipped:
            assert len(gzip.compress(body)) < LIMIT
            assert post(narrow.http_endpoint, gzip.compress(body), content_encoding="gzip").status == 413
        else:
            assert post(narrow.http_endpoint, body).status == 413
        assert narrow.api("GET", f"agents/{agent.uid}").status == 404

    @pytest.mark.rule("S-11", transport="websocket")
    def test_of_a_websocket_message_to_be_sent(self, narrow: LiveServer) -> None:
        agent = FakeAgent(test="wide-ws")
        with Wire(narrow.websocket_endpoint) as wire:
            wire.exchange(agent.message(**agent.full_parts()))
            narrow.post("configurations", configuration("wide-ws", {"test": "wide-ws"}, f"a: {'x' * LIMIT}\n"))
            narrow.eventually(lambda: "too large" in narrow.log_tail(), what="the discarded offer in the log")
            fits = narrow.api("PATCH", "configurations/wide-ws", {"raw_config": "a: 1\n"})
            while not (reply := wire.receive()).HasField("remote_config"):
                assert not reply.HasField("error_response")
            assert reply.remote_config.config_hash.hex() == fits.json["config_hash"]
            assert not wire.exchange(agent.message()).HasField("error_response")

    @pytest.mark.rule("S-19", transport="http")
    def test_of_an_http_response(self, narrow: LiveServer) -> None:
        agent = FakeAgent(test="wide-http")
        narrow.post("configurations", configuration("wide-http", {"test": "wide-http"}, f"a: {'x' * LIMIT}\n"))
        assert post(narrow.http_endpoint, agent.message(**agent.full_parts()).SerializeToString()).status == 500
        fits = narrow.api("PATCH", "configurations/wide-http", {"raw_config": "a: 1\n"})
        answer = post(narrow.http_endpoint, agent.message().SerializeToString())
        assert answer.status == 200
        reply = opamp_pb2.ServerToAgent.FromString(answer.body)
        assert reply.remote_config.config_hash.hex() == fits.json["config_hash"]
