"""The consumer for agents' own metrics: OTLP/HTTP at ``/v1/metrics``, behind the checks of agents that poll."""

from __future__ import annotations

import time
from collections.abc import Mapping

from channels.consumer import AsyncConsumer
from django.conf import settings

from agents.credentials import Pass
from foundation.clock import clock
from opamp_transport import metrics, runtime
from opamp_transport.admission import Refusal, header_map, overloaded, rejected, retry_after_seconds
from opamp_transport.client_certificates import client_certificate, refused_certificate
from opamp_transport.http_bodies import Held, TooMuchHeld, read_body, respond
from opamp_transport.message_io import Receive, Scope, Send, admit_request, complain, peer_of
from opamp_transport.protocol import framing
from opamp_transport.protocol.errors import MalformedMessage, MessageTooLarge
from opamp_transport.report_queue import DatabaseAway
from opamp_transport.runtime import Runtime
from opamp_transport.telemetry_queue import TelemetryQueueFull, queue_of
from opamp_transport.web_pages import preflight, readable, refused_page
from telemetry.otlp import MOST_BYTES, TooManyMetrics, UnreadableMetrics, export_response, status_body
from telemetry.services.storing import Delivery

_JSON = "application/json"
_OFF = Refusal(404, "own telemetry is off", "This server takes no metrics of agents: OPAMP_OWN_TELEMETRY is false.")


class OwnTelemetryConsumer(AsyncConsumer):  # type: ignore[misc]
    """One request with an agent's metrics of itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request as one of an agent, read it within limits, answer as OTLP says."""
        headers = header_map(scope["headers"])
        if settings.OPAMP_OWN_TELEMETRY is False:
            await _refuse(_OFF, headers, send)
            return
        here = runtime.current()
        address = peer_of(scope)
        certificate = client_certificate(scope, headers)
        fault = refused_page(scope, headers) or refused_certificate(scope, headers, certificate)
        if fault is None and (allowed := preflight(scope, headers)) is not None:
            await respond(send, 200, b"", allowed)
            return
        refusal, credential = None, None
        if fault is None:
            credential, refusal = await admit_request(
                here, headers, address=address, websocket=False, certificate=certificate
            )
            fault = None if refusal else _wrong_request(scope, headers)
        if refusal is None and fault is None:
            try:
                await self.take(here, headers, credential, receive, send)
            except _FAULTS as error:
                fault = _fault_of(error)
            except (TelemetryQueueFull, TooMuchHeld, DatabaseAway) as error:
                refusal = _busy(error)
            else:
                return
        if fault is not None:
            refusal = here.gate.fault(fault, address=address, now=time.monotonic())
        if refusal is None:
            raise RuntimeError("neither answered nor refused")
        complain(here, "otlp", refusal.reason, address, fault.text if fault else refusal.text)
        await _refuse(refusal, headers, send)

    async def take(
        self, here: Runtime, headers: Mapping[str, str], credential: Pass | None, receive: Receive, send: Send
    ) -> None:
        """Read, store, answer; nothing when the client went away. Raises what stands between."""
        queue, held = queue_of(here), Held()
        if queue.is_full:
            raise TelemetryQueueFull
        try:
            body = await read_body(here, receive, headers, held, MOST_BYTES)
            if body is None:
                return
            as_json = _is_json(headers)
            found = await queue.read(body, as_json=as_json)
            taken = await queue.submit(here, Delivery(found, credential, clock.now()))
        finally:
            held.release()
        metrics.TELEMETRY_REJECTED.inc(taken.rejected)
        if taken.denial is not None:
            raise _NotYours(rejected(*taken.denial))
        metrics.TELEMETRY_REQUESTS.inc()
        said = export_response(taken.rejected, taken.text, as_json=as_json)
        await respond(send, 200, said, {"content-type": _content_type(headers), **readable(headers)})


class _NotYours(Exception):
    """Whoever sent the request may not speak for the agents that it names."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


_FAULTS = (MessageTooLarge, TooManyMetrics, MalformedMessage, UnreadableMetrics, _NotYours)


def _fault_of(error: Exception) -> Refusal:
    """What the sender did wrong."""
    if isinstance(error, _NotYours):
        return error.refusal
    too_much = isinstance(error, MessageTooLarge | TooManyMetrics)
    return Refusal(413, "too large", str(error)) if too_much else Refusal(400, "malformed", str(error))


def _busy(error: Exception) -> Refusal:
    """What the sender may send again later."""
    if isinstance(error, TelemetryQueueFull):
        text = "Too many agents send metrics at once; send them again later."
        return Refusal(429, "telemetry queue full", text, {"Retry-After": str(retry_after_seconds())})
    return Refusal(503, "unavailable", str(error), overloaded().headers) if str(error) else overloaded()


def _wrong_request(scope: Scope, headers: Mapping[str, str]) -> Refusal | None:
    """What is no OTLP/HTTP request."""
    if scope["method"] != "POST":
        return Refusal(405, "wrong method", "Agents POST their own metrics here.", {"Allow": "POST"})
    if not _is_json(headers) and not framing.is_protobuf_content_type(headers.get("content-type")):
        return Refusal(415, "wrong content type", "Send Content-Type: application/x-protobuf or application/json.")
    if framing.is_gzipped(headers.get("content-encoding")) is None:
        text = "Send the body plain or with Content-Encoding: gzip."
        return Refusal(415, "wrong encoding", text, {"Accept-Encoding": "gzip"})
    return None


def _is_json(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == _JSON


def _content_type(headers: Mapping[str, str]) -> str:
    return _JSON if _is_json(headers) else framing.PROTOBUF_CONTENT_TYPE


async def _refuse(refusal: Refusal, headers: Mapping[str, str], send: Send) -> None:
    """With the `Status` that OTLP asks for, in the encoding of the request."""
    body = status_body(refusal.status, refusal.text, as_json=_is_json(headers))
    await respond(send, refusal.status, body, {"content-type": _content_type(headers), **refusal.headers})
