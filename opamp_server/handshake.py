"""The opening handshake of a WebSocket (RFC 6455 section 4): what is judged, and the answers to it."""

from __future__ import annotations

import asyncio
import email.utils
import http
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol

from opamp_server.deadlines import LOGGER
from opamp_server.frames import DEFLATE
from opamp_server.options import ServerOptions
from opamp_server.peer_certificates import TLS, tls_extension

_NO_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_LATIN = "latin-1"


class Answer(NamedTuple):
    """What goes to the peer, and the protocol to go on with when that opened the connection."""

    data: bytes
    websocket: Protocol | None = None


class Handshake:
    """One handshake: the request comes in, one answer goes out. Kept only until then."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._protocol = ServerProtocol(
            extensions=[DEFLATE] if options.compression else None, max_size=options.max_message_bytes, logger=LOGGER
        )
        # What the peer has sent although it should wait for the answer.
        self.early = b""
        self.scope: dict[str, Any] | None = None
        self._acceptance: Response | None = None
        # A response of the application's own, of which the end is missing: status, headers, body.
        self._response: tuple[int, Any, bytes] | None = None

    def receive(self, head: bytes) -> Request | bytes:
        """Judge a whole request; when it is no handshake, the refusal to send."""
        self._protocol.receive_data(head)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                response = self._protocol.accept(event)
                if response.status_code != http.HTTPStatus.SWITCHING_PROTOCOLS:
                    return self._sent(response)
                self._acceptance = response
                return event
        return b"".join(self._protocol.data_to_send()) or _NO_HANDSHAKE

    def answer(self, message: Mapping[str, Any]) -> Answer | None:
        """Take one message of the application; ``None`` while its response is incomplete.

        Raises RuntimeError for a message that answers no handshake.
        """
        kind = message["type"]
        if self._response is not None and kind == "websocket.http.response.body":
            status, headers, body = self._response
            self._response = (status, headers, body + message.get("body", b""))
            return None if message.get("more_body", False) else Answer(self._respond(*self._response))
        if self._response is None and kind == "websocket.http.response.start":
            if not 100 <= message["status"] < 600:
                raise RuntimeError(f"{message['status']} is no HTTP status")
            self._response = (message["status"], message.get("headers", ()), b"")
            return None
        if self._response is None and kind == "websocket.close":
            return Answer(self.reject(http.HTTPStatus.FORBIDDEN))
        if self._response is None and kind == "websocket.accept" and self._acceptance is not None:
            return self._accept(self._acceptance, message)
        raise RuntimeError(f"{kind} is no answer to a handshake")

    def reject(self, status: int, text: str = "") -> bytes:
        """An answer that opens nothing."""
        return self._sent(self._protocol.reject(status, text))

    def close(self) -> None:
        """Nothing is answered any more. What only the handshake needed would be a quarter of what a connection keeps."""
        release_parser(self._protocol)
        if self.scope is not None:
            self.scope["headers"].clear()  # a list, which routers have handed on
            extensions = self.scope["extensions"]
            self.scope.clear()
            self.scope.update({"type": "websocket", "extensions": extensions})
            self.scope = None

    def _accept(self, response: Response, message: Mapping[str, Any]) -> Answer:
        response.headers.update(_decoded(message.get("headers", ())))
        if message.get("subprotocol"):
            response.headers["Sec-WebSocket-Protocol"] = message["subprotocol"]
        # A new one: that of the handshake, and its parser, hold the request.
        websocket = Protocol(Side.SERVER, state=State.OPEN, max_size=self._options.max_message_bytes, logger=LOGGER)
        websocket.extensions = self._protocol.extensions
        return Answer(self._sent(response), websocket)

    def _respond(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
        fields = Headers(_decoded(headers))
        fields.setdefault("Date", email.utils.formatdate(usegmt=True))
        fields.setdefault("Connection", "close")
        fields.setdefault("Content-Length", str(len(body)))
        fields.setdefault("Content-Type", "text/plain; charset=utf-8")
        return self._sent(Response(status, _phrase(status), fields, body))

    def _sent(self, response: Response) -> bytes:
        self._protocol.send_response(response)
        return b"".join(self._protocol.data_to_send())


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode(_LATIN), value.decode(_LATIN)) for name, value in headers]


def release_parser(protocol: Protocol) -> None:
    """Free the library's object at once: it and its parser hold each other, so else only collecting garbage would."""
    protocol.parser.close()


def websocket_extensions(transport: asyncio.Transport) -> dict[str, Any]:
    """Which parts of the ASGI specification beyond its core this server has for the connection."""
    tls = tls_extension(transport)
    return {"websocket.http.response": {}} | ({} if tls is None else {TLS: tls})


def websocket_scope(request: Request, root_path: str, transport: asyncio.Transport) -> dict[str, Any]:
    """What the ASGI scope says of a request and its connection."""
    raw_path, _, query_string = request.path.partition("?")
    subprotocols = [
        token.strip() for header in request.headers.get_all("Sec-WebSocket-Protocol") for token in header.split(",")
    ]
    return {
        "type": "websocket",
        "http_version": "1.1",
        "scheme": "wss" if is_ssl(transport) else "ws",
        "server": get_local_addr(transport),
        "client": get_remote_addr(transport),
        "root_path": root_path,
        "path": root_path + unquote(raw_path),
        "raw_path": (root_path + raw_path).encode("ascii"),
        "query_string": query_string.encode("ascii"),
        "headers": [
            (name.lower().encode("ascii"), value.encode(_LATIN)) for name, value in request.headers.raw_items()
        ],
        "subprotocols": subprotocols,
    }


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
