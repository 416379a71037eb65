"""A TCP proxy on loopback that keeps what passed, so that a test can see what two programs said on the wire."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_PIECE = 65536


class RecordingProxy:
    """Forwards to the host and port of ``endpoint``; ``with RecordingProxy(url) as proxy``."""

    def __init__(self, endpoint: str) -> None:
        self._target = urlsplit(endpoint)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._sent, self._received = bytearray(), bytearray()
        port = self._listener.getsockname()[1]
        self.endpoint = urlunsplit(self._target._replace(netloc=f"127.0.0.1:{port}"))

    @property
    def sent(self) -> bytes:
        """What clients sent so far, all connections in one."""
        return bytes(self._sent)

    @property
    def received(self) -> bytes:
        """What the server sent so far."""
        return bytes(self._received)

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
            server = socket.create_connection((str(self._target.hostname), int(self._target.port or 0)), timeout=10)
            server.settimeout(None)
            self._sockets += [client, server]
            self._run(self._forward, client, server, self._sent)
            self._run(self._forward, server, client, self._received)

    def _forward(self, source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        try:
            while piece := source.recv(_PIECE):
                kept += piece
                sink.sendall(piece)
        except OSError:
            pass  # the other side has gone
        _shut(sink)


def _shut(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it never was connected, or is not any more
