"""Heartbeats, answered from memory: no database, no queue, and where the server in front can do it no task either.

A connected agent says little else, so this is the hot path of the portal. Whatever is not plainly a heartbeat of an agent
that memory knows is for the doors.
"""

from __future__ import annotations

import time

from agents import extensions
from agents.credentials import AgentCredential
from agents.reports import Heartbeat
from opamp_transport import metrics
from opamp_transport.protocol.conversation import continues
from opamp_transport.protocol.framing import HEADER, Body
from opamp_transport.protocol.messages import decode_heartbeat
from opamp_transport.registry import Connection, Link
from opamp_transport.runtime import Runtime

# The three fields have at most 40 bytes; what is larger has more to say.
_LARGEST = 64


def over_websocket(here: Runtime, connection: Connection, frame: bytes) -> bytes | None:
    """The answer to a WebSocket message, or ``None`` when it is none that memory may answer."""
    if len(frame) > _LARGEST or not frame.startswith(HEADER):
        return None
    heartbeat = decode_heartbeat(frame[len(HEADER) :])
    link = connection.links.get(heartbeat.instance_uid) if heartbeat is not None else None
    if heartbeat is None or link is None or not _memory_answers(here, link, heartbeat):
        return None
    link.sequence_num = heartbeat.sequence_num
    link.seen = time.monotonic()
    here.presence.note(link)
    metrics.HEARTBEATS["websocket"].inc()
    return link.ack


def over_http(here: Runtime, body: Body, credential: AgentCredential | None) -> bytes | None:
    """The same for a request; a link that is past its deadline must reach the rows, where the agent counts as gone.

    So must a request that shows another ``credential`` than the agent was admitted by (S-117).
    """
    heartbeat = decode_heartbeat(body) if len(body) <= _LARGEST else None
    link = here.registry.find(heartbeat.instance_uid) if heartbeat is not None else None
    if heartbeat is None or link is None or link.connection is not None or link.credential != credential:
        return None
    now = time.monotonic()
    if link.deadline <= now or link.look_again <= now or not _memory_answers(here, link, heartbeat):
        return None
    link.sequence_num = heartbeat.sequence_num
    seen_over_http(link)
    here.presence.note(link)
    metrics.HEARTBEATS["http"].inc()
    return link.ack


def seen_over_http(link: Link) -> None:
    """The agent behind ``link`` polled now: it counts as connected until three intervals have passed."""
    link.seen = time.monotonic()
    link.deadline = link.seen + 3 * link.poll_interval.total_seconds()


def _memory_answers(here: Runtime, link: Link, heartbeat: Heartbeat) -> bool:
    """True for a known agent to whom nothing is due, and who speaks through no other connection."""
    return (
        link.agent_id != 0
        and not link.due
        and continues(heartbeat, sequence_num=link.sequence_num, capabilities=link.capabilities)
        and here.registry.holds(link)
        and link.told_capabilities == extensions.custom_capabilities()
    )
