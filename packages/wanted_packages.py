"""The packages one agent should have, and when to offer them: packages' part of a reply. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agents.replies import PackagesOffer, Reply
from agents.reply_parts import Known
from agents.reports import AgentCapabilities, StatusReport


@dataclass(frozen=True, slots=True)
class WantedPackages:
    """The complete set of an agent that has not named its hash, nor failed at it, beside what decides whether to say so now.

    ``offered``: it was sent on the present connection. ``retry_due``: enough time passed since, and attempts are left.
    """

    offer: PackagesOffer
    offered: bool
    retry_due: bool

    def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
        """``reply`` with the packages, if they are due."""
        said = report is not None and report.package_statuses is not None
        return replace(reply, packages=self.offer) if self.is_due(known, statuses_reported=said) else reply

    def is_due(self, known: Known, *, statuses_reported: bool) -> bool:
        """Whether to send ``packages_available`` now (S-89, S-90).

        Never without AcceptsPackages, never again on one connection unless the message itself is repeated, or the pause is
        over and either the agent named another hash or a reply over HTTP may be lost.
        """
        if not known.capabilities & AgentCapabilities.ACCEPTS_PACKAGES:
            return False
        if known.retried or not self.offered:
            return True
        unanswered = known.over_http and bool(known.capabilities & AgentCapabilities.REPORTS_PACKAGE_STATUSES)
        return self.retry_due and (statuses_reported or unanswered)
