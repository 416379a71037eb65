"""Connection settings: the heartbeat interval, and a credential of the agent's own (S-75 … S-82, S-115)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from agents.connection_settings import with_credential
from agents.credentials import AgentCredential, text_of
from agents.replies import OpampSettings, Reply, ServerCapabilities
from agents.reply_parts import SettingsPart
from agents.services import credentials, taken_settings
from agents.services.batch import BatchAgent, ReportingAgent
from agents.services.offers import Offer

# An agent that does not say whether it took the settings gets them at most this often (S-81).
SETTINGS_PAUSE = timedelta(hours=1)


class ConnectionSettingsOffer(Offer):
    """Built from the request that brought the report, and kept nowhere: rows hold hashes."""

    @classmethod
    def capabilities(cls) -> ServerCapabilities:
        """Where somebody may be offered any."""
        offered = settings.OPAMP_OFFER_HEARTBEAT is not False
        return ServerCapabilities.OFFERS_CONNECTION_SETTINGS if offered else ServerCapabilities(0)

    def read(self) -> None:
        """All it needs is in the rows of the agents."""
        self._parts: dict[int, SettingsPart] = {}

    def part(self, agent: BatchAgent) -> SettingsPart | None:
        """``None`` where no settings are offered, and for what nobody asked for."""
        if not isinstance(agent, ReportingAgent):
            return None
        if agent.arrival.settings is None or agent.arrival.settings.on_request_only:
            return None
        offer = self.batch.settings_of(agent)
        if offer is None:
            return None
        self._parts[agent.agent.pk] = part = self._wanted(agent, offer)
        return part

    def note_sent(self, agent: BatchAgent, reply: Reply) -> None:
        """Whether the agent takes them is open from now on."""
        part = self._parts.get(agent.agent.pk)
        if part is None or reply.opamp_settings is not part.offer or not isinstance(agent, ReportingAgent):
            return
        offer, credential = part.offer, part.credential
        taken_settings.note_offered(agent, offer.settings_hash.hex(), offer.interval_seconds, self.batch.at)
        if credential is not None:
            credentials.note_offer(agent, credential, self.batch.at)

    def is_left(self, agent: BatchAgent, reply: Reply) -> bool:
        """A credential is made with a report: where nobody asked, the agent's next message must be one."""
        return not isinstance(agent, ReportingAgent) and credentials.enrolment_due(agent.agent)

    @classmethod
    def pending_since(cls, at: datetime) -> Iterable[UUID]:
        """Agents that are connected although their credential was revoked."""
        return credentials.shut_out_uids()

    def _wanted(self, agent: ReportingAgent, base: OpampSettings) -> SettingsPart:
        """``base`` repeats what let the speaker in. Whether its like was sent or answered is asked of the credential sent last."""
        at, state = self.batch.at, agent.state
        offer = known = base
        credential = None if base.has_way_in else credentials.credential_to_offer(agent)
        if credential is not None:
            offer = _bringing(credential, base)
            known = _bringing(credentials.credential_sent_last(agent) or credential, base)
        # What it answered, and was offered lately, is what it has lost since.
        lost = credentials.has_lost_its_own(agent)
        same = not lost and state.settings_offered_hash == known.settings_hash.hex()
        offered_at = state.settings_offered_at
        return SettingsPart(
            offer=offer,
            credential=credential,
            interval_in_use=taken_settings.interval_in_use(state),
            answered=not lost and (state.connection_settings_status or {}).get("hash", "") == known.settings_hash.hex(),
            offered=same and state.settings_offered_lease == agent.agent.lease_id,
            offered_lately=same and offered_at is not None and abs(at - offered_at) < SETTINGS_PAUSE,
            given_often=same and state.settings_offer_count >= taken_settings.GIVEN_TO_RETRIES,
        )


def _bringing(credential: AgentCredential, base: OpampSettings) -> OpampSettings:
    return with_credential(base, text_of(credential, key=settings.SECRET_KEY), key=settings.SECRET_KEY)
