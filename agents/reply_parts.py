"""What the portal may tell an agent, kind by kind, and when each is due: decisions about a known state and a report. Pure.

The rules that name their number (S-nn) are those of `docs/conformance.md`. Configurations are `configurations`' part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from agents.credentials import AgentCredential
from agents.replies import OpampSettings, Reply
from agents.reports import AgentCapabilities, CustomMessage, StatusReport


@dataclass(frozen=True, slots=True)
class Known:
    """What the server knew of an agent before the report, and what the report's recording told.

    ``sequence_num`` is the last one processed, ``None`` for an agent never seen. ``capabilities`` are those in force
    *after* the report (S-56). ``full_state_outstanding``: asked for and still expected; ``full_state_lost``: asked for,
    and request or answer got lost (S-44). ``over_http``: an earlier reply may have been lost. ``repeated``: the same bytes
    arrived before (S-46). ``components_asked``: the map behind the reported components hash is stored, or was asked for and
    may still come (S-98).
    """

    sequence_num: int | None
    capabilities: int
    full_state_outstanding: bool = False
    full_state_lost: bool = False
    over_http: bool = False
    repeated: bool = False
    components_asked: bool = True

    @property
    def retried(self) -> bool:
        """The reply to these very bytes was lost, so it is given again (S-62); a socket loses none without closing."""
        return self.repeated and self.over_http


class Part(Protocol):
    """What is wanted of one agent, of one kind, and the rule that says whether to tell it now."""

    def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
        """``reply`` with this part if it is due, else as it is; ``report`` is ``None`` for a message nobody asked for."""


@dataclass(frozen=True, slots=True)
class RestartPart:
    """A restart was asked for. It travels alone (S-96), which `Reply.restart` says."""

    def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
        """Only to an agent that accepts it (S-55)."""
        accepts = known.capabilities & AgentCapabilities.ACCEPTS_RESTART_COMMAND
        return replace(reply, restart=True) if accepts else reply


@dataclass(frozen=True, slots=True)
class CustomMessagePart:
    """The oldest message that waits; further ones follow in order (S-95)."""

    message: CustomMessage

    def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
        """Whoever made it looked at the capabilities that the agent lists (S-94)."""
        return replace(reply, custom_message=self.message)


@dataclass(frozen=True, slots=True)
class CustomCapabilitiesPart:
    """The server's own custom capabilities, for an agent that was not told this list yet (S-93)."""

    names: tuple[str, ...]

    def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
        """With the answer to a report."""
        return reply if report is None else replace(reply, custom_capabilities=self.names)


@dataclass(frozen=True, slots=True)
class NewUidPart:
    """A uid that is assigned and not used yet; ``told``: on this connection (S-30)."""

    instance_uid: UUID
    told: bool

    def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
        """Once on each connection, and again where the reply was lost."""
        return replace(reply, new_instance_uid=self.instance_uid) if known.retried or not self.told else reply


@dataclass(frozen=True, slots=True)
class SettingsPart:
    """Connection settings to offer, beside what decides whether to say so now.

    ``answered``: the agent named their hash. ``offered``: they were sent on the present connection; ``offered_lately``: on
    whichever, not long ago; ``given_often``: so often that a lost reply explains it no more. ``credential`` is one of the
    agent's own that ``offer`` brings, new with each offer: then all four are about the one that was sent last.
    ``interval_in_use`` is the agent's (seconds), ``None`` for unknown; the endpoint of an offer is the one it uses anyway.
    """

    offer: OpampSettings
    answered: bool
    offered: bool
    offered_lately: bool
    given_often: bool = False
    interval_in_use: int | None = None
    credential: AgentCredential | None = None

    def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
        """With the answer to a report: what the settings repeat is what that report's request brought."""
        if report is None or not self.is_due(known, report):
            return reply
        return replace(reply, opamp_settings=self.offer)

    def is_due(self, known: Known, report: StatusReport) -> bool:
        """Whether to send ``connection_settings`` now ("Connection Settings Management", S-76, S-78, S-81).

        Never what the agent has already, for taking an offer costs it its client, and never a hash it has answered. Once on
        a connection to an agent that says it runs others. To one that says nothing, not again for a while, on whichever
        connection: taking an offer may mean a new connection, and then every connection would bring an offer and every
        offer a connection.
        """
        if not self._accepted(known.capabilities) or self.answered or not self._brings_news():
            return False
        if (known.retried and not self.given_often) or not self.offered_lately:
            return True
        return report.connection_settings_status is not None and not self.offered

    def _brings_news(self) -> bool:
        return self.credential is not None or self.offer.interval_seconds != self.interval_in_use

    def _accepted(self, capabilities: int) -> bool:
        """The member must be accepted (S-76); one that sends no heartbeats has no use for an interval alone (S-73)."""
        needed = AgentCapabilities.ACCEPTS_OPAMP_CONNECTION_SETTINGS
        if self.credential is None:
            needed |= AgentCapabilities.REPORTS_HEARTBEAT
        return capabilities & needed == needed
