"""What is open to others and perhaps should not be: said at the start and on the overview, each with its setting."""

from __future__ import annotations

import socket
from functools import lru_cache

from django.conf import settings

from foundation.messages import Message
from opamp_platform.operations.data_dir import open_to_others
from opamp_transport.origins import is_loopback


@lru_cache(maxsize=8)
def listens_on_loopback_alone(host: str) -> bool:
    """True when nobody but programs of this machine reach a server that listens on ``host`` (a name or an address)."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM) if host else []
    except OSError:
        return False
    return bool(found) and all(is_loopback(str(address[0])) for *_rest, address in found)


def anonymous_agents_problem(host: str) -> str | None:
    """Why a server may not listen on ``host``: everybody who reaches it could be an agent; ``None`` when it may."""
    if settings.OPAMP_SECRET_KEY or settings.OPAMP_ALLOW_ANONYMOUS_AGENTS or listens_on_loopback_alone(host):
        return None
    return (
        f"On {host or 'all addresses'} everybody who reaches the port could be an agent and receive configurations: set "
        "OPAMP_SECRET_KEY, which agents then send. OPAMP_ALLOW_ANONYMOUS_AGENTS=true starts without one."
    )


def exposures(host: str) -> list[Message]:
    """What people should know of a server that listens on ``host``, an empty text where that is not known."""
    found = []
    if not settings.OPAMP_SECRET_KEY:
        found.append(
            Message(
                "no-secret-for-agents",
                "Agents are not asked for a secret: whoever reaches the port can be an agent and receives configurations. "
                "Set OPAMP_SECRET_KEY.",
            )
        )
    if "*" in settings.ALLOWED_HOSTS and host and not listens_on_loopback_alone(host):
        found.append(
            Message(
                "any-host-name",
                "The portal is served under any host name. Name yours in ALLOWED_HOSTS; others are then refused.",
            )
        )
    return found


def open_data_dir() -> Message | None:
    """That other users of the machine may look into the data directory, when they may."""
    rights = open_to_others(settings.DATA_DIR)
    if not rights:
        return None
    return Message(
        "data-dir-open",
        "Other users of this machine may look into DATA_DIR={folder} (rights {rights}): chmod 700 it.",
        folder=str(settings.DATA_DIR),
        rights=rights,
    )
