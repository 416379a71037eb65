"""Leases that expire, are released, and are taken back; deadlines under clocks that jump."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent, AgentEvent, AgentPresence, ConnectionRecord, ServerProcess, Transport
from agents.reports import StatusReport
from agents.services.arrivals import DEFAULT_INTERVAL, Arrival, Lease, http_expiry
from agents.services.leases import (
    Claim,
    Sighting,
    expire_agents,
    expire_process,
    note_sightings,
    reclaim,
    release_leases,
    renew_deadlines,
)
from agents.services.processes import beat, unknown_holders
from opamp_transport.batch import process_reports

pytestmark = pytest.mark.django_db
Report = Callable[..., Agent]


def lease_of(agent: Agent) -> Lease:
    """The lease under which the ``report`` fixture let an agent speak."""
    return Lease(f"ws-{agent.instance_uid.hex}", "test", Transport.WEBSOCKET, "127.0.0.1")


def polled(agent: Agent, *, at: datetime) -> Agent:
    """The agent speaks over plain HTTP."""
    lease = Lease("", "test", Transport.HTTP, "127.0.0.1")
    process_reports([Arrival(StatusReport(instance_uid=agent.instance_uid, sequence_num=1), lease)], at=at)
    agent.refresh_from_db()
    return agent


def beating(at: datetime) -> None:
    """The process ``test`` lives."""
    beat("test", started_at=at, at=at)


class TestDeadProcesses:
    def test_its_agents_are_disconnected_and_its_row_goes(self, report: Report) -> None:
        now = timezone.now()
        agent = report()
        beating(now)
        assert expire_process("test", beat_at=now, at=now) == 1
        agent.refresh_from_db()
        assert not agent.connected
        assert not ServerProcess.objects.exists()
        assert ConnectionRecord.objects.get(agent=agent).reason == "server process lost"

    def test_one_that_has_beaten_since_keeps_its_agents(self, report: Report) -> None:
        now = timezone.now()
        agent = report()
        beating(now)
        beating(now + timedelta(seconds=5))
        assert expire_process("test", beat_at=now, at=now) == 0
        agent.refresh_from_db()
        assert agent.connected

    def test_a_holder_without_a_row_loses_them_unless_it_got_one_meanwhile(self, report: Report) -> None:
        now = timezone.now()
        agent = report()
        assert unknown_holders() == {"test"}
        beating(now)
        assert unknown_holders() == set()
        assert expire_process("test", beat_at=None, at=now) == 0
        ServerProcess.objects.all().delete()
        assert expire_process("test", beat_at=None, at=now) == 1
        agent.refresh_from_db()
        assert not agent.connected


class TestReclaim:
    def test_a_connection_that_lives_takes_its_agents_back(self, report: Report) -> None:
        now = timezone.now()
        agent = report()
        expire_process("test", beat_at=None, at=now)
        assert reclaim([Claim(agent.pk, lease_of(agent))], at=now) == [agent.pk]
        agent.refresh_from_db()
        assert (agent.connected, agent.lease_process, agent.disconnected_at) == (True, "test", None)
        assert agent.lease_id == lease_of(agent).id
        assert list(ConnectionRecord.objects.filter(agent=agent).values_list("reason", flat=True)) == [
            "",
            "server process lost",
        ]
        last = AgentEvent.objects.filter(agent=agent).first()
        assert last is not None
        assert (last.kind, last.data["resumed"]) == (AgentEvent.Kind.CONNECTED, True)

    def test_not_one_that_is_elsewhere_now(self, report: Report) -> None:
        now = timezone.now()
        agent = report()
        expire_process("test", beat_at=None, at=now)
        polled(agent, at=now)
        assert reclaim([Claim(agent.pk, lease_of(agent))], at=now) == []

    def test_not_one_that_was_released_or_took_its_leave(self, report: Report) -> None:
        now = timezone.now()
        released, gone = report("released"), report("gone")
        expire_process("test", beat_at=None, at=now)
        assert release_leases([lease_of(released).id], reason="connection closed", at=now) == 0
        goodbye = StatusReport(instance_uid=gone.instance_uid, sequence_num=1, agent_disconnect=True)
        process_reports([Arrival(goodbye, lease_of(gone))], at=now)
        claims = [Claim(agent.pk, lease_of(agent)) for agent in (released, gone)]
        assert reclaim(claims, at=now) == []


class TestSightings:
    def test_agents_heard_although_disconnected_are_named(self, report: Report) -> None:
        now = timezone.now() + timedelta(seconds=1)
        lost, fine, gone = report("lost"), report("fine"), report("gone")
        Agent.objects.filter(pk=lost.pk).update(connected=False)
        sightings = [
            Sighting(agent.pk, now, 2**64 - 1, agent.lease_id, DEFAULT_INTERVAL) for agent in (lost, fine, gone)
        ]
        gone.delete()
        noted = note_sightings(sightings, at=now)
        assert (noted.written, noted.displaced) == (1, frozenset({lost.pk}))
        presence = AgentPresence.objects.get(agent=fine)
        assert (presence.sequence_num, presence.last_seen_at, presence.expires_at) == (2**64 - 1, now, None)

    def test_a_row_of_the_future_is_no_later_word(self, report: Report) -> None:
        now = timezone.now()
        agent = report()
        AgentPresence.objects.filter(agent=agent).update(last_seen_at=now + timedelta(hours=1), sequence_num=3)
        assert note_sightings([Sighting(agent.pk, now, 8, agent.lease_id, DEFAULT_INTERVAL)], at=now).written == 1
        presence = AgentPresence.objects.get(agent=agent)
        assert (presence.sequence_num, presence.last_seen_at) == (8, now)

    def test_of_two_words_at_nearly_the_same_time_the_higher_number_is_the_later(self, report: Report) -> None:
        """Processes read the database's clock at different moments; a lower number would look like a gap afterwards."""
        now = timezone.now()
        agent = report()
        AgentPresence.objects.filter(agent=agent).update(last_seen_at=now, sequence_num=9)
        moment = now + timedelta(milliseconds=20)
        assert note_sightings([Sighting(agent.pk, moment, 8, agent.lease_id, DEFAULT_INTERVAL)], at=moment).written == 0
        assert AgentPresence.objects.get(agent=agent).sequence_num == 9
        # An agent that began anew counts from the start: it takes longer to be here again.
        later = now + timedelta(seconds=5)
        assert note_sightings([Sighting(agent.pk, later, 1, agent.lease_id, DEFAULT_INTERVAL)], at=later).written == 1

    def test_another_process_that_heard_it_a_moment_later_is_right(self, report: Report) -> None:
        now = timezone.now()
        agent = report()
        AgentPresence.objects.filter(agent=agent).update(last_seen_at=now + timedelta(seconds=2), sequence_num=9)
        assert note_sightings([Sighting(agent.pk, now, 8, agent.lease_id, DEFAULT_INTERVAL)], at=now).written == 0


class TestDeadlines:
    def test_a_clock_that_jumped_forwards_leaves_no_deadline_far_away(self, report: Report) -> None:
        now = timezone.now()
        agent = polled(report(), at=now + timedelta(hours=5))
        assert expire_agents(at=now) == 0
        assert AgentPresence.objects.get(agent=agent).expires_at == http_expiry(now, DEFAULT_INTERVAL)
        assert expire_agents(at=http_expiry(now, DEFAULT_INTERVAL) + timedelta(seconds=1)) == 1

    def test_clocks_that_differ_a_little_are_no_jump(self, report: Report) -> None:
        now = timezone.now()
        agent = polled(report(), at=now + timedelta(seconds=30))
        expire_agents(at=now)
        assert AgentPresence.objects.get(agent=agent).expires_at == http_expiry(
            now + timedelta(seconds=30), DEFAULT_INTERVAL
        )

    def test_after_a_jump_the_next_poll_connects_again(self, report: Report) -> None:
        now = timezone.now()
        agent = polled(report(), at=now)
        assert expire_agents(at=now + timedelta(days=1)) == 1
        assert polled(agent, at=now + timedelta(seconds=30)).connected

    def test_a_silent_websocket_agent_has_no_deadline(self, report: Report) -> None:
        report()
        assert expire_agents(at=timezone.now() + timedelta(days=10)) == 0

    def test_while_nobody_is_overdue_no_agent_is_looked_at(self, report: Report) -> None:
        polled(report(), at=timezone.now())
        with CaptureQueriesContext(connection) as queries:
            assert expire_agents(at=timezone.now()) == 0
        assert not any('FROM "agents_agent"' in query["sql"] for query in queries)

    @pytest.mark.parametrize("jump", [timedelta(days=40), timedelta(hours=1), -timedelta(hours=1)])
    def test_renewed_after_a_jump_they_are_as_far_away_as_was_promised(self, report: Report, jump: timedelta) -> None:
        now = timezone.now()
        promises = {"usual": 3 * DEFAULT_INTERVAL, "short": timedelta(seconds=6)}
        agents = {name: polled(report(name), at=now) for name in promises}
        for name, promise in promises.items():
            AgentPresence.objects.filter(agent=agents[name]).update(last_seen_at=now, expires_at=now + promise)
        after = now + jump
        assert renew_deadlines(at=after) == 2
        for name, promise in promises.items():
            presence = AgentPresence.objects.get(agent=agents[name])
            assert (presence.expires_at, presence.last_seen_at) == (after + promise, min(now, after))
        assert expire_agents(at=after) == 0
        assert expire_agents(at=after + timedelta(seconds=7)) == 1

    def test_a_promise_that_cannot_be_read_is_the_longest(self, report: Report) -> None:
        now = timezone.now()
        agent = polled(report(), at=now)
        AgentPresence.objects.filter(agent=agent).update(last_seen_at=now + timedelta(hours=1), expires_at=now)
        renew_deadlines(at=now)
        assert AgentPresence.objects.get(agent=agent).expires_at == http_expiry(now, DEFAULT_INTERVAL)

    def test_who_is_gone_or_on_a_socket_has_none_to_renew(self, report: Report) -> None:
        report("socket")
        gone = polled(report("gone"), at=timezone.now())
        Agent.objects.filter(pk=gone.pk).update(connected=False)
        assert renew_deadlines(at=timezone.now()) == 0
