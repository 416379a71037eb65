"""Certificates as agents are told of them: requests, offers, refusals (S-84 … S-88)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings

from agents.connection_settings import with_certificate
from agents.credentials import ClientCertificate
from agents.models import AgentQuerySet
from agents.replies import OpampSettings, Reply, ServerCapabilities
from agents.reply_parts import Part
from agents.reports import APPLIED_SETTINGS
from agents.services import taken_settings
from agents.services.batch import BatchAgent, ReportingAgent
from agents.services.offers import MOST_PENDING, Offer
from certificates.issuing import CannotSign
from certificates.models import LONGEST_REASON, AgentCertificate, CertificateQuerySet
from certificates.parts import CertificatePart, RefusalPart
from certificates.services.requesting import add_line, denied_text, failed_text, take_request
from certificates.services.signers import authority_pem
from foundation.clock import clock
from rollouts.services.freezing import current_freezes

State = AgentCertificate.State
# A poll's reply may be lost without a trace: an agent that stays silent gets its certificate again after so long.
_AGAIN = timedelta(hours=1)
# An agent that does not say whether it took the certificate, nor uses it, gets it so often.
_MOST_OFFERS = 5
# ``ConnectionSettingsStatuses_FAILED``.
_FAILED_SETTINGS = 3
# A freeze holds a renewal back until what the agent has is good for no longer than this.
KEPT_GOOD = timedelta(days=7)


class CertificateOffer(Offer):
    """Open rows of the batch's agents; locked after the agents, and before anything is decided."""

    @classmethod
    def capabilities(cls) -> ServerCapabilities:
        """Where somebody signs."""
        if not settings.OPAMP_CERTIFICATES.offered:
            return ServerCapabilities(0)
        return ServerCapabilities.ACCEPTS_CONNECTION_SETTINGS_REQUEST | ServerCapabilities.OFFERS_CONNECTION_SETTINGS

    def read(self) -> None:
        """One query, and none where agents may not ask."""
        self._rows: dict[int, AgentCertificate] = {}
        self._parts: dict[int, CertificatePart | RefusalPart] = {}
        self._refused: dict[int, str] = {}
        self._held: dict[int, datetime] | None = None
        if settings.OPAMP_CERTIFICATES.offered and self.batch.agents:
            keys = [member.agent.pk for member in self.batch.agents]
            rows = AgentCertificate.objects.filter(agent_id__in=keys, open=True)
            self._rows = {
                row.agent_id: row for row in rows.select_for_update(of=("self",)).order_by("pk") if row.agent_id
            }

    @property
    def _is_idle(self) -> bool:
        """Whether nobody of the batch asks or waits, as mostly."""
        return not self._rows and not self._refused

    def note_reports(self) -> None:
        """Use of certificates, answers to offers, requests."""
        self._note_use()
        if not settings.OPAMP_CERTIFICATES.offered:
            return
        for member in self.batch.agents:
            if not member.speaks:
                continue
            self._note_answer(member)
            csr = member.arrival.report.certificate_request
            if csr is None:
                continue
            row, problem = take_request(self.batch, member, csr, self._rows.get(member.agent.pk))
            self._rows.pop(member.agent.pk, None)
            if row is not None:
                self._rows[member.agent.pk] = row
            if problem is not None:
                self._refused[member.agent.pk] = str(problem)

    def part(self, agent: BatchAgent) -> Part | None:
        """What the agent waits for, or why it waits in vain."""
        if self._is_idle:
            return None
        part = self._wanted(agent)
        if part is not None:
            self._parts[agent.agent.pk] = part
        return part

    def note_sent(self, agent: BatchAgent, reply: Reply) -> None:
        """An error is told once; a certificate is offered until it is taken."""
        if self._is_idle:
            return
        part, row = self._parts.get(agent.agent.pk), self._rows.get(agent.agent.pk)
        if isinstance(part, RefusalPart):
            if reply.error is not None and row is not None and row.state in {State.DENIED, State.FAILED}:
                self.batch.change(row, "open", False)
        elif part is not None and row is not None and reply.opamp_settings is part.offer:
            self._note_offered(agent, row, part.offer)

    def is_left(self, agent: BatchAgent, reply: Reply) -> bool:
        """What an error kept back; and a certificate, which goes out with the answer to a report alone."""
        if self._is_idle:
            return False
        if agent.agent.pk in self._refused or isinstance(self._parts.get(agent.agent.pk), RefusalPart):
            return True
        row, part = self._rows.get(agent.agent.pk), self._parts.get(agent.agent.pk)
        if row is None or row.state != State.ISSUED or not row.open:
            return False
        if agent.agent.pk in self._held_until():
            return False
        if not isinstance(agent, ReportingAgent):
            return row.offered_lease != agent.agent.lease_id
        return isinstance(part, CertificatePart) and not part.offered and reply.opamp_settings is not part.offer

    def due_again_at(self, agent: BatchAgent) -> datetime | None:
        """When an agent that polls is given its certificate once more, or although it is held."""
        if self._is_idle:
            return None
        row = self._rows.get(agent.agent.pk)
        if agent.agent.pk in self._held_until():
            return self._held_until()[agent.agent.pk]
        waits = row is not None and row.open and row.state == State.ISSUED and row.offered_at is not None
        return row.offered_at + _AGAIN if waits and row is not None and row.offered_at is not None else None

    @classmethod
    def pending_since(cls, at: datetime) -> Iterable[UUID]:
        """Agents whose certificate was made, denied or revoked, and those whom a freeze may keep from renewing no longer."""
        there = AgentCertificate.objects.filter(agent__connected=True)
        told = there.filter(open=True, state__in=[State.ISSUED, State.DENIED, State.FAILED], changed_at__gte=at)
        found = [told, there.filter(revoked_at__gte=at)]
        if current_freezes().holds_anybody:
            ends = _used().filter(not_after__gte=at + KEPT_GOOD, not_after__lt=clock.now() + KEPT_GOOD)
            found.append(_issued().filter(agent__connected=True, agent_id__in=ends.values("agent_id")))
        uids = [rows.values_list("agent__instance_uid", flat=True)[:MOST_PENDING] for rows in found]
        return [uid for some in uids for uid in some]

    @classmethod
    def pending_among(cls, agents: AgentQuerySet) -> Iterable[UUID]:
        """Of these the connected ones with a certificate that was not offered yet."""
        keys = agents.filter(connected=True).order_by().values("pk")
        return _issued().filter(offered_at=None, agent__in=keys).values_list("agent__instance_uid", flat=True)

    # --- Steps ---------------------------------------------------------------------------------------------------

    def _wanted(self, agent: BatchAgent) -> CertificatePart | RefusalPart | None:
        refused = self._refused.get(agent.agent.pk)
        if refused is not None:
            return RefusalPart(refused)
        row = self._rows.get(agent.agent.pk)
        if row is None or not row.open:
            return None
        if row.state == State.DENIED:
            return RefusalPart(str(denied_text(row)))
        if row.state == State.FAILED:
            return RefusalPart(str(failed_text()))
        base = self.batch.settings_of(agent) if isinstance(agent, ReportingAgent) else None
        if row.state != State.ISSUED or base is None or agent.agent.pk in self._held_until():
            return None
        try:
            offer = with_certificate(base, row.certificate.encode(), authority_pem(), key=settings.SECRET_KEY)
        except CannotSign:
            # The authority's file is away; the certificate stays.
            return None
        lately = row.offered_at is not None and abs(self.batch.at - row.offered_at) < _AGAIN
        return CertificatePart(offer, offered=row.offered_lease == agent.agent.lease_id and lately)

    def _held_until(self) -> dict[int, datetime]:
        """Agents that are frozen or paused and have a certificate that is good for long enough, and until when that is so.

        A first certificate, and one in the place of a certificate that ends soon, goes out whatever is frozen: without it the
        agent would be shut out. Asked only where a certificate waits.
        """
        if self._held is None:
            self._held = {}
            waiting = {key for key, row in self._rows.items() if row.open and row.state == State.ISSUED}
            freezes = current_freezes() if waiting else None
            if freezes is not None and freezes.holds_anybody:
                at = self.batch.at
                frozen = {
                    member.agent.pk
                    for member in self.batch.agents
                    if member.agent.pk in waiting and freezes.holding(member.agent, at) is not None
                }
                kept = _used().filter(agent_id__in=frozen, not_after__gt=at + KEPT_GOOD).order_by("not_after")
                self._held = {
                    key: end - KEPT_GOOD for key, end in kept.values_list("agent_id", "not_after") if key and end
                }
        return self._held

    def _note_offered(self, agent: BatchAgent, row: AgentCertificate, offer: OpampSettings) -> None:
        values: dict[str, Any] = {
            "offer_hash": offer.settings_hash.hex(),
            "offer_count": row.offer_count + 1,
            "offered_lease": agent.agent.lease_id,
            "offered_at": self.batch.at,
            "open": row.offer_count + 1 < _MOST_OFFERS,
        }
        for name, value in values.items():
            self.batch.change(row, name, value)
        if isinstance(agent, ReportingAgent):
            taken_settings.note_offered(agent, values["offer_hash"], offer.interval_seconds, self.batch.at)

    def _note_answer(self, member: ReportingAgent) -> None:
        """The agent says what it did with the offer (S-81)."""
        row, status = self._rows.get(member.agent.pk), member.state.connection_settings_status or {}
        if row is None or row.state != State.ISSUED or not row.offer_hash or status.get("hash") != row.offer_hash:
            return
        if status.get("status") == APPLIED_SETTINGS:
            self.batch.change(row, "open", False)
        elif status.get("status") == _FAILED_SETTINGS and self.batch.change(row, "open", False):
            add_line(member, "not taken", reason=str(status.get("error_message", ""))[:LONGEST_REASON])

    def _note_use(self) -> None:
        """With its first use the agent has its certificate."""
        shown = {
            member.arrival.credential.digest: member
            for member in self.batch.agents
            if isinstance(member.arrival.credential, ClientCertificate)
        }
        if not shown:
            return
        held = {row.pk: row for row in self._rows.values()}
        for found in AgentCertificate.objects.filter(digest__in=list(shown), used_at=None):
            row, member = held.get(found.pk, found), shown[found.digest or ""]
            if self.batch.change(row, "used_at", self.batch.at):
                self.batch.change(row, "open", False)
                add_line(member, "used", serial=row.serial_number)


def _issued() -> CertificateQuerySet:
    """Those that agents may still be told of."""
    return AgentCertificate.objects.filter(open=True, state=State.ISSUED)


def _used() -> CertificateQuerySet:
    """Those that agents have shown, and may go on to show."""
    return AgentCertificate.objects.filter(state=State.ISSUED, used_at__isnull=False)
