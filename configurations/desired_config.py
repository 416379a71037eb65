"""The configuration one agent should run, and when to offer it: configurations' part of a reply. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agents.remote_config import RemoteConfig
from agents.replies import Reply
from agents.reply_parts import Known
from agents.reports import AgentCapabilities, StatusReport


@dataclass(frozen=True, slots=True)
class DesiredConfig:
    """What one agent should run, beside what decides whether to say so now.

    ``answered``: the agent named this hash, whatever it said of it, and nobody asked anew since. ``offered``: it was
    already sent on the present connection. ``retry_due``: enough time passed since, and attempts are left (S-63).
    ``refused``: the answer was a failure without a hash. ``forced``: a person asked to send it once more, whatever the
    agent answered.
    """

    config: RemoteConfig
    config_hash: bytes
    answered: bool
    offered: bool
    retry_due: bool
    refused: bool = False
    forced: bool = False

    def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
        """``reply`` with the files, if they are due."""
        status_reported = report is not None and report.remote_config_status is not None
        if not self.is_due(known, status_reported=status_reported):
            return reply
        return replace(reply, remote_config=self.config, config_hash=self.config_hash)

    def is_due(self, known: Known, *, status_reported: bool) -> bool:
        """Whether to send ``remote_config`` now ("Configuration", S-58 … S-65).

        Never without AcceptsRemoteConfig (S-58), never a hash the agent has answered, whatever the answer and whatever it
        said of other hashes since (S-61), never the same hash again on one connection (S-50, S-62) unless the message
        itself is repeated, or the pause is over and either an answer named another hash (S-60, S-63), or a reply over HTTP
        was never answered and may be lost. A failure without a hash is an answer to what was offered, on whichever
        connection.
        """
        if not known.capabilities & AgentCapabilities.ACCEPTS_REMOTE_CONFIG:
            return False
        if self.forced:
            return True
        if self.answered:
            return False
        if not self.refused and (known.retried or not self.offered):
            return True
        unanswered = known.over_http and bool(known.capabilities & AgentCapabilities.REPORTS_REMOTE_CONFIG)
        return self.retry_due and (status_reported or unanswered)
