"""An HTTP request's body read within limits, and the answers to requests. No OpAMP: bytes, sizes, gzip, headers."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Mapping

from django.conf import settings

from opamp_transport import metrics
from opamp_transport.admission import Refusal
from opamp_transport.limits import INBOUND
from opamp_transport.message_io import Receive, Scope, Send
from opamp_transport.protocol import framing
from opamp_transport.runtime import Runtime
from opamp_transport.web_pages import readable

logger = logging.getLogger(__name__)

# A larger body is inflated in a thread: gzip makes up to a thousand times as much of it.
_INFLATE_IN_THREAD = 4 * 1024


def wrong_request(scope: Scope, headers: Mapping[str, str]) -> Refusal | None:
    """What is neither an upgrade nor an OpAMP POST gets a clear 4xx instead of a hang (S-04)."""
    if scope["method"] == "GET":
        text = "This is the OpAMP endpoint: open a WebSocket here, or POST application/x-protobuf."
        return Refusal(426, "no upgrade", text, {"Upgrade": "websocket", "Connection": "Upgrade"})
    if scope["method"] != "POST":
        return Refusal(
            405, "wrong method", "Use POST with application/x-protobuf, or a WebSocket.", {"Allow": "GET, POST"}
        )
    if not framing.is_protobuf_content_type(headers.get("content-type")):
        return Refusal(415, "wrong content type", "Send Content-Type: application/x-protobuf.")
    if framing.is_gzipped(headers.get("content-encoding")) is None:
        return Refusal(
            415, "wrong encoding", "Send the body plain or with Content-Encoding: gzip.", {"Accept-Encoding": "gzip"}
        )
    return None


class TooMuchHeld(Exception):
    """The process holds as many unfinished and undecoded messages as it may."""


class Held:
    """What one request makes the process keep, against the budget of all (S-111)."""

    def __init__(self) -> None:
        self.size = 0

    def add(self, size: int) -> None:
        """Account for ``size`` bytes more. Raises `TooMuchHeld`."""
        self.size += size
        if not INBOUND.change(size):
            raise TooMuchHeld

    def release(self) -> None:
        """Give everything back."""
        INBOUND.change(-self.size)
        self.size = 0


async def read_body(
    here: Runtime, receive: Receive, headers: Mapping[str, str], held: Held, most: int | None = None
) -> framing.Body | None:
    """The body after decompression, never more than the limit of it in memory (S-18); ``None`` when the client left.

    ``most`` bytes where that is less than the limit of messages.
    """
    limit = min(settings.OPAMP_MAX_MESSAGE_SIZE, most or settings.OPAMP_MAX_MESSAGE_SIZE)
    declared = headers.get("content-length", "")
    if declared.isdecimal():
        framing.check_size(int(declared), limit)
    parts: list[bytes] = []
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        part = event.get("body", b"")
        held.add(len(part))
        framing.check_size(held.size, limit)
        parts.append(part)
        if not event.get("more_body", False):
            break
    whole = parts[0] if len(parts) == 1 else b"".join(parts)
    if framing.is_gzipped(headers.get("content-encoding")):
        if len(whole) > _INFLATE_IN_THREAD:
            async with here.large_messages:
                body = await asyncio.get_running_loop().run_in_executor(None, framing.gunzip, whole, limit)
        else:
            body = framing.gunzip(whole, limit)
        held.add(len(body))
        return body
    return whole


async def reply_with(send: Send, headers: Mapping[str, str], body: bytes) -> None:
    """Status 200, content type exactly as S-20 says, compressed only for those who accept it (S-17)."""
    if len(body) > settings.OPAMP_MAX_MESSAGE_SIZE:
        logger.error("a reply is too large to be sent", extra={"size": len(body)})
        metrics.REFUSALS.labels("http", "reply too large").inc()
        await respond(send, 500, b"The reply is larger than the limit.", {"content-type": "text/plain"})
        return
    answer = {"content-type": framing.PROTOBUF_CONTENT_TYPE, **readable(headers)}
    if framing.accepts_gzip(headers.get("accept-encoding")):
        body = gzip.compress(body, compresslevel=1, mtime=0)
        answer["content-encoding"] = "gzip"
    await respond(send, 200, body, answer)


async def respond(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    fields.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
