"""One report as it came in, and the promises that go with the way it came. Who works on it is `batch`'s business."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings

from agents.credentials import ClientCertificate, EnrolmentPass, Pass
from agents.models import Transport
from agents.replies import OpampSettings
from agents.reports import StatusReport

# What agents do when nothing was offered to them, or the offer not taken.
DEFAULT_HEARTBEAT_SECONDS = 30
DEFAULT_INTERVAL = timedelta(seconds=DEFAULT_HEARTBEAT_SECONDS)


@dataclass(frozen=True, slots=True)
class Lease:
    """The connection an agent speaks through.

    ``id`` is unique per WebSocket, ``opened_at`` is when it was accepted. Plain HTTP has no connection: there ``id`` is
    empty, and the agent's stay, from first poll to silence, gets an id of its own in whichever process sees its first poll
    (S-110). ``token_id`` is of the enrolment token that opened it, 0 for anything else. ``reached_at`` is how the agent names
    this server, such as ``https://portal.example:8443``, empty where it named no usable host. ``certificate`` is the client
    certificate that opened it, if one did.
    """

    id: str
    process: str
    transport: Transport
    remote_address: str
    opened_at: datetime | None = None
    token_id: int = 0
    reached_at: str = ""
    certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One report as it came in.

    ``known_sequence_num`` is this process's memory of the last number, as of ``known_at``: fresher than the row while
    heartbeats wait in presence, staler when another process heard the agent since. ``None`` when the process does not
    know the agent. ``digest`` is of the message's bytes, signed 64 bits, 0 for unknown (S-46). ``claimed``: the agent was
    heard on this connection before; ``first_word``: nobody was. ``size`` is of the message's bytes, unpacked. ``credential``
    is what let it in, ``None`` for the shared secret or where none is asked for. ``settings`` are the
    connection settings that would lead the agent back the way it came, ``None`` where none are offered;
    ``told_capabilities`` our custom capabilities as the agent knows them (S-93).
    """

    report: StatusReport
    lease: Lease
    known_sequence_num: int | None = None
    known_at: datetime | None = None
    digest: int = 0
    claimed: bool = False
    first_word: bool = False
    credential: Pass | None = None
    size: int = 0
    settings: OpampSettings | None = None
    told_capabilities: tuple[str, ...] = ()

    @property
    def enrolment(self) -> EnrolmentPass | None:
        """The enrolment token that let it in, if one did."""
        return self.credential if isinstance(self.credential, EnrolmentPass) else None

    @property
    def over_http(self) -> bool:
        """Without a connection: a reply may be lost, and nothing but a later request tells."""
        return self.lease.transport is Transport.HTTP


def usual_interval() -> timedelta:
    """How often an HTTP agent polls of which nothing else is known: at its own pace, 30 s in all clients, or as is wanted."""
    return max(timedelta(seconds=settings.OPAMP_HEARTBEAT_SECONDS), DEFAULT_INTERVAL)


def http_expiry(at: datetime, interval: timedelta) -> datetime:
    """When an HTTP agent that stays silent from ``at`` counts as disconnected: three promised intervals."""
    return at + 3 * interval


def claimed_fields(lease: Lease, at: datetime) -> dict[str, Any]:
    """What the row of an agent says that speaks through ``lease`` since ``at``."""
    return {
        "lease_id": lease.id or f"http-{uuid4().hex}",
        "lease_process": lease.process if lease.id else "",
        "lease_opened_at": lease.opened_at or at,
        "transport": lease.transport.value,
        "remote_address": lease.remote_address,
        "connected": True,
        "connected_at": at,
        "disconnected_at": None,
    }
