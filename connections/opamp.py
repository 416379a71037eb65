"""Connection settings as something the server offers: what a batch's agents should have, and what they said of it (S-75 … S-82)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from agents.connection_settings import with_wanted
from agents.credentials import ClientCertificate
from agents.models import Agent, AgentQuerySet
from agents.replies import OpampSettings, Reply, ServerCapabilities
from agents.reports import APPLIED_SETTINGS, AgentCapabilities, ConnectionSettingsStatus
from agents.services import taken_settings
from agents.services.arrivals import DEFAULT_HEARTBEAT_SECONDS
from agents.services.batch import BatchAgent, ReportingAgent
from agents.services.offers import MOST_PENDING
from connections.content import OPAMP, Content, members_of
from connections.destinations import origin_of, same_place
from connections.further_settings import Destination, FurtherSettings, further_settings_of
from connections.members import TAKES_ANY, News, connection_of, covered_by, destination_of, is_plain, news_for, takes
from connections.models import AgentConnection, SettingsVersion
from connections.services.connection_targeting import CONNECTIONS, settings_wanted_by
from connections.services.settings_of_agents import (
    APPLIED,
    FAILED,
    MOVED,
    OFFERED,
    ConnectionOfAgent,
    connections_of,
)
from connections.services.stored_contents import content_of
from connections.telling import WantedSettings
from rollouts.services.released_offers import ReleasedOffer, is_due_again, offer_again_at
from variables.encryption import Unreadable

Status = AgentConnection.Status
# An agent that says what it does with settings and has not is sent them again with doubling pauses, this often at most.
FIRST_RETRY = timedelta(hours=1)
MAX_OFFERS = 5
LONGEST_ERROR = 2_000
# ``ConnectionSettingsStatuses``.
_APPLYING, _FAILED = 2, 3
_WAITS = (Status.OFFERED, Status.APPLYING)


class ConnectionOffer(ReleasedOffer[ConnectionOfAgent]):
    """Relabelled agents are matched, statuses are booked, and who lacks something is told what it lacks."""

    kind = CONNECTIONS
    takes = TAKES_ANY

    @classmethod
    def capabilities(cls) -> ServerCapabilities:
        """Connection settings may be offered."""
        return ServerCapabilities.OFFERS_CONNECTION_SETTINGS

    def rows_of(self, agents: Sequence[Agent]) -> Iterable[ConnectionOfAgent]:
        """What each should be connected to."""
        return connections_of(agents, self.batch)

    def read(self) -> None:
        """Also what is offered, as `part` says."""
        super().read()
        self._parts: dict[int, WantedSettings] = {}

    def note_reports(self) -> None:
        """Match the relabelled agents and book what was said. Raises `LockMissed`."""
        targeting = self.match_relabelled()
        reporting: Sequence[ReportingAgent] = self.batch.agents if self.rows else ()
        for member in reporting:
            connection = self.rows.get(member.agent.pk)
            if connection is None:
                continue
            if member.relabelled and targeting is not None:
                line = connection.assign(settings_wanted_by(member.agent.instance_uid, member.agent.labels, targeting))
                member.events += [line] if line is not None else []
            if connection.row is None or not member.speaks:
                continue
            if member.changed("capabilities"):
                connection.follow_capabilities()
            self._note_place(member, connection, connection.row)
            self._book(member, connection, connection.row)

    def settings_for(self, agent: ReportingAgent, offer: OpampSettings) -> OpampSettings:
        """The connection that people want, of the version in force for the agent; the hash covers all other members."""
        connection = self.rows.get(agent.agent.pk)
        row = None if connection is None else connection.row
        version = None if row is None else self._in_force(agent, row)
        content = _readable(version)
        if row is None or version is None or content is None:
            return offer
        wanted = None
        if takes(OPAMP, agent.agent.capabilities) and not row.by_certificate:
            wanted = connection_of(content, settings.OPAMP_HEADER_SECRETS)
        # Settings that were told before count as they were told.
        covers = covered_by(row.wanted if version is row.version else row.told, row.attempt)
        return with_wanted(offer, wanted, covers, key=settings.SECRET_KEY)

    def part(self, agent: BatchAgent) -> WantedSettings | None:
        """``None`` for an agent that has what it should, that is held, or that did not ask."""
        connection = self.rows.get(agent.agent.pk)
        row = None if connection is None else connection.row
        if connection is None or row is None or not isinstance(agent, ReportingAgent):
            return None
        content = _readable(row.version)
        self._leave_out_what_it_has(agent, connection, row, content)
        news, again_at = connection.news, _retry_at(agent, row)
        retry_due = is_due_again(again_at, row.offered_at, self.batch.at)
        offered = not news
        if offered and row.status in (*_WAITS, Status.TOLD) and (agent.repeated or retry_due):
            news = news_for(row.wanted, row.told_before)
        if not news or self.is_held(agent):
            return None
        base = self.batch.settings_of(agent)
        if base is None:
            return None
        further = _further(content or {}, news, base.settings_hash)
        part = WantedSettings(base, news.opamp, further, offered=offered, retry_due=retry_due)
        self._parts[agent.agent.pk] = part
        return part

    def note_sent(self, agent: BatchAgent, reply: Reply) -> None:
        """What the message tells is known there from now on, unless the agent says otherwise."""
        connection = self.rows.get(agent.agent.pk)
        row = None if connection is None else connection.row
        further = further_settings_of(reply)
        told_anything = reply.opamp_settings is not None or further is not None
        if connection is None or row is None or not told_anything or not isinstance(agent, ReportingAgent):
            return
        part = self._parts.get(agent.agent.pk)
        sent = reply.opamp_settings or (part.offer if part is not None else None)
        if sent is None:
            return
        if reply.opamp_settings is None or (part is not None and reply.opamp_settings is part.offer):
            seconds = agent.state.settings_accepted_seconds or DEFAULT_HEARTBEAT_SECONDS
            if reply.opamp_settings is not None:
                seconds = reply.opamp_settings.interval_seconds
            taken_settings.note_offered(agent, sent.settings_hash.hex(), seconds, self.batch.at)
        connection.change(offered_hash=sent.settings_hash.hex())
        if further is None and (reply.opamp_settings is None or OPAMP not in row.wanted):
            return
        if row.version is None:
            # What was told and is wanted no more was switched off, with a message of its own.
            if part is not None and further is not None:
                connection.change(told={}, told_before={})
            return
        if self._in_force(agent, row) is not row.version:
            return
        told = {name: digest for name, digest in row.told.items() if name in row.wanted}
        if reply.opamp_settings is not None and OPAMP in row.wanted and not row.by_certificate:
            told[OPAMP] = row.wanted[OPAMP]
        if further is not None:
            told |= {name: digest for name, digest in row.wanted.items() if name != OPAMP}
        if told == row.told and part is None:
            # A credential or a certificate, and the same connection as before.
            return
        connection.change(
            told_before=row.told_before if row.status in _WAITS else row.told,
            told=told,
            told_version=row.version,
            offered_lease=agent.agent.lease_id,
            offered_at=self.batch.at,
            offer_count=row.offer_count + 1,
        )
        self._note_offered(agent, connection, row, reply)

    def _note_offered(
        self, agent: ReportingAgent, connection: ConnectionOfAgent, row: AgentConnection, reply: Reply
    ) -> None:
        if not connection.news:
            says = agent.agent.capabilities & AgentCapabilities.REPORTS_CONNECTION_SETTINGS_STATUS
            waits = says or reply.opamp_settings is not None
            connection.set_status(Status.OFFERED if waits else Status.TOLD)
        further = further_settings_of(reply)
        names = [OPAMP] if reply.opamp_settings is not None else []
        if further is not None:
            names += [name for name in ("own_metrics", "own_traces", "own_logs") if getattr(further, name) is not None]
            names += list(further.others)
        agent.events.append(connection.line(OFFERED, members=names))

    def is_left(self, agent: BatchAgent, reply: Reply) -> bool:
        """Settings go out with the answer to a report: where nobody asked, the agent's next message must be one."""
        connection = self.rows.get(agent.agent.pk)
        if connection is None or connection.row is None or not connection.news or self.is_held(agent):
            return False
        return not isinstance(agent, ReportingAgent) or agent.agent.pk in self._parts

    def due_again_at(self, agent: BatchAgent) -> datetime | None:
        """When the offer this agent has not answered may be sent again."""
        connection = self.rows.get(agent.agent.pk)
        row = None if connection is None else connection.row
        return _retry_at(agent, row) if row is not None else None

    @classmethod
    def pending_since(cls, at: datetime) -> Iterable[UUID]:
        """Agents whose settings are of after ``at`` and were not offered."""
        rows = _due().filter(assigned_at__gte=at)
        return rows.values_list("agent__instance_uid", flat=True)[:MOST_PENDING]

    @classmethod
    def pending_among(cls, agents: AgentQuerySet) -> Iterable[UUID]:
        """Of these the connected ones whose settings were not offered, whenever they came up."""
        rows = _due().filter(agent__in=agents.filter(connected=True).order_by().values("pk"))
        return rows.values_list("agent__instance_uid", flat=True)

    # --- Steps ---------------------------------------------------------------------------------------------------

    def _in_force(self, agent: BatchAgent, row: AgentConnection) -> SettingsVersion | None:
        """Whose connection the agent is offered with anything: the one before while it is held, or has refused the new one."""
        if row.version is not None and row.failed != row.wanted and not self.is_held(agent):
            return row.version
        return row.told_version if row.told else None

    def _note_place(self, member: ReportingAgent, connection: ConnectionOfAgent, row: AgentConnection) -> None:
        """Where the agent is heard now, and what it lost since it was told."""
        place = origin_of(member.reached_at)
        came = bool(place) and place != row.reached
        connection.change(
            reached=place or row.reached, by_certificate=isinstance(member.arrival.credential, ClientCertificate)
        )
        status = member.arrival.report.connection_settings_status
        told = bool(row.told)
        if came and row.version is not None and row.version.origin == place and OPAMP in row.told:
            member.events.append(connection.line(MOVED, place=place))
            if row.status == Status.OFFERED and status is None:
                _note_applied(member, connection)
            return
        if status is not None and told and row.offered_lease != member.agent.lease_id:
            # It says that it uses others: tell it all (S-81).
            if status.last_connection_settings_hash.hex() not in (row.offered_hash, member.state.settings_offered_hash):
                _forget(connection)
        elif told and taken_settings.lost_what_it_took(member, self.batch.at):
            _forget(connection)

    def _book(self, member: ReportingAgent, connection: ConnectionOfAgent, row: AgentConnection) -> None:
        """What the agent says of what it was told last (S-81)."""
        status = member.arrival.report.connection_settings_status
        if status is None:
            # A client that was built from an offer does not say so (S-82): it begins anew, or shows the new credential.
            if row.status == Status.OFFERED and member.state.settings_taken_at == self.batch.at:
                _note_applied(member, connection)
            return
        if row.status not in (*_WAITS, Status.FAILED) or status.last_connection_settings_hash.hex() != row.offered_hash:
            return
        if status.status == APPLIED_SETTINGS:
            if row.status == Status.FAILED:
                connection.change(told=row.wanted, failed={})
            _note_applied(member, connection)
        elif status.status == _APPLYING and row.status == Status.OFFERED:
            connection.set_status(Status.APPLYING)
        elif status.status == _FAILED and row.status != Status.FAILED:
            _note_failed(member, connection, row, status)

    def _leave_out_what_it_has(
        self, agent: ReportingAgent, connection: ConnectionOfAgent, row: AgentConnection, content: Content | None
    ) -> None:
        """An agent that is where it should be is not told to go there: taking an offer costs it its client."""
        if content is None or not connection.news.opamp:
            return
        arrived = agent.arrival.settings
        there = (
            arrived is not None
            and is_plain(content)
            and same_place(arrived.endpoint, content[OPAMP]["endpoint"])
            and content[OPAMP]["heartbeat_seconds"] == taken_settings.interval_in_use(agent.state)
        )
        if there or row.by_certificate:
            connection.change(told={**row.told, OPAMP: row.wanted[OPAMP]}, told_version=row.version)
            if not connection.news and row.status == Status.PENDING:
                connection.set_status(Status.APPLIED if there else Status.INCAPABLE)


def _note_applied(member: ReportingAgent, connection: ConnectionOfAgent) -> None:
    if connection.row is not None and not connection.news and connection.set_status(Status.APPLIED):
        connection.change(told_before=connection.row.told, failed={})
        member.events.append(connection.line(APPLIED))


def _note_failed(
    member: ReportingAgent, connection: ConnectionOfAgent, row: AgentConnection, status: ConnectionSettingsStatus
) -> None:
    error = status.error_message[:LONGEST_ERROR]
    connection.change(told=row.told_before, failed=row.wanted)
    connection.set_status(Status.FAILED, error)
    member.events.append(connection.line(FAILED, error=error))


def _forget(connection: ConnectionOfAgent) -> None:
    """The agent has nothing of what it was told."""
    connection.change(told={}, told_before={}, offered_lease="", offered_at=None, offer_count=0)
    if connection.news:
        connection.set_status(Status.PENDING)


def _readable(version: SettingsVersion | None) -> Content | None:
    """``None`` for no version, and for one that no key reads: that is not offered."""
    try:
        return None if version is None else content_of(version)
    except Unreadable:
        return None


def _further(content: Content, news: News, settings_hash: bytes) -> FurtherSettings | None:
    if not (news.telemetry or news.off or news.others):
        return None
    members = dict(members_of(content))
    telemetry = {name: destination_of(members[name]) for name in news.telemetry if name in members}
    telemetry |= {name: Destination() for name in news.off}
    others = {
        name: destination_of(members[f"other_connections.{name}"])
        for name in news.others
        if f"other_connections.{name}" in members
    }
    return FurtherSettings(settings_hash, others=others, **telemetry)


def _due() -> QuerySet[AgentConnection]:
    return AgentConnection.objects.filter(status=Status.PENDING, offered_at=None, agent__connected=True)


def _retry_at(agent: BatchAgent, row: AgentConnection) -> datetime | None:
    says = agent.agent.capabilities & AgentCapabilities.REPORTS_CONNECTION_SETTINGS_STATUS
    if not says or row.status not in _WAITS:
        return None
    return offer_again_at(row.offered_at, row.offer_count, first=FIRST_RETRY, most=MAX_OFFERS)
