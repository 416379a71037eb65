"""Two agents under one uid: the decisions as tables, and two processes that share nothing but the rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agents.instance_uids import new_instance_uid
from agents.models import Agent, AgentEvent, DuplicateUid, Transport
from agents.reports import AgentDescription, StatusReport
from agents.services import duplicate_uids
from agents.services.arrivals import DEFAULT_INTERVAL, Arrival, Lease
from agents.services.duplicate_uids import (
    GRACE,
    after_return,
    after_successor,
    are_two_agents,
    is_second_agent,
    next_series,
    speaks_alone,
)
from agents.services.leases import Sighting, note_sightings, release_leases
from opamp_transport.batch import Processed, answer_wakeups, process_reports

START = datetime(2026, 1, 1, tzinfo=UTC)


def displaced(last: int, first: int) -> DuplicateUid:
    """One connection displaced by another."""
    return DuplicateUid(
        stage="connections", lease_id="ws-a", sequence_num=last, successor_sequence_num=first, displaced_at=START
    )


def after(known: DuplicateUid | None, fields: duplicate_uids.Fields) -> DuplicateUid:
    """The same with these fields changed."""
    known = known or DuplicateUid()
    for name, value in fields.items():
        setattr(known, name, value)
    return known


def returned(known: DuplicateUid, number: int, at: datetime) -> DuplicateUid:
    """The displaced connection spoke."""
    return after(known, after_return(known, number, at))


def answered(known: DuplicateUid) -> DuplicateUid:
    """The other connection spoke."""
    return after(known, after_successor())


@pytest.mark.rule("S-31", "S-32")
class TestReturns:
    @pytest.mark.parametrize(
        ("last", "first", "number", "foreign"),
        [
            pytest.param(5, 9, 6, False, id="between: sent before the reconnect"),
            pytest.param(5, 9, 8, False, id="the last before the reconnect"),
            pytest.param(5, 9, 9, True, id="the number the other began with"),
            pytest.param(5, 9, 40, True, id="beyond it"),
            pytest.param(5, 6, 6, True, id="nothing can have been under way"),
            pytest.param(50, 0, 51, False, id="the other counts from the start: a restart, or a clone"),
            pytest.param(0, 0, 1, False, id="both count from the start"),
            pytest.param(2**64 - 2, 2**64 - 1, 3, True, id="64 bits"),
        ],
    )
    def test_numbers_of_another_counter_prove_it_with_the_first_return(
        self, last: int, first: int, number: int, foreign: bool
    ) -> None:
        assert are_two_agents(returned(displaced(last, first), number, START)) is foreign

    def test_otherwise_speech_must_alternate_twice_and_late(self) -> None:
        late = START + GRACE
        known = returned(displaced(5, 9), 6, START)
        assert not are_two_agents(returned(known, 7, late))
        known = returned(answered(returned(displaced(5, 9), 6, START)), 7, START)
        assert not are_two_agents(known)
        assert are_two_agents(returned(answered(known), 8, late))

    def test_a_return_that_the_other_does_not_answer_twice_is_the_agent(self) -> None:
        late = START + GRACE
        assert not speaks_alone(returned(returned(displaced(5, 9), 6, START), 7, START))
        assert speaks_alone(returned(returned(displaced(5, 9), 6, late), 7, late))
        assert not speaks_alone(returned(answered(returned(displaced(5, 9), 6, late)), 7, late))

    @pytest.mark.django_db
    def test_what_is_remembered_is_kept_as_it_is(self) -> None:
        agent = Agent.objects.create(instance_uid=new_instance_uid(), name="a")
        known = returned(displaced(2**64 - 2, 2**64 - 1), 3, START + GRACE)
        known.agent = agent
        known.save()
        kept = DuplicateUid.objects.get(agent=agent)
        fields = [field.name for field in DuplicateUid._meta.concrete_fields]
        assert {name: getattr(kept, name) for name in fields} == {name: getattr(known, name) for name in fields}


@pytest.mark.rule("S-31", "S-32")
class TestSeries:
    @staticmethod
    def proven(*spoken: tuple[str, int]) -> bool:
        """Whether the last speaker is proven to be a second agent; ``x`` spoke number 5 before."""
        known: DuplicateUid | None = None
        address, last = "x", 5
        for speaker, number in spoken:
            if speaker != address:
                fields = next_series(
                    known, address=speaker, sequence_num=number, known_address=address, known_sequence_num=last
                )
                known = after(known, fields)
            address, last = speaker, number
        return known is not None and is_second_agent(known, address)

    def test_two_counters_in_turn_are_two_agents(self) -> None:
        assert self.proven(("y", 70), ("x", 6), ("y", 71), ("x", 7), ("y", 72))

    @pytest.mark.parametrize(
        "spoken",
        [
            pytest.param([("y", 6), ("x", 7), ("y", 8), ("x", 9), ("y", 10)], id="one counter from two addresses"),
            pytest.param([("y", 0), ("x", 6), ("y", 1), ("y", 2)], id="a restart elsewhere, one message late"),
            pytest.param([("y", 70), ("x", 6), ("y", 71)], id="too early to say"),
            pytest.param([("y", 70), ("x", 6), ("y", 71), ("x", 7)], id="the earlier one keeps the uid"),
        ],
    )
    def test_anything_else_is_one_agent(self, spoken: list[tuple[str, int]]) -> None:
        assert not self.proven(*spoken)


class Process:
    """One server process as far as the rows know it, with one connection."""

    def __init__(self, name: str, opened_at: datetime) -> None:
        self.lease = Lease(f"ws-{name}", f"process-{name}", Transport.WEBSOCKET, f"address-{name}", opened_at)
        self.spoken = 0

    def hear(self, agent: StatusReport, at: datetime) -> Processed:
        """One report on its connection."""
        arrival = Arrival(agent, self.lease, claimed=self.spoken > 0, first_word=self.spoken == 0)
        self.spoken += 1
        [processed] = process_reports([arrival], at=at)
        return processed


@pytest.mark.django_db(transaction=True)
@pytest.mark.rule("S-31", "S-34", transport="websocket")
class TestTwoProcesses:
    """Each knows its own connection; the lease in the row is the truth."""

    def speak(self, number: int) -> StatusReport:
        """A message of either agent."""
        return StatusReport(self.uid, number, 1, AgentDescription({}, {}))

    @pytest.fixture(autouse=True)
    def _two(self) -> None:
        self.uid = new_instance_uid()
        self.one, self.two = Process("one", START), Process("two", START + timedelta(seconds=1))

    def test_the_second_gets_a_uid_and_the_first_keeps_its_own(self) -> None:
        at = START + timedelta(minutes=1)
        self.one.hear(self.speak(3), at)
        self.two.hear(self.speak(80), at)
        assert not self.one.hear(self.speak(200), at).owned
        processed = self.two.hear(self.speak(81), at)
        assert processed.reassigned
        assert processed.reply is not None
        assert processed.reply.new_instance_uid not in {None, self.uid}
        row = Agent.objects.get(instance_uid=self.uid)
        assert (row.lease_id, row.lease_process, row.remote_address) == ("ws-one", "process-one", "address-one")
        assert row.duplicate_uid.stage == DuplicateUid.Stage.TOLD_APART
        # Its number would continue the other's, whose state is stored.
        heard = self.one.hear(StatusReport(self.uid, 82, 1), at)
        assert heard.owned
        assert heard.reply is not None
        assert heard.reply.report_full_state
        assert not DuplicateUid.objects.exists()
        data = AgentEvent.objects.get(kind="identity").data
        assert (data["kept"], data["moved"]) == ("address-one", "address-two")

    def test_a_connection_opened_before_the_clock_was_put_back_is_the_older_one(self) -> None:
        self.one.hear(self.speak(0), START)
        put_back = START - timedelta(hours=1)
        new = Process("new", put_back)
        assert new.hear(self.speak(1), put_back).owned
        assert Agent.objects.get(instance_uid=self.uid).lease_id == "ws-new"
        assert not self.one.hear(self.speak(2), put_back).owned

    def test_a_process_learns_from_the_rows_that_its_heartbeats_are_not_the_agents_any_more(self) -> None:
        self.one.hear(self.speak(0), START)
        row = Agent.objects.get(instance_uid=self.uid)
        heard = Sighting(row.pk, START + timedelta(seconds=5), 4, "ws-one", DEFAULT_INTERVAL)
        assert note_sightings([heard], at=START) == (1, frozenset())
        self.two.hear(self.speak(5), START + timedelta(seconds=3))
        assert note_sightings([heard], at=START) == (0, frozenset({row.pk}))
        row.refresh_from_db()
        assert (row.lease_id, row.presence.sequence_num) == ("ws-two", 5)
        assert answer_wakeups({self.uid: self.one.lease}, at=START)[self.uid].owned is False

    def test_an_old_socket_that_spoke_late_and_closed_is_no_duplicate(self) -> None:
        at = START + timedelta(minutes=1)
        self.one.hear(self.speak(0), at)
        self.two.hear(self.speak(9), at)
        self.one.hear(self.speak(40), at)
        assert DuplicateUid.objects.get().returns == 1
        assert release_leases(["ws-one"], reason="connection closed", at=at) == 0
        assert not DuplicateUid.objects.exists()
        processed = self.two.hear(self.speak(10), at)
        assert (processed.owned, processed.reassigned) == (True, False)
        assert Agent.objects.get(instance_uid=self.uid).connected
