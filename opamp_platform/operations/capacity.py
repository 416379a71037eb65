"""Which limits of the fleet are reached, for the overview; and what reports occupy, for it and for ``/metrics``."""

from __future__ import annotations

import time

from django.conf import settings

from agents.services import quotas
from foundation.messages import Message
from opamp_transport.newcomers import refused_lately

_KEPT_SECONDS = 10.0
# From this share on people are told that room becomes short.
_NEARLY = 0.9


class StoredBytes:
    """What all reports occupy, asked of the database every ten seconds at most. Raises DatabaseError."""

    def __init__(self) -> None:
        self._asked_at = float("-inf")
        self._bytes = 0

    def now(self) -> int:
        """Bytes."""
        if time.monotonic() - self._asked_at > _KEPT_SECONDS:
            self._bytes, self._asked_at = quotas.stored_bytes(), time.monotonic()
        return self._bytes


stored = StoredBytes()


def limits_reached(agents: int) -> list[Message]:
    """What people should know of a fleet of so many agents."""
    found = []
    most, room = settings.OPAMP_MAX_AGENTS, settings.OPAMP_STORED_IN_ALL
    if most and agents >= most:
        found.append(
            Message(
                "fleet-full",
                "The fleet is full: {agents} of OPAMP_MAX_AGENTS={most} agents. New ones are refused; forget agents that are "
                "gone, or raise it.",
                agents=agents,
                most=most,
            )
        )
    elif most and agents >= _NEARLY * most:
        found.append(
            Message(
                "fleet-nearly-full",
                "The fleet is nearly full: {agents} of OPAMP_MAX_AGENTS={most} agents.",
                agents=agents,
                most=most,
            )
        )
    if room and (size := stored.now()) >= _NEARLY * room:
        found.append(
            Message(
                "report-storage-nearly-full",
                "Reports of agents occupy {percent} percent of OPAMP_STORED_IN_ALL. When it is full, further ones are not "
                "stored and the former state is kept.",
                percent=min(100 * size // room, 100),
            )
        )
    refused = refused_lately()
    if refused is not None:
        found.append(
            Message(
                "new-agents-refused",
                "New agents of {address} were refused within the hour: more than OPAMP_NEW_AGENTS_PER_HOUR of one address.",
                address=refused[0],
            )
        )
    return found
