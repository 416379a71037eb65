"""Packages as something the server offers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from uuid import UUID

from agents.models import AgentEvent
from agents.replies import OfferedPackage, PackagesOffer, Reply, ServerCapabilities
from agents.reply_parts import Known
from agents.reports import AgentCapabilities, StatusReport
from agents.services.batch import BatchAgent
from agents.services.offers import Offer
from foundation import wakeups
from tests.toy_packages.models import Installation, Package


class NothingToInstall(Exception):
    """The agent has no package."""


@dataclass(frozen=True, slots=True)
class WantedPackage:
    """Pure: what to say, and when."""

    name: str
    version: str

    def add_to(self, reply: Reply, known: Known, report: StatusReport | None) -> Reply:
        """Only to an agent that accepts packages."""
        if not known.capabilities & AgentCapabilities.ACCEPTS_PACKAGES:
            return reply
        file = OfferedPackage(self.version, b"p" * 32, f"https://packages.example/{self.name}", b"f" * 32)
        return replace(reply, packages=PackagesOffer({self.name: file}, b"a" * 32))


class PackageOffer(Offer):
    """Matched by one label, offered once."""

    errors = {NothingToInstall: HTTPStatus.CONFLICT}

    @classmethod
    def capabilities(cls) -> ServerCapabilities:
        return ServerCapabilities.OFFERS_PACKAGES

    def read(self) -> None:
        rows = Installation.objects.filter(agent__in=[member.agent for member in self.batch.agents])
        self.installations = {row.agent_id: row for row in rows.select_related("package")}

    def note_reports(self) -> None:
        packages = {package.env: package for package in Package.objects.all()}
        for member in self.batch.agents:
            package = packages.get(member.agent.labels.get("env", ""))
            if member.relabelled and package is not None and member.agent.pk not in self.installations:
                self.installations[member.agent.pk] = row = Installation(agent=member.agent, package=package)
                self.batch.insert(row)
            row = self.installations.get(member.agent.pk)
            said = (member.arrival.report.package_statuses or {}).get("packages", {})
            if row is not None and row.package.name in said:
                self._set(member, row, said[row.package.name]["status"])

    def part(self, agent: BatchAgent) -> WantedPackage | None:
        row = self.installations.get(agent.agent.pk)
        return WantedPackage(row.package.name, row.package.version) if row and row.status == "pending" else None

    def note_sent(self, agent: BatchAgent, reply: Reply) -> None:
        if reply.packages is not None:
            self._set(agent, self.installations[agent.agent.pk], "offered")

    @classmethod
    def pending_since(cls, at: datetime) -> Iterable[UUID]:
        return Installation.objects.filter(status="pending").values_list("agent__instance_uid", flat=True)

    def _set(self, member: BatchAgent, row: Installation, status: str) -> None:
        if self.batch.change(row, "status", status):
            data = {"name": row.package.name, "status": status}
            member.events.append(AgentEvent(agent=member.agent, at=self.batch.at, kind="toy_package", data=data))


def install_again(uid: UUID) -> None:
    """A person's request. Raises `NothingToInstall`."""
    if not Installation.objects.filter(agent__instance_uid=uid).update(status="pending"):
        raise NothingToInstall(f"No package fits {uid}.")
    wakeups.wake([uid])
