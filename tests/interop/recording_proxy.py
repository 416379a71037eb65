"""A TCP proxy on loopback that keeps what passed, so that a test can see what two programs said on the wire."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit, urlunsplit

_PIECE = 65536


class Piece(NamedTuple):
    """Some bytes on their way: ``at`` is `time.monotonic` after they came in and before they went on."""

    at: float
    by_client: bool
    data: bytes


class RecordingProxy:
    """Forwards to the host and port of ``endpoint``; ``with RecordingProxy(url) as proxy``.

    While nobody listens there, clients are rejected.
    """

    def __init__(self, endpoint: str) -> None:
        self._target = urlsplit(endpoint)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._pieces: list[Piece] = []
        port = self._listener.getsockname()[1]
        self.endpoint = urlunsplit(self._target._replace(netloc=f"127.0.0.1:{port}"))

    @property
    def pieces(self) -> list[Piece]:
        """What passed so far in both directions, all connections in one."""
        return list(self._pieces)

    @property
    def sent(self) -> bytes:
        """What clients sent so far."""
        return b"".join(piece.data for piece in self.pieces if piece.by_client)

    @property
    def received(self) -> bytes:
        """What the server sent so far."""
        return b"".join(piece.data for piece in self.pieces if not piece.by_client)

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A blocked accept() or recv() returns only after shutdown, not after close.
        for one in [self._listener, *self._sockets]:
            _shut(one)
        for thread in self._threads:
            thread.join(10)
        for one in [self._listener, *self._sockets]:
            one.close()

    def _run(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            try:
                server = socket.create_connection((str(self._target.hostname), int(self._target.port or 0)), timeout=10)
            except OSError:
                _shut(client)
                continue
            server.settimeout(None)
            self._sockets.append(server)
            self._run(self._forward, client, server, True)
            self._run(self._forward, server, client, False)

    def _forward(self, source: socket.socket, sink: socket.socket, by_client: bool) -> None:
        try:
            while data := source.recv(_PIECE):
                self._pieces.append(Piece(time.monotonic(), by_client, data))
                sink.sendall(data)
        except OSError:
            pass  # the other side has gone
        _shut(sink)


def _shut(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it never was connected, or is not any more
