"""What an agent is told of its certificate, and when: decisions about a known state and a report. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agents.replies import ErrorResponse, ErrorType, OpampSettings, Reply
from agents.reply_parts import Known
from agents.reports import AgentCapabilities, StatusReport


@dataclass(frozen=True, slots=True)
class CertificatePart:
    """Connection settings that bring a certificate. ``offered``: they were sent on the present connection, or a while ago."""

    offer: OpampSettings
    offered: bool

    def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
        """With the answer to a report (S-85), to an agent that takes them (S-76); other settings go first, alone."""
        if report is None or reply.opamp_settings is not None:
            return reply
        accepts = known.capabilities & AgentCapabilities.ACCEPTS_OPAMP_CONNECTION_SETTINGS
        if not accepts or (self.offered and not known.retried):
            return reply
        return replace(reply, opamp_settings=self.offer)


@dataclass(frozen=True, slots=True)
class RefusalPart:
    """The request cannot be met: an error and nothing else (S-86)."""

    text: str

    def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
        """At once."""
        return replace(reply, error=ErrorResponse(ErrorType.BAD_REQUEST, self.text))
