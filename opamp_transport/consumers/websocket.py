"""The consumer for agents that keep a connection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from channels.consumer import AsyncConsumer
from django.conf import settings

from agents.credentials import AgentCredential, Denial
from agents.excess import Excess
from agents.models import Transport
from agents.replies import ErrorResponse, ErrorType, Reply
from agents.reports import StatusReport
from agents.services.arrivals import Lease
from agents.services.ways_in import token_of
from foundation.clock import clock
from opamp_server.asgi_extensions import ANSWERS_AT_ONCE
from opamp_transport import heartbeats, metrics, runtime
from opamp_transport.admission import Refusal, header_map
from opamp_transport.batch import Processed
from opamp_transport.client_certificates import client_certificate, refused_certificate
from opamp_transport.message_io import (
    Receive,
    Scope,
    Send,
    admit_request,
    bad_request_reply,
    complain,
    decode,
    encoded,
    offered_settings,
    peer_of,
    process_report,
    unavailable_reply,
    way_in,
)
from opamp_transport.protocol import framing
from opamp_transport.protocol.errors import (
    MalformedMessage,
    MessageTooLarge,
    ProtocolError,
    TooManyAgents,
)
from opamp_transport.report_queue import DatabaseAway, Overloaded
from opamp_transport.runtime import Runtime
from opamp_transport.sessions import AgentSession, Connection
from opamp_transport.web_pages import refused_page

logger = logging.getLogger(__name__)

# So many undecodable messages in a row are no accident: the socket is closed with 1008.
_PATIENCE = 20
_CLOSE_POLICY = 1008
_CLOSE_TOO_BIG = 1009
_CLOSE_RESTART = 1012
_CLOSE_TRY_LATER = 1013
# So long an agent that is rejected with its first words keeps its connection, and does not come back.
_DENIED_SECONDS = 5.0

_UNSENDABLE = ErrorResponse(ErrorType.UNKNOWN, "The answer is larger than the server's OPAMP_MAX_MESSAGE_SIZE allows.")


class WebSocketConsumer(AsyncConsumer):  # type: ignore[misc]
    """One WebSocket, with one agent behind it or several (S-33)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit, accept, converse until the peer goes; release every lease of the connection whatever happens."""
        here = runtime.current()
        await receive()  # websocket.connect
        connection = await self.admit(here, scope, send)
        if connection is None:
            return
        answers_with = scope.get("extensions", {}).get(ANSWERS_AT_ONCE)
        if answers_with is not None:
            answers_with(self.from_memory)
        try:
            await self.converse(here, connection, receive)
        finally:
            here.sessions.close(connection)
            if connection.claimed:
                here.release(connection.lease, sent_away=self.closing)
            # It knows this consumer by its methods: they would keep each other until garbage is collected.
            del self.connection

    async def admit(self, here: Runtime, scope: Scope, send: Send) -> Connection | None:
        """The connection, after its upgrade; ``None`` when that was refused. What it was judged by is not kept."""
        address = peer_of(scope)
        headers = header_map(scope["headers"])
        credential, certificate = None, client_certificate(scope, headers)
        refusal = refused_page(scope, headers) or refused_certificate(scope, headers, certificate)
        if refusal is not None:
            refusal = here.gate.fault(refusal, address=address, now=time.monotonic())
        else:
            credential, refusal = await admit_request(
                here, headers, address=address, websocket=True, certificate=certificate
            )
        if refusal is not None:
            complain(here, "websocket", refusal.reason, address, refusal.text)
            await _refuse_upgrade(scope, send, refusal)
            return None
        self.here = here
        self.address = address
        self.send_frame = send
        self.writing = asyncio.Lock()
        self.limit = settings.OPAMP_MAX_MESSAGE_SIZE
        self.malformed = 0
        self.closing = False
        way, token = way_in(scope, headers), token_of(credential)
        lease = Lease(
            f"ws-{uuid4().hex}", here.process_id, Transport.WEBSOCKET, address, clock.now(), token, way, certificate
        )
        offer = offered_settings(scope, headers, credential)
        self.connection = connection = Connection(
            lease, self.push, self.close_for_restart, self.reject, offer, credential
        )
        await send({"type": "websocket.accept"})
        here.sessions.open(connection)
        return connection

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
            if event["type"] == "websocket.disconnect" or self.closing:
                return
            if not await self.answer(here, connection, event):
                return
            # It may be the last for long, and nobody looks at it again.
            del event

    async def answer(self, here: Runtime, connection: Connection, event: Mapping[str, Any]) -> bool:
        """Answer one message; false when the connection was closed over it."""
        ack = self.from_memory(event.get("bytes") or b"")
        if ack is not None:
            await self.send_frame({"type": "websocket.send", "bytes": ack})
            return True
        try:
            body = self.body_of(event)
            report = await decode(here, body)
        except ProtocolError as error:
            return await self.refuse_message(error)
        self.malformed = 0
        return await self.report(here, connection, connection.sessions.get(report.instance_uid.bytes), report, body)

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
        self, here: Runtime, connection: Connection, session: AgentSession | None, report: StatusReport, body: bytes
    ) -> bool:
        """Answer a message with news; false when the connection was closed over it."""
        metrics.REPORTS["websocket"].inc()
        uid = report.instance_uid
        if uid in connection.reassigned:
            await self.push(Reply(instance_uid=uid.bytes, new_instance_uid=connection.reassigned[uid]))
            return True
        former = here.sessions.by_uid.get(uid)
        if session is None:
            if len(connection.sessions) >= settings.OPAMP_AGENTS_PER_CONNECTION:
                return await self.refuse_message(TooManyAgents(uid.bytes, limit=settings.OPAMP_AGENTS_PER_CONNECTION))
            session = AgentSession(uid, connection)
            session.inherit(here.presence.recall(uid))
            session.ack = framing.wrap(encoded(Reply(instance_uid=uid.bytes)))
            if not report.requests_instance_uid:
                here.sessions.attach_newest(session)
        try:
            processed = await process_report(
                here, session, report, connection.lease, body, connection.settings_offer, connection.credential
            )
        except Overloaded as error:
            # The reference client does not act on the answer by itself, but it does on the closed connection (S-102).
            metrics.REFUSALS.labels("websocket", "overloaded").inc()
            await self.push(unavailable_reply(uid.bytes, error))
            await self.close(_CLOSE_TRY_LATER, "the server is busy")
            return False
        except DatabaseAway as error:
            await self.push(unavailable_reply(uid.bytes, error))
            return True
        if processed.denial is not None:
            here.sessions.take_back(session, former)
            return await self.deny(connection, session, processed.denial, processed.reply)
        reply = self.remember(here, connection, session, report, processed)
        if not await self.push(reply):
            # Each message has an answer (S-36), also when the true one may not be sent (S-11).
            await self.push(Reply(instance_uid=uid.bytes, error=_UNSENDABLE))
        if session.due and processed.owned:
            here.report_queue.wake(session)
        return True

    async def deny(
        self, connection: Connection, session: AgentSession, denial: Denial | Excess, reply: Reply | None
    ) -> bool:
        """Answer a speaker who may not speak for this agent, and close unless others speak here too; false when closed.

        Closed after a pause: clients count a handshake that succeeded as success, and would be back at once (S-105).
        """
        complain(self.here, "websocket", denial.value, self.address, f"{session.uid}: {denial.text}")
        reply = reply or Reply(instance_uid=session.uid.bytes)
        if not isinstance(connection.credential, AgentCredential) and connection.serves_others(session):
            await self.push(reply)
            return True
        code = _CLOSE_TRY_LATER if isinstance(denial, Excess) else _CLOSE_POLICY
        await self.reject(reply, pause=_DENIED_SECONDS, code=code)
        return False

    def remember(
        self, here: Runtime, connection: Connection, session: AgentSession, report: StatusReport, processed: Processed
    ) -> Reply:
        """The reply to send, after memory has taken note of whose the agent is now."""
        reply, uid = processed.reply or Reply(instance_uid=report.instance_uid.bytes), report.instance_uid
        if reply.error is not None:
            return reply
        if not report.agent_disconnect:  # what it left with is for the rows to know (`process_report`)
            session.seen = time.monotonic()
        if processed.reassigned and reply.new_instance_uid is not None:
            connection.reassigned[uid] = reply.new_instance_uid
        if report.agent_disconnect or processed.reassigned:
            here.sessions.detach(session)
        elif processed.owned and here.sessions.by_uid.get(uid) is not session:
            here.sessions.attach(session)  # the agent is this connection's again
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

    async def reject(self, reply: Reply, *, pause: float = 0.0, code: int = _CLOSE_POLICY) -> None:
        """Say why, and close after ``pause`` (seconds)."""
        await self.push(reply)
        await asyncio.sleep(pause)
        self.closing = True
        await self.close(code, "this agent may not connect so")

    async def close_for_restart(self) -> None:
        """Close, because the server restarts, and the agent should come back. What it sent meanwhile, it will tell again."""
        self.closing = True
        await self.close(_CLOSE_RESTART, "the server restarts")

    async def refuse_message(self, error: ProtocolError) -> bool:
        """Answer a message that cannot be processed; false when the connection was closed for too many of them."""
        complain(self.here, "websocket", type(error).__name__, self.address, str(error))
        if isinstance(error, MessageTooLarge):
            await self.close(_CLOSE_TOO_BIG, "the message is too large")
            return False
        self.malformed += 1
        await self.push(bad_request_reply(error))
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
