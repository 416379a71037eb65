"""Packages as something the server offers: what a batch's agents should have, and what they said of it (S-89 … S-92)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q, QuerySet

from agents.models import Agent, AgentQuerySet
from agents.replies import OfferedPackage, PackagesOffer, Reply, ServerCapabilities
from agents.reports import AgentCapabilities, JsonObject
from agents.services.batch import BatchAgent, ReportingAgent
from agents.services.offers import MOST_PENDING
from packages import download_urls
from packages.installation_outcome import LONGEST_ERROR, NOTHING, InstallationStatus, answer_of
from packages.models import Package, PackageSet
from packages.services import store
from packages.services.installing import FAILED, INSTALLED, OFFERED, PackagesOfAgent, packages_of
from packages.services.matching import PACKAGES, packages_wanted_by
from packages.wanted_packages import WantedPackages
from rollouts.services.released_offers import ReleasedOffer, is_due_again, offer_again_at

# An agent whose answers never name the set it was sent is offered it again with doubling pauses, this often at most.
FIRST_RETRY = timedelta(seconds=30)
MAX_OFFERS = 5
# Errors of so many sets of one agent are kept.
_MOST_FAILURES = 20
_LINES = {InstallationStatus.INSTALLED: INSTALLED, InstallationStatus.FAILED: FAILED}
# Sets that the agent does not name, which it should know.
_UNKNOWN_THERE = ~Q(desired_hash=F("reported_hash"))


class PackageOffer(ReleasedOffer[PackagesOfAgent]):
    """Relabelled agents are matched, statuses are booked, and who lacks something is offered all that it should have."""

    kind = PACKAGES
    takes = AgentCapabilities.ACCEPTS_PACKAGES

    @classmethod
    def capabilities(cls) -> ServerCapabilities:
        """Packages may be offered; their statuses are accepted by everybody."""
        return ServerCapabilities.OFFERS_PACKAGES

    def rows_of(self, agents: Sequence[Agent]) -> Iterable[PackagesOfAgent]:
        """Sets and installations."""
        return packages_of(agents, self.batch)

    def note_reports(self) -> None:
        """Match the relabelled agents and book what was said. Raises `LockMissed`."""
        targeting = self.match_relabelled()
        reporting: Sequence[ReportingAgent] = self.batch.agents if self.rows else ()
        for member in reporting:
            packages = self.rows.get(member.agent.pk)
            if packages is None:
                continue
            if member.relabelled and targeting is not None:
                member.events += packages.assign(packages_wanted_by(member.agent, targeting))
            if packages.set is None:
                continue
            if member.changed("capabilities"):
                packages.follow_capabilities()
            said = member.state.package_statuses if member.relabelled else member.arrival.report.package_statuses
            if said is not None and member.speaks:
                _book(member, packages, said)

    def part(self, agent: BatchAgent) -> WantedPackages | None:
        """``None`` for an agent that never had any, that has what it should, that is held, or while the store is away."""
        if not self.rows:
            return None
        packages = self.rows.get(agent.agent.pk)
        row = None if packages is None else packages.set
        if packages is None or row is None or row.reported_hash == row.desired_hash or row.desired_hash in row.failures:
            return None
        if row.desired_hash == NOTHING and not row.reported_hash and not row.had:
            return None
        if not packages.accepts or self.is_held(agent):
            return None
        offer = self._offer_for(packages, row, agent.reached_at)
        if offer is None:
            return None
        return WantedPackages(
            offer=offer,
            offered=row.offered_hash == row.desired_hash and row.offered_lease == agent.agent.lease_id,
            retry_due=is_due_again(_retry_at(row), row.offered_at, self.batch.at),
        )

    def _offer_for(self, packages: PackagesOfAgent, row: PackageSet, reached_at: str) -> PackagesOffer | None:
        """The whole set; ``None`` where its files cannot be had, or no address of ours is known that the agent reaches."""
        stored = any(each.artefact.key for each in packages.installations)
        away = stored and store.is_away()
        packages.change_set(waits=away)
        if away:
            return None
        offered: dict[str, OfferedPackage] = {}
        for each in packages.installations:
            url = download_urls.download_url(each.artefact, reached_at=reached_at)
            if not url:
                return None
            offered[each.package.name] = OfferedPackage(
                version=each.version.version,
                package_hash=bytes.fromhex(each.hash),
                download_url=url,
                content_hash=bytes.fromhex(each.artefact.sha256),
                is_addon=each.package.kind == Package.Kind.ADDON,
                signature=download_urls.signature_bytes(each.artefact),
                headers=tuple(sorted(each.artefact.headers.items())),
            )
        return PackagesOffer(offered, bytes.fromhex(row.desired_hash))

    def note_sent(self, agent: BatchAgent, reply: Reply) -> None:
        """The set goes out on the agent's present connection."""
        if reply.packages is None:
            return
        packages = self.rows.get(agent.agent.pk)
        if packages is None or packages.set is None:
            return
        row = packages.set
        packages.change_set(
            offered_hash=row.desired_hash,
            offered_lease=agent.agent.lease_id,
            offered_at=self.batch.at,
            offer_count=row.offer_count + 1,
            had=True,
        )
        for each in packages.installations:
            if each.status == InstallationStatus.PENDING.value:
                packages.set_status(each, InstallationStatus.OFFERED)
                agent.events.append(packages.line(OFFERED, each))

    def due_again_at(self, agent: BatchAgent) -> datetime | None:
        """When the offer this agent has not answered may be sent again."""
        if not self.rows:
            return None
        packages = self.rows.get(agent.agent.pk)
        row = None if packages is None else packages.set
        if row is None or row.offered_hash != row.desired_hash or row.reported_hash == row.desired_hash:
            return None
        return None if row.desired_hash in row.failures else _retry_at(row)

    @classmethod
    def pending_since(cls, at: datetime) -> Iterable[UUID]:
        """Agents whose set is of after ``at`` and was not offered, and those that waited for a store that is back."""
        waiting = Q(assigned_at__gte=at, offered_at=None)
        if not store.is_away():
            waiting |= Q(waits=True)
        rows = _due().filter(waiting)
        return rows.values_list("agent__instance_uid", flat=True)[:MOST_PENDING]

    @classmethod
    def pending_among(cls, agents: AgentQuerySet) -> Iterable[UUID]:
        """Of these the connected ones whose set was not offered, whenever it came up."""
        rows = _due().filter(offered_at=None, agent__in=agents.filter(connected=True).order_by().values("pk"))
        return rows.values_list("agent__instance_uid", flat=True)


def _due() -> QuerySet[PackageSet]:
    accepts = int(AgentCapabilities.ACCEPTS_PACKAGES)
    rows = PackageSet.objects.filter(_UNKNOWN_THERE, agent__connected=True)
    return rows.annotate(accepts=F("agent__capabilities").bitand(accepts)).filter(accepts=accepts)


def _book(member: ReportingAgent, packages: PackagesOfAgent, said: JsonObject) -> None:
    """What the agent's statuses mean for each package, and for the set as a whole."""
    row = packages.set
    assert row is not None  # noqa: S101  asked by the caller
    named = str(said.get("server_provided_all_packages_hash", ""))[:128]
    packages.change_set(reported_hash=named)
    statuses = said.get("packages")
    statuses = statuses if isinstance(statuses, dict) else {}
    offered = row.offered_hash == row.desired_hash
    failure = str(said.get("error_message", ""))[:LONGEST_ERROR] if offered and named == row.desired_hash else ""
    for each in packages.installations:
        former = InstallationStatus(each.status)
        if former is InstallationStatus.INCAPABLE:
            continue
        status = statuses.get(each.package.name)
        meaning = answer_of(
            status if isinstance(status, dict) else None,
            package_hash=each.hash,
            version=each.version.version,
            offered=offered,
            former=former,
        )
        if meaning is None:
            if failure and former in (InstallationStatus.OFFERED, InstallationStatus.INSTALLING):
                packages.set_status(each, InstallationStatus.FAILED, error=failure)
                member.events.append(packages.line(FAILED, each, error=failure))
            continue
        changed = packages.set_status(each, meaning.status, error=meaning.error, percent=meaning.percent)
        kind = _LINES.get(meaning.status) if changed else None
        if kind is not None:
            more = {"error": meaning.error} if meaning.error else {}
            member.events.append(packages.line(kind, each, **more))
    _book_failure(packages, row, failure)


def _book_failure(packages: PackagesOfAgent, row: PackageSet, failure: str) -> None:
    """A set with a failure is not offered again by itself; one that came right is no failure any more."""
    errors = [each.error_message for each in packages.installations if each.status == InstallationStatus.FAILED.value]
    failures = {hashed: error for hashed, error in row.failures.items() if hashed != row.desired_hash}
    if errors or failure:
        kept = list(failures.items())[-(_MOST_FAILURES - 1) :]
        failures = {**dict(kept), row.desired_hash: (failure or errors[0])[:200]}
    packages.change_set(failures=failures)


def _retry_at(row: PackageSet) -> datetime | None:
    return offer_again_at(row.offered_at, row.offer_count, first=FIRST_RETRY, most=MAX_OFFERS)
