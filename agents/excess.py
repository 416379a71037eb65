"""Why an agent that the fleet does not have is put off: one too many. Pure."""

from __future__ import annotations

import enum


class Excess(enum.StrEnum):
    """The value is a metric label. Nothing need be done for the agent: it may be let in another time."""

    TOO_MANY_NEW = "too many new agents"
    FLEET_FULL = "fleet is full"

    @property
    def text(self) -> str:
        """What the operator of the portal can do."""
        return _TEXTS[self]


_TEXTS = {
    Excess.TOO_MANY_NEW: "Too many new agents came from this address within an hour; this one comes back by itself. See "
    "OPAMP_NEW_AGENTS_PER_HOUR and, behind a proxy, OPAMP_TRUSTED_PROXIES.",
    Excess.FLEET_FULL: "The fleet has as many agents as OPAMP_MAX_AGENTS allows. Forget agents that are gone, or raise it.",
}
