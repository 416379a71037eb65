"""The consumer for agents that poll."""

from __future__ import annotations

import time
from collections.abc import Mapping
from uuid import UUID

from channels.consumer import AsyncConsumer

from agents.credentials import Denial, Pass
from agents.excess import Excess
from agents.models import Transport
from agents.replies import OpampSettings, Reply
from agents.reports import StatusReport
from agents.services.arrivals import Lease
from agents.services.ways_in import token_of
from opamp_transport import heartbeats, metrics, runtime
from opamp_transport.admission import Refusal, header_map, overloaded, rejected
from opamp_transport.client_certificates import client_certificate, refused_certificate
from opamp_transport.http_bodies import Held, TooMuchHeld, read_body, reply_with, respond, wrong_request
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
    way_in,
)
from opamp_transport.protocol import framing
from opamp_transport.protocol.errors import (
    BadInstanceUid,
    MalformedMessage,
    MessageTooLarge,
)
from opamp_transport.report_queue import DatabaseAway, Overloaded
from opamp_transport.runtime import Runtime
from opamp_transport.sessions import AgentSession
from opamp_transport.web_pages import preflight, refused_page


class HttpConsumer(AsyncConsumer):  # type: ignore[misc]
    """One plain-HTTP exchange: one report, one reply, nothing kept but memory of the agent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request, read it within limits, answer with exactly status 200 where a reply exists (S-20)."""
        here = runtime.current()
        headers = header_map(scope["headers"])
        address = peer_of(scope)
        certificate = client_certificate(scope, headers)
        fault = refused_page(scope, headers) or refused_certificate(scope, headers, certificate)
        if fault is None and (answer := preflight(scope, headers)) is not None:
            await respond(send, 200, b"", answer)
            return
        refusal, credential = None, None
        if fault is None:
            credential, refusal = await admit_request(
                here, headers, address=address, websocket=False, certificate=certificate
            )
            fault = None if refusal else wrong_request(scope, headers)
        if refusal is None and fault is None:
            held = Held()
            try:
                body = await read_body(here, receive, headers, held)
                if body is None:
                    return  # the client went away
                await self.answer(here, scope, headers, credential, body, send)
            except MessageTooLarge as error:
                fault = Refusal(413, "too large", str(error))
            except MalformedMessage as error:
                fault = Refusal(400, "malformed", str(error))
            except Denied as error:
                fault = rejected(error.denial, error.instance_uid)
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
        await self.refuse(here, refusal, fault, address, send)

    async def refuse(
        self, here: Runtime, refusal: Refusal | None, fault: Refusal | None, address: str, send: Send
    ) -> None:
        """Answer with ``refusal``; of a ``fault``, for which it may be too many already, the log tells."""
        if refusal is None:
            raise RuntimeError("neither answered nor refused")
        complain(here, "http", refusal.reason, address, fault.text if fault else refusal.text)
        await respond(send, refusal.status, refusal.text.encode(), {"content-type": "text/plain", **refusal.headers})

    async def answer(
        self,
        here: Runtime,
        scope: Scope,
        headers: Mapping[str, str],
        credential: Pass | None,
        body: framing.Body,
        send: Send,
    ) -> None:
        """Decode and answer; a message that decodes but is wrong gets status 200 with an error (S-101).

        Raises `Denied` for one that may not speak for its agent: that is a matter of authentication.
        """
        ack = heartbeats.over_http(here, body, credential)
        if ack is not None:
            await reply_with(send, headers, ack)
            return
        try:
            report = await decode(here, body)
        except BadInstanceUid as error:
            complain(here, "http", "BadInstanceUid", peer_of(scope), str(error))
            await reply_with(send, headers, encoded(bad_request_reply(error)))
            return
        session = here.sessions.by_uid.get(report.instance_uid)
        metrics.REPORTS["http"].inc()
        offer = offered_settings(scope, headers, credential)
        reply = await self.report(here, scope, session, report, body, offer, credential)
        await reply_with(send, headers, encoded(reply))

    async def report(
        self,
        here: Runtime,
        scope: Scope,
        session: AgentSession | None,
        report: StatusReport,
        body: framing.Body,
        settings_offer: OpampSettings | None,
        credential: Pass | None,
    ) -> Reply:
        """The reply to a message with news. Raises `Denied`."""
        if session is None or session.connection is not None or session.credential != credential:
            session = AgentSession(report.instance_uid, None)
            session.inherit(here.presence.recall(report.instance_uid))
            session.ack = encoded(Reply(instance_uid=report.instance_uid.bytes))
        way, token = way_in(scope, header_map(scope["headers"])), token_of(credential)
        lease = Lease("", here.process_id, Transport.HTTP, peer_of(scope), token_id=token, reached_at=way)
        processed = await process_report(here, session, report, lease, body, settings_offer, credential)
        if processed.denial is not None:
            raise Denied(report.instance_uid, processed.denial)
        reply = processed.reply or Reply(instance_uid=report.instance_uid.bytes)
        if reply.error is None and processed.owned:
            if report.agent_disconnect:
                here.sessions.detach(session)
            else:
                heartbeats.seen_over_http(session)
                here.sessions.attach(session)
        return reply


class Denied(Exception):
    """The request may not speak for the agent it names."""

    def __init__(self, instance_uid: UUID, denial: Denial | Excess) -> None:
        super().__init__(denial.text)
        self.instance_uid = instance_uid
        self.denial = denial
