"""What the tests of the contract with outside programs share: calls over HTTP as they make them, and an agent that is connected."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from websockets.sync.client import ClientConnection, connect

from opamp_transport.proto import opamp_pb2
from tests.fake_agent import FakeAgent
from tests.live_server import LiveServer

PROBLEM = "application/problem+json"
_SECONDS = 30


class Said(NamedTuple):
    """An answer: status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def is_problem(self) -> bool:
        """Whether it is problem JSON that says its own status and has ``errors`` by field."""
        if self.headers.get("content-type") != PROBLEM:
            return False
        said = self.json
        members = {"type", "title", "status", "code", "detail", "errors"}
        return members <= set(said) and said["status"] == self.status and isinstance(said["errors"], dict)


def ask(
    server: LiveServer,
    method: str,
    path: str,
    body: object = None,
    *,
    headers: dict[str, str] | None = None,
    token: str | None = None,
) -> Said:
    """One call; ``body`` is JSON unless it is bytes. ``token=""``: by nobody."""
    token = server.token if token is None else token
    fields = {"Authorization": f"Bearer {token}"} if token else {}
    if body is not None:
        fields["Content-Type"] = "application/json"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_SECONDS)
    try:
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, sent, {**fields, **(headers or {})})
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Said(answer.status, found, answer.read())
    finally:
        connection.close()


@contextmanager
def connected(server: LiveServer, agent: FakeAgent, **parts: Any) -> Iterator[ClientConnection]:
    """``agent`` over WebSocket, which has told all of itself and was answered; ``parts`` take the place of usual ones."""
    with opened(server) as socket:
        tell(socket, agent, **{**agent.full_parts(), **parts})
        yield socket


def opened(server: LiveServer) -> ClientConnection:
    """A WebSocket of an agent that has said nothing yet."""
    return connect(server.websocket_endpoint, proxy=None)


def tell(socket: ClientConnection, agent: FakeAgent, **parts: Any) -> opamp_pb2.ServerToAgent:
    """Send a message with ``parts``, and read what comes back next."""
    socket.send(b"\x00" + agent.message(**parts).SerializeToString())
    return heard(socket)


def heard(socket: ClientConnection) -> opamp_pb2.ServerToAgent:
    """The next message of the server."""
    message = socket.recv(timeout=_SECONDS)
    assert isinstance(message, bytes)
    return opamp_pb2.ServerToAgent.FromString(message[1:])
