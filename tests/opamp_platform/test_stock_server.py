"""``OPAMP_SERVER=stock``: uvicorn with its own protocols. Agents connect and are configured, and what keeps strangers out holds."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from opamp_platform.server import configuration as server_configuration
from opamp_server.websocket_protocol import WebSocketProtocol
from opamp_transport.proto import opamp_pb2
from tests.fake_agent import APPLIED, FakeAgent
from tests.live_server import LiveServer, configuration
from tests.plain_http import post

SECRET = "a-secret-of-the-agents"
HEADERS = {"Authorization": f"Bearer {SECRET}"}
MESSAGE_LIMIT = 64 * 1024
TIMEOUT = 20.0


def _workers() -> list[int]:
    shared = os.environ.get("DATABASE_URL", "").startswith("postgres") and bool(os.environ.get("REDIS_URL"))
    return [1, 2] if shared else [1]


@pytest.fixture(scope="module", params=_workers(), ids=lambda workers: f"{workers} processes")
def stock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(
        tmp_path_factory.mktemp("stock"),
        workers=request.param,
        OPAMP_SERVER="stock",
        OPAMP_SECRET_KEY=SECRET,
        OPAMP_MAX_MESSAGE_SIZE=str(MESSAGE_LIMIT),
        ALLOWED_HOSTS="127.0.0.1",
    ) as server:
        yield server


def exchange(socket: ClientConnection, message: opamp_pb2.AgentToServer) -> opamp_pb2.ServerToAgent:
    """Send, and take the next message as the answer."""
    socket.send(b"\x00" + message.SerializeToString())
    frame = socket.recv(timeout=TIMEOUT)
    assert isinstance(frame, bytes)
    return opamp_pb2.ServerToAgent.FromString(frame[1:])


def poll(server: LiveServer, message: opamp_pb2.AgentToServer) -> opamp_pb2.ServerToAgent:
    answer = post(server.http_endpoint, message.SerializeToString(), **HEADERS)
    assert answer.status == 200, answer
    return opamp_pb2.ServerToAgent.FromString(answer.body)


def test_the_protocols_are_those_of_uvicorn(settings) -> None:  # type: ignore[no-untyped-def]
    settings.OPAMP_SERVER = "stock"
    for made, ours in ((server_configuration(host="127.0.0.1", port=0), False), (own(settings), True)):
        made.load()
        for protocol in (made.http_protocol_class, made.ws_protocol_class):
            assert getattr(protocol, "func", protocol).__module__.startswith("opamp_server.") is ours
    assert made.ws_protocol_class.func is WebSocketProtocol  # type: ignore[union-attr]


def own(settings):  # type: ignore[no-untyped-def]
    settings.OPAMP_SERVER = "own"
    return server_configuration(host="127.0.0.1", port=0)


class TestAgents:
    def test_over_websocket_they_are_configured(self, stock: LiveServer) -> None:
        agent = FakeAgent(test="stock-websocket")
        stock.post("configurations", configuration("stock-websocket", {"test": "stock-websocket"}, "a: 1\n"))
        with connect(stock.websocket_endpoint, additional_headers=HEADERS, proxy=None) as socket:
            offered = exchange(socket, agent.message(**agent.full_parts())).remote_config
            assert list(offered.config.config_map)
            exchange(socket, agent.message(remote_config_status=status(offered.config_hash)))
            for _ in range(3):
                assert exchange(socket, agent.message()).instance_uid == agent.uid.bytes
            stock.eventually(lambda: stock.get(f"agents/{agent.uid}")["connected"], TIMEOUT)
            change = stock.api("PATCH", "configurations/stock-websocket", {"raw_config": "a: 2\n"})
            frame = socket.recv(timeout=TIMEOUT)
            assert isinstance(frame, bytes)
            pushed = opamp_pb2.ServerToAgent.FromString(frame[1:]).remote_config
            assert pushed.config_hash.hex() == change.json["config_hash"]
        stock.eventually(lambda: not stock.get(f"agents/{agent.uid}")["connected"], TIMEOUT)

    def test_over_http_they_are_configured(self, stock: LiveServer) -> None:
        agent = FakeAgent(test="stock-http")
        stock.post("configurations", configuration("stock-http", {"test": "stock-http"}, "a: 1\n"))
        offered = poll(stock, agent.message(**agent.full_parts())).remote_config
        assert offered.config_hash
        poll(stock, agent.message(remote_config_status=status(offered.config_hash)))
        assert not poll(stock, agent.message()).HasField("remote_config")


def status(config_hash: bytes) -> opamp_pb2.RemoteConfigStatus:
    """Applied."""
    return opamp_pb2.RemoteConfigStatus(last_remote_config_hash=config_hash, status=APPLIED)


class TestStrangers:
    @pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}], ids=["no secret", "a wrong secret"])
    def test_without_the_secret_nobody_is_let_in(self, stock: LiveServer, headers: dict[str, str]) -> None:
        with pytest.raises(InvalidStatus) as refused:
            connect(stock.websocket_endpoint, additional_headers=headers, proxy=None)
        assert refused.value.response.status_code == 401
        agent = FakeAgent()
        assert post(stock.http_endpoint, agent.message().SerializeToString(), **headers).status == 401

    def test_web_pages_of_others_are_refused(self, stock: LiveServer) -> None:
        headers = {**HEADERS, "Origin": "https://elsewhere.example"}
        with pytest.raises(InvalidStatus) as refused:
            connect(stock.websocket_endpoint, additional_headers=headers, proxy=None)
        assert refused.value.response.status_code == 403
        assert post(stock.http_endpoint, FakeAgent().message().SerializeToString(), **headers).status == 403

    def test_the_portal_answers_under_its_names_alone(self, stock: LiveServer) -> None:
        request = urllib.request.Request(f"{stock.url}/admin/login/", headers={"Host": "elsewhere.example"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=TIMEOUT)
        with refused.value as error:
            assert error.code == 400

    def test_messages_may_not_be_larger_than_the_limit(self, stock: LiveServer) -> None:
        with connect(stock.websocket_endpoint, additional_headers=HEADERS, proxy=None) as socket:
            socket.send(bytes(MESSAGE_LIMIT + 1))
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=TIMEOUT)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert post(stock.http_endpoint, bytes(MESSAGE_LIMIT + 1), **HEADERS).status == 413


def test_an_end_in_order_sends_agents_away(stock: LiveServer) -> None:
    agent = FakeAgent()
    with connect(stock.websocket_endpoint, additional_headers=HEADERS, proxy=None) as socket:
        exchange(socket, agent.message(**agent.full_parts()))
        before = len(stock.log_path.read_text(encoding="utf-8"))
        stock.terminate()
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=TIMEOUT)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert stock.process is not None
    assert stock.process.returncode == 0
    assert "Traceback" not in stock.log_path.read_text(encoding="utf-8")[before:]
    stock.start()
