"""The doors for agents: bytes in, bytes out. No ORM and no protobuf here.

Both override the consumer's ``__call__`` with their own loop: Channels' dispatch makes tasks and visits the shared
thread before every message. Both bring reports to the same exchange.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid4

from channels.consumer import AsyncConsumer
from django.conf import settings
from django.utils import timezone

from agents.credentials import AgentCredential, Denial, text_of
from agents.models import Transport
from agents.reports import StatusReport
from agents.services.arrivals import Arrival, Lease
from opamp_transport import heartbeats, metrics, runtime
from opamp_transport.admission import Refusal, header_map, overloaded, own_credential, peer_address, turned_away
from opamp_transport.asgi_extensions import ANSWERS_AT_ONCE
from opamp_transport.connection_settings import heartbeat_offer, with_credential
from opamp_transport.exchange import DatabaseAway, Overloaded
from opamp_transport.limits import INBOUND, paced
from opamp_transport.protocol import framing
from opamp_transport.protocol.errors import (
    BadInstanceUid,
    MalformedMessage,
    MessageTooLarge,
    ProtocolError,
    TooManyAgents,
)
from opamp_transport.protocol.messages import decode_report, encode_reply
from opamp_transport.protocol.replies import ErrorResponse, ErrorType, HeartbeatOffer, Reply, ServerCapabilities
from opamp_transport.protocol.weight import check_parts, parts
from opamp_transport.registry import Connection, Link
from opamp_transport.runtime import Runtime
from opamp_transport.settlement import Circumstances, Settled

logger = logging.getLogger(__name__)

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# Above this a message is decoded in a thread, one at a time: others must not wait for it (S-111).
_DECODE_IN_THREAD = 64 * 1024
# So does a smaller one with many parts; below this size it cannot have so many (bytes, parts).
_LIGHT_SIZE, _LIGHT_PARTS = 8 * 1024, 4_000
# gzip makes up to a thousand times as much of it.
_INFLATE_IN_THREAD = 4 * 1024
# So many undecodable messages in a row are no accident: the socket is closed with 1008.
_PATIENCE = 20
_CLOSE_POLICY = 1008
_CLOSE_TOO_BIG = 1009
_CLOSE_RESTART = 1012
_CLOSE_TRY_LATER = 1013
# So long an agent that is turned away with its first words keeps its connection, and does not come back.
_DENIED_SECONDS = 5.0


_UNSENDABLE = ErrorResponse(ErrorType.UNKNOWN, "The answer is larger than the server's OPAMP_MAX_MESSAGE_SIZE allows.")


async def decode(here: Runtime, body: bytes) -> StatusReport:
    """A report from protobuf bytes; large ones are decoded in a thread, since memory grows to many times the bytes."""
    size = len(body)
    if size > _DECODE_IN_THREAD or (size > _LIGHT_SIZE and parts(body, _LIGHT_PARTS) > _LIGHT_PARTS):
        async with here.large_messages:
            return await asyncio.get_running_loop().run_in_executor(None, _decode_large, body)
    return decode_report(body)


def _decode_large(body: bytes) -> StatusReport:
    check_parts(body)
    return decode_report(body)


async def exchanged(
    here: Runtime,
    link: Link,
    report: StatusReport,
    lease: Lease,
    body: bytes,
    heartbeat: HeartbeatOffer | None,
    credential: AgentCredential | None,
) -> Settled:
    """What became of a report that memory could not answer; remembers what the agent is known by from now on.

    Raises `Overloaded` and `DatabaseAway`, with nothing remembered (S-102, S-104).
    """
    wait, link.reports_due = paced(link.reports_due, settings.OPAMP_REPORTS_PER_SECOND, time.monotonic())
    if wait:
        # One agent that reports without end must not keep the database from the others (S-111).
        metrics.SLOWED.labels(link.transport.value).inc()
        await asyncio.sleep(wait)
    arrival = Arrival(
        report=report,
        lease=lease,
        known_sequence_num=link.sequence_num if link.seen else None,
        known_at=link.seen_at if link.seen else None,
        digest=_digest(body),
        claimed=link.known,
        first_word=link.connection is not None and not link.connection.claimed,
        settings_hash=heartbeat.settings_hash if heartbeat is not None else b"",
        credential=credential,
    )
    if link.connection is not None and not report.requests_instance_uid:
        link.connection.claimed = True
    settled = await here.exchange.submit(link, arrival, Circumstances(heartbeat, link.told_capabilities))
    reply, uid = settled.reply, report.instance_uid
    if reply is None:  # a report always has one (S-36)
        raise RuntimeError(f"no reply was made for {uid}")
    if reply.error is None and settled.owned:
        link.agent_id = settled.agent_id
        link.credential = credential
        if not report.agent_disconnect:  # a goodbye may have come after lost messages: then its number does not count
            link.sequence_num = report.sequence_num
        link.capabilities = settled.capabilities
        link.due = settled.more_due
        link.poll_interval = settled.poll_interval
        link.look_again = settled.look_again_at.timestamp() if settled.look_again_at else math.inf
        if reply.custom_capabilities is not None:
            link.told_capabilities = reply.custom_capabilities
    elif reply.error is None:
        # Two connections speak for one uid (S-31): what either says next is for the rows to judge.
        link.due = True
        if uid in here.registry.links:
            here.registry.links[uid].due = True
    return settled


def encoded(reply: Reply) -> bytes:
    """The bytes of ``reply``; OffersConnectionSettings is advertised only where such offers are made."""
    if settings.OPAMP_OFFER_HEARTBEAT:
        reply = replace(reply, capabilities=reply.capabilities | ServerCapabilities.OFFERS_CONNECTION_SETTINGS)
    return encode_reply(reply)


def offered_settings(
    scope: Scope, headers: Mapping[str, str], credential: AgentCredential | None
) -> HeartbeatOffer | None:
    """The connection settings for the sender of this request, or ``None`` when none are offered.

    Of what let it in they repeat its own ``credential`` alone, where it showed one.
    """
    if not settings.OPAMP_OFFER_HEARTBEAT:
        return None
    offer = heartbeat_offer(
        scheme=scope["scheme"] if "scheme" in scope else {"websocket": "ws"}.get(scope["type"], "http"),
        path=scope["path"],
        headers=headers,
        credentials=settings.OPAMP_HEADER_SECRETS,
        interval_seconds=settings.OPAMP_HEARTBEAT_SECONDS,
        key=settings.SECRET_KEY,
    )
    if offer is None or credential is None:
        return offer
    return with_credential(offer, text_of(credential, key=settings.SECRET_KEY), key=settings.SECRET_KEY)


def _digest(body: bytes) -> int:
    """64 signed bits of the message's bytes, the same in every process."""
    return int.from_bytes(blake2b(body, digest_size=8).digest(), "big", signed=True)


def unavailable(instance_uid: bytes, error: Overloaded | DatabaseAway) -> Reply:
    """Overload or a lost database on an open connection (S-102)."""
    return Reply(
        instance_uid=instance_uid,
        error=ErrorResponse(ErrorType.UNAVAILABLE, str(error), float(error.retry_after_seconds)),
    )


def bad_request(error: ProtocolError) -> Reply:
    """The answer to a message that cannot be processed (S-100); echoes the uid when one was read."""
    uid = error.instance_uid if isinstance(error, BadInstanceUid | TooManyAgents) else b""
    return Reply(instance_uid=uid, error=ErrorResponse(ErrorType.BAD_REQUEST, str(error)))


def peer_of(scope: Scope) -> str:
    """The peer's address as text, without port; behind trusted proxies the one they name."""
    client = scope.get("client")
    return peer_address(str(client[0]) if client else "", scope["headers"], proxies=settings.OPAMP_TRUSTED_PROXIES)


def complain(here: Runtime, transport: str, reason: str, address: str, text: str) -> None:
    """Count a refusal, and write a line about it unless its like has just been written."""
    metrics.REFUSALS.labels(transport, reason).inc()
    times = here.complaints.worth_a_line(reason, address, time.monotonic())
    if times:
        logger.warning(
            "refused",
            extra={"transport": transport, "reason": reason, "remote_address": address, "times": times, "error": text},
        )


class WebSocketDoor(AsyncConsumer):  # type: ignore[misc]
    """One WebSocket, with one agent behind it or several (S-33)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit, accept, converse until the peer goes; release every lease of the connection whatever happens."""
        here = runtime.current()
        await receive()  # websocket.connect
        address = peer_of(scope)
        headers = header_map(scope["headers"])
        credential = own_credential(headers)
        refusal = here.gate.admit(
            headers,
            address=address,
            websocket=True,
            queue_is_full=here.refuses,
            now=time.monotonic(),
            credential=credential,
        )
        if refusal is not None:
            complain(here, "websocket", refusal.reason, address, refusal.text)
            await _refuse_upgrade(scope, send, refusal)
            return
        self.here = here
        self.address = address
        self.send_frame = send
        self.writing = asyncio.Lock()
        self.limit = settings.OPAMP_MAX_MESSAGE_SIZE
        self.malformed = 0
        self.hung_up = False
        lease = Lease(f"ws-{uuid4().hex}", here.process_id, Transport.WEBSOCKET, address, timezone.now())
        offer = offered_settings(scope, headers, credential)
        self.connection = connection = Connection(lease, self.push, self.hang_up, self.turn_away, offer, credential)
        await send({"type": "websocket.accept"})
        here.registry.open(connection)
        answers_with = scope.get("extensions", {}).get(ANSWERS_AT_ONCE)
        if answers_with is not None:
            answers_with(self.from_memory)
        try:
            await self.converse(here, connection, receive)
        finally:
            here.registry.close(connection)
            if connection.claimed:
                here.exchange.release(lease.id)

    async def converse(self, here: Runtime, connection: Connection, receive: Receive) -> None:
        """Answer messages until the connection ends."""
        identified_by = asyncio.get_running_loop().time() + settings.OPAMP_FIRST_MESSAGE_SECONDS
        while True:
            if connection.claimed:
                event = await receive()
            else:
                try:
                    async with asyncio.timeout_at(identified_by):
                        event = await receive()
                except TimeoutError:
                    metrics.REFUSALS.labels("websocket", "no agent").inc()
                    await self.close(_CLOSE_POLICY, "no agent has identified itself")
                    return
            if event["type"] == "websocket.disconnect" or self.hung_up:
                return
            ack = self.from_memory(event.get("bytes") or b"")
            if ack is not None:
                await self.send_frame({"type": "websocket.send", "bytes": ack})
                continue
            try:
                body = self.body_of(event)
                report = await decode(here, body)
            except ProtocolError as error:
                if not await self.reject(error):
                    return
                continue
            self.malformed = 0
            link = connection.links.get(report.instance_uid.bytes)
            if not await self.report(here, connection, link, report, body):
                return

    def from_memory(self, frame: bytes) -> bytes | None:
        """The answer to a heartbeat, ``None`` to any other message."""
        ack = heartbeats.over_websocket(self.here, self.connection, frame)
        if ack is not None:
            self.malformed = 0
        return ack

    def body_of(self, event: Mapping[str, Any]) -> bytes:
        """The protobuf bytes of a received message. Raises `MalformedMessage`, `MessageTooLarge`."""
        frame = event.get("bytes")
        if frame is None:
            raise MalformedMessage("OpAMP messages are binary frames; this was a text frame.")
        # The server in front has the same limit; another one may not.
        framing.check_size(len(frame), self.limit)
        return framing.unwrap(frame)

    async def report(
        self, here: Runtime, connection: Connection, link: Link | None, report: StatusReport, body: bytes
    ) -> bool:
        """Answer a message with news; false when the connection was closed over it."""
        metrics.REPORTS["websocket"].inc()
        uid = report.instance_uid
        if uid in connection.reassigned:
            await self.push(Reply(instance_uid=uid.bytes, new_instance_uid=connection.reassigned[uid]))
            return True
        former = here.registry.links.get(uid)
        if link is None:
            if len(connection.links) >= settings.OPAMP_AGENTS_PER_CONNECTION:
                return await self.reject(TooManyAgents(uid.bytes, limit=settings.OPAMP_AGENTS_PER_CONNECTION))
            link = Link(uid, connection)
            link.inherit(here.presence.recall(uid))
            link.ack = framing.wrap(encoded(Reply(instance_uid=uid.bytes)))
            if not report.requests_instance_uid:
                here.registry.attach_newest(link)
        try:
            settled = await exchanged(
                here, link, report, connection.lease, body, connection.heartbeat, connection.credential
            )
        except Overloaded as error:
            # The reference client does not act on the answer by itself, but it does on the closed connection (S-102).
            metrics.REFUSALS.labels("websocket", "overloaded").inc()
            await self.push(unavailable(uid.bytes, error))
            await self.close(_CLOSE_TRY_LATER, "the server is busy")
            return False
        except DatabaseAway as error:
            await self.push(unavailable(uid.bytes, error))
            return True
        if settled.denial is not None:
            here.registry.take_back(link, former)
            return await self.deny(connection, link, settled.denial, settled.reply)
        reply = self.noted(here, connection, link, report, settled)
        if not await self.push(reply):
            # Each message has an answer (S-36), also when the true one may not be sent (S-11).
            await self.push(Reply(instance_uid=uid.bytes, error=_UNSENDABLE))
        if link.due and settled.owned:
            here.exchange.ring(link)
        return True

    async def deny(self, connection: Connection, link: Link, denial: Denial, reply: Reply | None) -> bool:
        """Answer a speaker who may not speak for this agent, and close unless others speak here too; false when closed.

        Closed after a pause: clients count a handshake that succeeded as success, and would be back at once (S-105).
        """
        complain(self.here, "websocket", denial.value, self.address, f"{link.uid}: {denial.sentence}")
        reply = reply or Reply(instance_uid=link.uid.bytes)
        if connection.credential is None and connection.serves_others(link):
            await self.push(reply)
            return True
        await self.turn_away(reply, pause=_DENIED_SECONDS)
        return False

    def noted(self, here: Runtime, connection: Connection, link: Link, report: StatusReport, settled: Settled) -> Reply:
        """The reply to send, after memory has taken note of whose the agent is now."""
        reply, uid = settled.reply or Reply(instance_uid=report.instance_uid.bytes), report.instance_uid
        if reply.error is not None:
            return reply
        if not report.agent_disconnect:  # what it left with is for the rows to know (`exchanged`)
            link.seen = time.time()
        if settled.reassigned and reply.new_instance_uid is not None:
            connection.reassigned[uid] = reply.new_instance_uid
        if report.agent_disconnect or settled.reassigned:
            here.registry.detach(link)
        elif settled.owned and here.registry.links.get(uid) is not link:
            here.registry.attach(link)  # the agent is this connection's again
        return reply

    async def push(self, reply: Reply) -> bool:
        """Send one reply; false when it was not sent.

        One at a time, and encoded only then: what waits for a slow reader costs no buffer (S-106). How long it may be
        slow is up to the server, which cuts it off.
        """
        async with self.writing:
            frame = framing.wrap(encoded(reply))
            try:
                framing.check_size(len(frame), self.limit)
            except MessageTooLarge as error:
                complain(self.here, "websocket", "reply too large", self.address, str(error))
                return False
            try:
                await self.send_frame({"type": "websocket.send", "bytes": frame})
            except (OSError, RuntimeError) as error:
                # RuntimeError is what the server raises for a send after the close of the connection.
                logger.info("a reply could not be sent", extra={"error": repr(error)})
                return False
        return True

    async def close(self, code: int, reason: str) -> None:
        """Close in order: the peer gets what was written before (S-15)."""
        try:
            await self.send_frame({"type": "websocket.close", "code": code, "reason": reason})
        except (OSError, RuntimeError):
            logger.debug("the peer had gone before it could be told to go")

    async def turn_away(self, reply: Reply, *, pause: float = 0.0) -> None:
        """Say why, and close after ``pause`` (seconds)."""
        await self.push(reply)
        await asyncio.sleep(pause)
        self.hung_up = True
        await self.close(_CLOSE_POLICY, "this agent may not connect so")

    async def hang_up(self) -> None:
        """Say goodbye: the server restarts, and the agent should come back. What it sent meanwhile, it will tell again."""
        self.hung_up = True
        await self.close(_CLOSE_RESTART, "the server restarts")

    async def reject(self, error: ProtocolError) -> bool:
        """Answer a message that cannot be processed; false when the connection was closed for too many of them."""
        complain(self.here, "websocket", type(error).__name__, self.address, str(error))
        if isinstance(error, MessageTooLarge):
            await self.close(_CLOSE_TOO_BIG, "the message is too large")
            return False
        self.malformed += 1
        await self.push(bad_request(error))
        if self.malformed >= _PATIENCE:
            await self.close(_CLOSE_POLICY, "too many bad messages")
            return False
        return True


async def _refuse_upgrade(scope: Scope, send: Send, refusal: Refusal) -> None:
    """A true HTTP answer instead of the upgrade where the server can give one (S-22); else a refused handshake (403)."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _CLOSE_POLICY})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    headers += [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": refusal.text.encode()})


class HttpDoor(AsyncConsumer):  # type: ignore[misc]
    """One plain-HTTP exchange: one report, one reply, nothing kept but memory of the agent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request, read it within limits, answer with exactly status 200 where a reply exists (S-20)."""
        here = runtime.current()
        headers = header_map(scope["headers"])
        address = peer_of(scope)
        credential = own_credential(headers)
        refusal = here.gate.admit(
            headers,
            address=address,
            websocket=False,
            queue_is_full=here.refuses,
            now=time.monotonic(),
            credential=credential,
        )
        fault = None if refusal else _wrong_request(scope, headers)
        if refusal is None and fault is None:
            held = Held()
            try:
                body = await _read(here, receive, headers, held)
                if body is None:
                    return  # the client went away
                await self.answer(here, scope, headers, credential, body, send)
            except MessageTooLarge as error:
                fault = Refusal(413, "too large", str(error))
            except MalformedMessage as error:
                fault = Refusal(400, "malformed", str(error))
            except Denied as error:
                fault = turned_away(error.denial, error.instance_uid)
            except TooMuchHeld:
                refusal = overloaded()
            except (Overloaded, DatabaseAway) as error:
                refusal = Refusal(503, "unavailable", str(error), overloaded().headers)
            else:
                return
            finally:
                held.release()
        if fault is not None:
            refusal = here.gate.fault(fault, address=address, now=time.monotonic())
        if refusal is None:
            raise RuntimeError("neither answered nor refused")
        complain(here, "http", refusal.reason, address, fault.text if fault else refusal.text)
        await _respond(send, refusal.status, refusal.text.encode(), {"content-type": "text/plain", **refusal.headers})

    async def answer(
        self,
        here: Runtime,
        scope: Scope,
        headers: Mapping[str, str],
        credential: AgentCredential | None,
        body: bytes,
        send: Send,
    ) -> None:
        """Decode and answer; a message that decodes but is wrong gets status 200 with an error (S-101).

        Raises `Denied` for one that may not speak for its agent: that is a matter of authentication.
        """
        ack = heartbeats.over_http(here, body, credential)
        if ack is not None:
            await _reply(send, headers, ack)
            return
        try:
            report = await decode(here, body)
        except BadInstanceUid as error:
            complain(here, "http", "BadInstanceUid", peer_of(scope), str(error))
            await _reply(send, headers, encoded(bad_request(error)))
            return
        link = here.registry.links.get(report.instance_uid)
        metrics.REPORTS["http"].inc()
        offer = offered_settings(scope, headers, credential)
        reply = await self.report(here, scope, link, report, body, offer, credential)
        await _reply(send, headers, encoded(reply))

    async def report(
        self,
        here: Runtime,
        scope: Scope,
        link: Link | None,
        report: StatusReport,
        body: bytes,
        heartbeat: HeartbeatOffer | None,
        credential: AgentCredential | None,
    ) -> Reply:
        """The reply to a message with news. Raises `Denied`."""
        if link is None or link.connection is not None or link.credential != credential:
            link = Link(report.instance_uid, None)
            link.inherit(here.presence.recall(report.instance_uid))
            link.ack = encoded(Reply(instance_uid=report.instance_uid.bytes))
        lease = Lease("", here.process_id, Transport.HTTP, peer_of(scope))
        settled = await exchanged(here, link, report, lease, body, heartbeat, credential)
        if settled.denial is not None:
            raise Denied(report.instance_uid, settled.denial)
        reply = settled.reply or Reply(instance_uid=report.instance_uid.bytes)
        if reply.error is None and settled.owned:
            if report.agent_disconnect:
                here.registry.detach(link)
            else:
                heartbeats.seen_over_http(link)
                here.registry.attach(link)
        return reply


def _wrong_request(scope: Scope, headers: Mapping[str, str]) -> Refusal | None:
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
    if headers.get("content-encoding", "identity").strip().lower() not in {"", "identity", "gzip"}:
        return Refusal(
            415, "wrong encoding", "Send the body plain or with Content-Encoding: gzip.", {"Accept-Encoding": "gzip"}
        )
    return None


class Denied(Exception):
    """The request may not speak for the agent it names."""

    def __init__(self, instance_uid: UUID, denial: Denial) -> None:
        super().__init__(denial.sentence)
        self.instance_uid = instance_uid
        self.denial = denial


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


async def _read(here: Runtime, receive: Receive, headers: Mapping[str, str], held: Held) -> bytes | None:
    """The body after decompression, never more than the limit of it in memory (S-18); ``None`` when the client left."""
    limit = settings.OPAMP_MAX_MESSAGE_SIZE
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
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    if headers.get("content-encoding", "").strip().lower() == "gzip":
        if len(body) > _INFLATE_IN_THREAD:
            async with here.large_messages:
                body = await asyncio.get_running_loop().run_in_executor(None, framing.gunzip, body, limit)
        else:
            body = framing.gunzip(body, limit)
        held.add(len(body))
    return body


async def _reply(send: Send, headers: Mapping[str, str], body: bytes) -> None:
    """Status 200, content type exactly as S-20 says, compressed only for those who accept it (S-17)."""
    if len(body) > settings.OPAMP_MAX_MESSAGE_SIZE:
        logger.error("a reply is too large to be sent", extra={"size": len(body)})
        metrics.REFUSALS.labels("http", "reply too large").inc()
        await _respond(send, 500, b"The reply is larger than the limit.", {"content-type": "text/plain"})
        return
    answer = {"content-type": framing.PROTOBUF_CONTENT_TYPE}
    if framing.accepts_gzip(headers.get("accept-encoding")):
        body = gzip.compress(body, compresslevel=1, mtime=0)
        answer["content-encoding"] = "gzip"
    await _respond(send, 200, body, answer)


async def _respond(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    fields.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
