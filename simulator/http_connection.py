"""The one shape of HTTP that an OpAMP agent speaks: POST, keep-alive, a body of known length. Knows no OpAMP.

Written here because the locked runtime dependencies hold no asynchronous HTTP client; the parser is httptools.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools

_READ = 64 * 1024


@dataclass(slots=True)
class HttpAnswer:
    """Status, headers by lower-case name, body. ``complete`` once the last byte was read."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False
    keep_alive: bool = True


class _Collecting:
    """What httptools calls while it reads; a 1xx answer before the real one is overwritten by it."""

    def __init__(self) -> None:
        self.answer = HttpAnswer()
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.answer = HttpAnswer()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        self.answer.body += part

    def on_message_complete(self) -> None:
        self.answer.status = self.parser.get_status_code()
        self.answer.keep_alive = self.parser.should_keep_alive()
        self.answer.complete = self.answer.status >= 200


class HttpConnection:
    """Requests one after another to one URL; the connection is opened when needed and again when the peer closed it."""

    def __init__(self, url: str, headers: dict[str, str], *, timeout_seconds: float) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = parts.scheme == "https"
        self._timeout_seconds = timeout_seconds
        lines = [
            f"POST {parts.path or '/'}{'?' + parts.query if parts.query else ''} HTTP/1.1",
            f"Host: {parts.netloc}",
        ]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._head = "\r\n".join(lines).encode("latin-1")
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, body: bytes, headers: dict[str, str]) -> HttpAnswer:
        """One exchange. Raises OSError (also for an answer that is no HTTP) and TimeoutError.

        A kept connection may have been closed while it was idle: then the same bytes are sent once more on a new one.
        """
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")
        request = b"%s\r\n%sContent-Length: %d\r\n\r\n%s" % (self._head, extra, len(body), body)
        async with asyncio.timeout(self._timeout_seconds):
            if self._writer is not None:
                try:
                    return await self._exchange(request)
                except OSError:
                    self.abort()
                except BaseException:
                    self.abort()  # half an exchange is on it
                    raise
            try:
                self._reader, self._writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls or None
                )
                return await self._exchange(request)
            except BaseException:
                self.abort()
                raise

    def abort(self) -> None:
        """Close at once."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _exchange(self, request: bytes) -> HttpAnswer:
        if self._reader is None or self._writer is None:
            raise ConnectionResetError("the connection is closed")
        self._writer.write(request)
        await self._writer.drain()
        collecting = _Collecting()
        while not collecting.answer.complete:
            data = await self._reader.read(_READ)
            if not data:
                raise ConnectionResetError("the server closed the connection before its answer was complete")
            try:
                collecting.parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                raise ConnectionAbortedError(f"the answer is no HTTP: {error}") from error
        if not collecting.answer.keep_alive:
            self.abort()
        return collecting.answer
