"""What both transports do with a message: decode it, have it processed, remember what came of it, encode the answer.

Knows neither frames nor requests; those are `consumers`' and `http_bodies`' business.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from agents import connection_settings
from agents.connection_settings import opamp_settings, with_credential
from agents.credentials import AgentCredential, ClientCertificate, Pass, text_of
from agents.replies import ErrorResponse, ErrorType, OpampSettings, Reply
from agents.reports import StatusReport
from agents.services.arrivals import Arrival, Lease
from agents.services.offers import server_capabilities
from agents.services.ways_in import Admitted, LookUp
from opamp_transport import metrics
from opamp_transport.admission import Refusal, forwarded_for, ip_address, judged, overloaded, peer_address
from opamp_transport.batch import Processed
from opamp_transport.limits import paced
from opamp_transport.protocol.encoding import encode_reply
from opamp_transport.protocol.errors import (
    BadInstanceUid,
    ProtocolError,
    TooManyAgents,
)
from opamp_transport.protocol.framing import Body
from opamp_transport.protocol.messages import decode_report
from opamp_transport.protocol.weight import check_parts, parts
from opamp_transport.report_queue import DatabaseAway, Overloaded
from opamp_transport.runtime import Runtime
from opamp_transport.sessions import AgentSession

logger = logging.getLogger(__name__)

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# Above this a message is decoded in a thread, one at a time: others must not wait for it (S-111).
_DECODE_IN_THREAD = 64 * 1024
# So does a smaller one with many parts; below this size it cannot have so many (bytes, parts).
_LIGHT_SIZE, _LIGHT_PARTS = 8 * 1024, 4_000
# Counting a large message's parts takes a fifth of the time, so that its sender waits and nobody else.
_REST_SECONDS = 0.001


async def decode(here: Runtime, body: Body) -> StatusReport:
    """A report from protobuf bytes; large ones are decoded in a thread, since memory grows to many times the bytes."""
    size = len(body)
    if size > _DECODE_IN_THREAD or (size > _LIGHT_SIZE and parts(body, _LIGHT_PARTS) > _LIGHT_PARTS):
        async with here.large_messages:
            return await asyncio.get_running_loop().run_in_executor(None, _decode_large, body)
    return decode_report(body)


async def admit_request(
    here: Runtime,
    headers: Mapping[str, str],
    *,
    address: str,
    websocket: bool,
    certificate: ClientCertificate | None = None,
) -> tuple[Pass | None, Refusal | None]:
    """What lets the sender of ``headers`` in, and the answer instead where nothing does; rows are asked where they must be.

    A verified ``certificate`` of the sender goes before all that it shows in headers.
    """
    judgement = judged(headers) if certificate is None else Admitted(certificate)
    if isinstance(judgement, LookUp):
        try:
            judgement = await here.threads.run(judgement.run)
        except DatabaseError:
            return None, overloaded()
    refusal = here.gate.admit(
        headers,
        address=address,
        websocket=websocket,
        queue_is_full=here.refuses,
        now=time.monotonic(),
        judgement=judgement,
    )
    return (judgement.credential if isinstance(judgement, Admitted) else None), refusal


def _decode_large(body: Body) -> StatusReport:
    check_parts(body, rest=_rest)
    return decode_report(body)


def _rest() -> None:
    """Let others have the interpreter: while a thread computes, the loop waits for it anew with every socket."""
    time.sleep(_REST_SECONDS)


async def process_report(
    here: Runtime,
    session: AgentSession,
    report: StatusReport,
    lease: Lease,
    body: Body,
    settings_offer: OpampSettings | None,
    credential: Pass | None,
) -> Processed:
    """What became of a report that memory could not answer; remembers what the agent is known by from now on.

    The report of an agent that sends too many waits first, a second at most.

    Raises `Overloaded` and `DatabaseAway`, with nothing remembered (S-102, S-104).
    """
    wait, session.reports_due = paced(session.reports_due, settings.OPAMP_REPORTS_PER_SECOND, time.monotonic())
    if wait:
        # One agent that reports without end must not keep the database from the others (S-111).
        metrics.SLOWED.labels(session.transport.value).inc()
        await asyncio.sleep(wait)
    arrival = Arrival(
        report=report,
        lease=lease,
        known_sequence_num=session.sequence_num if session.seen else None,
        known_at=session.seen_at if session.seen else None,
        digest=_digest(body),
        claimed=session.known,
        first_word=session.connection is not None and not session.connection.claimed,
        credential=credential,
        size=len(body),
        settings=settings_offer,
        told_capabilities=session.told_capabilities,
    )
    if session.connection is not None and not report.requests_instance_uid:
        session.connection.claimed = True
    processed = await here.report_queue.submit(session, arrival)
    reply, uid = processed.reply, report.instance_uid
    if reply is None:  # a report always has one (S-36)
        raise RuntimeError(f"no reply was made for {uid}")
    if reply.error is None and processed.owned:
        session.agent_id = processed.agent_id
        session.credential = credential
        if not report.agent_disconnect:  # a goodbye may have come after lost messages: then its number does not count
            session.sequence_num = report.sequence_num
        session.capabilities = processed.capabilities
        session.due = processed.more_due
        session.poll_interval = processed.poll_interval
        again = processed.look_again_after
        session.look_again = time.monotonic() + again.total_seconds() if again is not None else math.inf
        if reply.custom_capabilities is not None:
            session.told_capabilities = reply.custom_capabilities
    elif reply.error is None:
        # Two connections speak for one uid (S-31): what either says next is for the rows to judge.
        session.due = True
        if uid in here.sessions.by_uid:
            here.sessions.by_uid[uid].due = True
    return processed


def encoded(reply: Reply) -> bytes:
    """The bytes of ``reply``, with the capabilities that the server has now."""
    return encode_reply(replace(reply, capabilities=server_capabilities()))


def offered_settings(scope: Scope, headers: Mapping[str, str], credential: Pass | None) -> OpampSettings | None:
    """The connection settings for the sender of this request, or ``None`` when none are offered.

    Of what let it in they repeat its own ``credential`` alone, where it showed one. Over TLS they are offered only where
    somebody decided so: supervisors stop verifying the server's certificate with any offer. Nor to an agent with a client
    certificate, which an offer without one would take away (S-80). What people set, and certificates that agents ask for, are
    brought by what is not offered otherwise.
    """
    offer = opamp_settings(
        scheme=_scheme(scope),
        path=scope["path"],
        headers=headers,
        credentials=settings.OPAMP_HEADER_SECRETS,
        interval_seconds=settings.OPAMP_HEARTBEAT_SECONDS,
        key=settings.SECRET_KEY,
    )
    if offer is None:
        return None
    wanted = settings.OPAMP_OFFER_HEARTBEAT
    if wanted is False or (wanted is None and offer.over_tls) or isinstance(credential, ClientCertificate):
        offer = replace(offer, on_request_only=True)
    if not isinstance(credential, AgentCredential):
        return offer
    return with_credential(offer, text_of(credential, key=settings.SECRET_KEY), key=settings.SECRET_KEY)


def way_in(scope: Scope, headers: Mapping[str, str]) -> str:
    """How the sender names this server, as in `Lease`; agents that name it alike share the text."""
    return sys.intern(connection_settings.reached_at(scheme=_scheme(scope), headers=headers))


def _scheme(scope: Scope) -> str:
    return str(scope["scheme"]) if "scheme" in scope else {"websocket": "ws"}.get(scope["type"], "http")


def _digest(body: Body) -> int:
    """64 signed bits of the message's bytes, the same in every process."""
    return int.from_bytes(blake2b(body, digest_size=8).digest(), "big", signed=True)


def unavailable_reply(instance_uid: bytes, error: Overloaded | DatabaseAway) -> Reply:
    """Overload or a lost database on an open connection (S-102)."""
    return Reply(
        instance_uid=instance_uid,
        error=ErrorResponse(ErrorType.UNAVAILABLE, str(error), float(error.retry_after_seconds)),
    )


def bad_request_reply(error: ProtocolError) -> Reply:
    """The answer to a message that cannot be processed (S-100); echoes the uid when one was read."""
    uid = error.instance_uid if isinstance(error, BadInstanceUid | TooManyAgents) else b""
    return Reply(instance_uid=uid, error=ErrorResponse(ErrorType.BAD_REQUEST, str(error)))


def peer_of(scope: Scope) -> str:
    """The peer's address as text, without port; behind trusted proxies the one they name, if it is one."""
    client = scope.get("client")
    forwarded = forwarded_for(scope["headers"], proxies=settings.OPAMP_TRUSTED_PROXIES)
    if forwarded and not ip_address(forwarded):
        metrics.NO_ADDRESSES.inc()
    return peer_address(str(client[0]) if client else "", forwarded)


def complain(here: Runtime, transport: str, reason: str, address: str, text: str) -> None:
    """Count a refusal, and write a line about it unless its like has just been written."""
    metrics.REFUSALS.labels(transport, reason).inc()
    times = here.complaints.worth_a_line(reason, address, time.monotonic())
    if times:
        logger.warning(
            "refused",
            extra={"transport": transport, "reason": reason, "remote_address": address, "times": times, "error": text},
        )
