"""The server process as an operator and an agent meet it: real processes, real sockets, bounded waits."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from opamp_transport.proto import opamp_pb2
from tests.live_server import ROOT, LiveServer, free_port

SECRET = "a-secret-of-the-agents"
MESSAGE_LIMIT = 4096
HANDSHAKE = (
    b"GET /v1/opamp HTTP/1.1\r\nHost: portal\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n\r\n"
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a secret for agents, a small message limit and little patience."""
    folder = tmp_path_factory.mktemp("guarded")
    limits = {"OPAMP_MAX_MESSAGE_SIZE": str(MESSAGE_LIMIT), "OPAMP_HEADER_SECONDS": "1"}
    with LiveServer(folder, migrated=False, OPAMP_SECRET_KEY=SECRET, **limits) as server:
        yield server


@pytest.fixture(scope="module")
def two_ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, int]]:
    """A server with a port for agents alone, which a file names."""
    port, folder = free_port(), tmp_path_factory.mktemp("ports")
    (folder / "port").write_text(f"{port}\n", encoding="utf-8")
    with LiveServer(folder, OPAMP_PORT="", OPAMP_PORT_FILE=str(folder / "port")) as server:
        yield server, port


def read_all(connection: socket.socket) -> bytes:
    """What the peer sends until it closes."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def first_message() -> bytes:
    """A framed first report of a new agent."""
    return b"\x00" + opamp_pb2.AgentToServer(instance_uid=uuid4().bytes, capabilities=1).SerializeToString()


class TestAdmission:
    @pytest.mark.rule("S-22", "S-105")
    def test_without_the_secret_the_handshake_gets_401_and_no_upgrade(self, guarded: LiveServer) -> None:
        with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as agent:
            agent.sendall(HANDSHAKE)
            head = agent.recv(65536)
        assert head.startswith(b"HTTP/1.1 401 ")
        assert b"101 Switching" not in head

    def test_with_the_secret_it_is_served(self, guarded: LiveServer) -> None:
        headers = {"Authorization": f"Bearer {SECRET}"}
        with connect(guarded.websocket_endpoint, additional_headers=headers, proxy=None) as agent:
            agent.send(first_message())
            assert agent.recv(timeout=10)[0] == 0


class TestAgentsPort:
    """The specification's own port, beside the portal's."""

    @pytest.mark.rule("S-01", "S-02", transport=("websocket", "http"))
    def test_agents_are_served_there_over_both_transports(self, two_ports: tuple[LiveServer, int]) -> None:
        _server, port = two_ports
        with connect(f"ws://127.0.0.1:{port}/v1/opamp", proxy=None) as agent:
            agent.send(first_message())
            assert agent.recv(timeout=10)[0] == 0
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/opamp",
            data=first_message()[1:],
            headers={"Content-Type": "application/x-protobuf"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 200

    @pytest.mark.parametrize("path", ["/", "/admin/", "/api/v1/agents", "/health", "/metrics"])
    def test_the_portal_is_not(self, two_ports: tuple[LiveServer, int], path: str) -> None:
        _server, port = two_ports
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10)
        with refusal.value as error:
            assert error.code == 404

    def test_the_portals_port_serves_agents_too(self, two_ports: tuple[LiveServer, int]) -> None:
        with connect(two_ports[0].websocket_endpoint, proxy=None) as agent:
            agent.send(first_message())
            assert agent.recv(timeout=10)[0] == 0

    @pytest.mark.rule("S-02")
    def test_without_a_choice_it_is_the_specifications_port_and_path(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "OPAMP_PORT"}
        program = "from opamp_platform import settings, asgi; print(settings.OPAMP_PORT, asgi.OPAMP_PATH)"
        printed = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        ).stdout
        assert printed.split() == ["4320", "^v1/opamp/?$"]

    def test_a_chosen_port_that_is_taken_ends_the_start(self, tmp_path: Path) -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            taken = holder.getsockname()[1]
            done = subprocess.run(
                [sys.executable, "manage.py", "serve", "--port", str(free_port()), "--opamp-port", str(taken)],
                cwd=ROOT, env={**os.environ, "DATA_DIR": str(tmp_path), "DATABASE_URL": ""},
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
        assert done.returncode != 0
        assert f"Port {taken}" in done.stderr
        assert "--opamp-port" in done.stderr


class TestProcess:
    def test_the_process_that_prepared_the_database_becomes_the_one_that_serves(self, guarded: LiveServer) -> None:
        assert guarded.process is not None
        command = Path(f"/proc/{guarded.process.pid}/cmdline").read_bytes().split(b"\0")
        assert b"opamp_server.worker" in command
        children = Path(f"/proc/{guarded.process.pid}/task/{guarded.process.pid}/children").read_text(encoding="ascii")
        assert children.split() == []


class TestLimits:
    def test_an_oversize_message_closes_with_1009(self, guarded: LiveServer) -> None:
        headers = {"Secret-Key": SECRET}
        with connect(guarded.websocket_endpoint, additional_headers=headers, proxy=None) as agent:
            agent.send(b"\x00" * (MESSAGE_LIMIT + 1))
            with pytest.raises(ConnectionClosed) as closed:
                agent.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009

    def test_a_connection_whose_request_head_is_late_is_dropped(self, guarded: LiveServer) -> None:
        with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as slow:
            slow.sendall(b"GET /health/live HTTP/1.1\r\nHost: portal\r\n")
            assert read_all(slow).startswith(b"HTTP/1.1 408 ")

    def test_a_silent_connection_is_dropped(self, guarded: LiveServer) -> None:
        with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as silent:
            assert read_all(silent).startswith(b"HTTP/1.1 408 ")

    def test_a_kept_connection_may_be_idle_longer_than_a_head_may_take(self, guarded: LiveServer) -> None:
        request = b"GET /health/live HTTP/1.1\r\nHost: portal\r\n\r\n"
        with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as kept:
            kept.sendall(request)
            assert whole_answer(kept).startswith(b"HTTP/1.1 200 ")
            kept.settimeout(1.5)
            with pytest.raises(TimeoutError):
                kept.recv(1)
            kept.settimeout(10)
            kept.sendall(request)
            assert whole_answer(kept).startswith(b"HTTP/1.1 200 ")


def whole_answer(kept: socket.socket) -> bytes:
    """One JSON answer: head and body may come in pieces."""
    received = b""
    while not received.endswith(b"}"):
        part = kept.recv(65536)
        assert part, received
        received += part
    return received


class TestEnd:
    def test_sigterm_closes_agents_in_order_and_ends_within_twenty_seconds(self, portal: LiveServer) -> None:
        with connect(portal.websocket_endpoint, proxy=None) as agent:
            agent.send(first_message())
            agent.recv(timeout=10)
            assert portal.process is not None
            begun = time.monotonic()
            portal.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                agent.recv(timeout=20)
            portal.process.wait(20)
        assert time.monotonic() - begun < 20
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in {1001, 1012}

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_an_end_in_order_is_no_error(self, portal: LiveServer, number: signal.Signals) -> None:
        assert portal.process is not None
        portal.process.send_signal(number)
        assert portal.process.wait(20) == 0
        assert "Traceback" not in portal.log_tail()


def test_refused_agents_are_one_line_and_no_error(tmp_path: Path) -> None:
    with LiveServer(tmp_path, OPAMP_SECRET_KEY=SECRET) as server:
        before = len(server.log_path.read_text(encoding="utf-8"))
        for _ in range(2):
            with pytest.raises(InvalidStatus) as refused:
                connect(server.websocket_endpoint, proxy=None)
            assert refused.value.response.status_code == 401
        # What the server has to say of it at the end, it says before it stops.
        server.terminate()
        lines = [json.loads(line) for line in server.log_path.read_text(encoding="utf-8")[before:].splitlines()]
    told = [(line["event"], line["level"]) for line in lines if line["level"] != "info"]
    assert told == [("refused", "warning")]


class TestStarts:
    def test_the_first_start_tells_how_to_sign_in_and_later_ones_change_nothing(self, tmp_path: Path) -> None:
        with LiveServer(tmp_path, "--print-token", ADMIN_PASSWORD="") as server:
            first = server.log_tail()
            assert f"http://127.0.0.1:{server.port}/" in first
            assert "password: " in first
            assert "Token:   opk_" in first
            assert f"--endpoint {server.websocket_endpoint}" in first
            assert "supervisor.yaml" in first
            token = first.split("Token:   ")[1].split()[0]
            people = server.manage("shell", "--no-imports", "-c", COUNT_PEOPLE)

            server.restart()
            later = server.log_path.read_text(encoding="utf-8")[len(first) :]
            assert f"http://127.0.0.1:{server.port}/" in later
            assert "opk_" not in later
            assert "password" not in later
            assert server.manage("shell", "--no-imports", "-c", COUNT_PEOPLE) == people == "1 admin True\n"
            server._token = token
            assert server.api("GET", "agents").status == 200
            ((until, since),) = server.rows("SELECT expires_at, created_at FROM accounts_apitoken")
            day = datetime.fromisoformat(str(until)) - datetime.fromisoformat(str(since))
            assert timedelta(hours=23) < day < timedelta(hours=25)

    def test_a_log_is_given_no_token_unless_it_is_asked_for(self, tmp_path: Path) -> None:
        with LiveServer(tmp_path, ADMIN_PASSWORD="") as server:
            first = server.log_tail()
            assert "password: " in first
            assert "opk_" not in first
            assert "create_token NAME" in first
            assert server.rows("SELECT count(*) FROM accounts_apitoken") == [(0,)]


COUNT_PEOPLE = (
    "from accounts.models import User; "
    "print(User.objects.count(), *User.objects.values_list('username', 'is_superuser').get())"
)


class TestRefusals:
    def run(self, tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`manage.py serve` that must end by itself."""
        return subprocess.run(
            [sys.executable, "manage.py", "serve", *arguments],
            cwd=ROOT,
            env={**os.environ, "DATA_DIR": str(tmp_path), "DATABASE_URL": "", "REDIS_URL": "", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_a_port_in_use_is_named(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            done = self.run(tmp_path, "--port", str(port))
        assert done.returncode == 1
        assert f"Port {port} on 127.0.0.1 cannot be used" in done.stderr
        assert "Traceback" not in done.stderr

    def test_several_workers_need_postgresql_and_redis(self, tmp_path: Path) -> None:
        done = self.run(tmp_path, "--port", str(free_port()), "--workers", "2")
        assert done.returncode == 1
        assert "DATABASE_URL" in done.stderr
        assert "REDIS_URL" in done.stderr
        assert not (tmp_path / "opamp.sqlite3").exists()

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("OPAMP_HEARTBEAT_SECONDS", "often", "OPAMP_HEARTBEAT_SECONDS='often' is no whole number"),
            ("TIME_ZONE", "Mars/Base", "TIME_ZONE='Mars/Base' is no time zone"),
            ("REDIS_URL", "localhost:6379", "REDIS_URL must be redis://"),
            ("DATABASE_URL", "mysql://x", "DATABASE_URL must be postgres://"),
            ("DATABASE_URL", "postgres://opamp@127.0.0.1:1/x", "Connection refused. See DATABASE_URL."),
            ("DATA_DIR", "/dev/null/x", "DATA_DIR=/dev/null/x cannot be used (Not a directory)"),
            ("DATA_DIR", "/proc", "DATA_DIR=/proc cannot be used"),
            ("S3_BUCKET", "x", "set all three or none"),
            ("OPAMP_SERVER", "fast", "OPAMP_SERVER='fast' is unknown: use own or stock."),
        ],
    )
    def test_a_strange_setting_stops_the_start_with_one_line(
        self, tmp_path: Path, name: str, value: str, said: str
    ) -> None:
        done = self.run(tmp_path, "--port", str(free_port()), **{name: value})
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.strip().count("\n") == 0
