"""Heartbeats, answered from memory: no database, no queue, and where the server in front can do it no task either.

A connected agent says little else, so this is the hot path of the portal. Whatever is not plainly a heartbeat of an agent
that memory knows is for the consumers.
"""

from __future__ import annotations

import time

from agents import extensions
from agents.credentials import Shown
from agents.reports import Heartbeat
from opamp_transport import metrics
from opamp_transport.protocol.conversation import continues
from opamp_transport.protocol.framing import HEADER, Body
from opamp_transport.protocol.messages import decode_heartbeat
from opamp_transport.runtime import Runtime
from opamp_transport.sessions import AgentSession, Connection

# The three fields have at most 40 bytes; what is larger has more to say.
_LARGEST = 64


def over_websocket(here: Runtime, connection: Connection, frame: bytes) -> bytes | None:
    """The answer to a WebSocket message, or ``None`` when it is none that memory may answer."""
    if len(frame) > _LARGEST or not frame.startswith(HEADER):
        return None
    heartbeat = decode_heartbeat(frame[len(HEADER) :])
    session = connection.sessions.get(heartbeat.instance_uid) if heartbeat is not None else None
    if heartbeat is None or session is None or not _memory_answers(here, session, heartbeat):
        return None
    session.sequence_num = heartbeat.sequence_num
    session.seen = time.monotonic()
    here.presence.note(session)
    metrics.HEARTBEATS["websocket"].inc()
    return session.ack


def over_http(here: Runtime, body: Body, credential: Shown | None) -> bytes | None:
    """The same for a request; a session that is past its deadline must reach the rows, where the agent counts as gone.

    So must a request that shows another ``credential`` than the agent was admitted by (S-117).
    """
    heartbeat = decode_heartbeat(body) if len(body) <= _LARGEST else None
    session = here.sessions.find(heartbeat.instance_uid) if heartbeat is not None else None
    if heartbeat is None or session is None or session.connection is not None or session.credential != credential:
        return None
    now = time.monotonic()
    if session.deadline <= now or session.look_again <= now or not _memory_answers(here, session, heartbeat):
        return None
    session.sequence_num = heartbeat.sequence_num
    seen_over_http(session)
    here.presence.note(session)
    metrics.HEARTBEATS["http"].inc()
    return session.ack


def seen_over_http(session: AgentSession) -> None:
    """The agent behind ``session`` polled now: it counts as connected until three intervals have passed."""
    session.seen = time.monotonic()
    session.deadline = session.seen + 3 * session.poll_interval.total_seconds()


def _memory_answers(here: Runtime, session: AgentSession, heartbeat: Heartbeat) -> bool:
    """True for a known agent to whom nothing is due, and who speaks through no other connection."""
    return (
        session.agent_id != 0
        and not session.due
        and continues(heartbeat, sequence_num=session.sequence_num, capabilities=session.capabilities)
        and here.sessions.holds(session)
        and session.told_capabilities == extensions.custom_capabilities()
    )
