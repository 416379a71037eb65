"""Sockets of a real server: its refusals, the program in the documents, stopping, and several workers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.fake_agent import FakeAgent
from tests.live_server import ROOT, LiveServer
from tests.plain_http import post

REDIS = pytest.mark.skipif(
    not (os.environ.get("REDIS_URL") and os.environ.get("DATABASE_URL")), reason="needs PostgreSQL and Redis"
)


@contextmanager
def listening(server: LiveServer, *topics: str) -> Iterator[ClientConnection]:
    """A socket that has subscribed."""
    headers = {"Authorization": f"Bearer {server.token}"}
    with connect(f"ws://127.0.0.1:{server.port}/ws/notifications", additional_headers=headers) as socket:
        socket.send(json.dumps({"subscribe": topics}))
        assert json.loads(socket.recv(10))["subscribed"] == list(topics)
        yield socket


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Origin": "https://evil.example"}, 403)],
)
def test_strangers_are_refused_before_the_upgrade(
    shared_portal: LiveServer, headers: dict[str, str], status: int
) -> None:
    address = f"ws://127.0.0.1:{shared_portal.port}/ws/notifications"
    with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers):
        pass
    assert refused.value.response.status_code == status


def test_the_program_of_the_documents_prints_what_happens(shared_portal: LiveServer) -> None:
    page = (ROOT / "docs" / "notifications.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    environment = {**os.environ, "PORTAL": shared_portal.url, "TOKEN": shared_portal.token}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            assert json.loads(running.stdout.readline())["subscribed"] == ["agents", "overview"]
            uid = posted(shared_portal)
            told = json.loads(running.stdout.readline())["changes"]
            assert {"topic": "agents", "changed": [uid]} in told
        finally:
            running.kill()


def test_a_server_that_stops_says_so(tmp_path: Path) -> None:
    with LiveServer(tmp_path) as server, listening(server, "agents") as socket:
        server.terminate()
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


@REDIS
def test_what_one_worker_does_the_listeners_of_all_hear(tmp_path: Path) -> None:
    with LiveServer(tmp_path, workers=2) as server, ExitStack() as opened:
        # The kernel spreads them over the workers.
        sockets = [opened.enter_context(listening(server, "agents")) for _ in range(12)]
        # The first change may come before all workers know that somebody listens.
        server.eventually(lambda: posted(server) and all(hears(socket) for socket in sockets), 30, "all have heard")
        uid = posted(server)
        for socket in sockets:
            while uid not in json.dumps(json.loads(socket.recv(30))):
                pass


def posted(server: LiveServer) -> str:
    """The uid of an agent that has just registered over plain HTTP."""
    agent = FakeAgent(env="live")
    body = agent.message(**agent.full_parts()).SerializeToString()
    assert post(server.http_endpoint, body).status == 200
    return str(agent.uid)


def hears(socket: ClientConnection) -> bool:
    """Whether a change comes soon."""
    try:
        return "changes" in json.loads(socket.recv(2))
    except TimeoutError:
        return False
