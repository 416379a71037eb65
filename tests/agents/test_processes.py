"""Which processes live and which one leads, with clocks that differ and jump."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

from agents.models import Leadership, ServerProcess
from agents.services.processes import (
    PATIENCE_SECONDS,
    TERM,
    Beat,
    ProcessWatch,
    beat,
    beats,
    lead,
    retire,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LOOK_SECONDS = 5.0


def beat_of(process_id: str, number: int, *, gone: bool = False) -> Beat:
    """The ``number``-th beat of a process; its clock may be anything."""
    return Beat(process_id, NOW + timedelta(seconds=number), gone)


class TestWatch:
    def looks(self, watch: ProcessWatch, beats_at: list[int], *, begin: float = 1_000.0) -> list[list[str]]:
        """Who is taken for dead at each look, five seconds apart, when process ``p`` shows these beats."""
        return [
            [item.process_id for item in watch.look([beat_of("p", number)], begin + LOOK_SECONDS * look)]
            for look, number in enumerate(beats_at)
        ]

    def test_a_beat_that_stands_still_for_the_whole_patience_is_a_death(self) -> None:
        looks = self.looks(ProcessWatch(), [1, 1, 1, 1, 1, 1])
        assert looks.index(["p"]) == PATIENCE_SECONDS / LOOK_SECONDS
        assert looks[: looks.index(["p"])] == [[], [], [], []]

    def test_a_beat_that_moves_is_life_even_backwards(self) -> None:
        assert not any(self.looks(ProcessWatch(), [100, 99, -5_000, 3, 3, 2, 90_000, 1]))

    def test_a_late_beat_begins_the_patience_anew(self) -> None:
        assert not any(self.looks(ProcessWatch(), [1, 1, 1, 1, 2, 2, 2, 2, 3]))

    def test_a_process_known_to_have_ended_is_dead_at_once(self) -> None:
        dead = beat_of("p", 1, gone=True)
        assert ProcessWatch().look([dead, beat_of("q", 1)], 0.0) == [dead]

    def test_after_a_gap_nobody_is_judged_by_what_was_seen_before(self) -> None:
        watch = ProcessWatch()
        assert not any(self.looks(watch, [1, 1, 1]))
        # The database was away, or this process was paused: the others could not beat either, or we not look.
        assert not any(self.looks(watch, [1, 1, 1, 1], begin=1_100.0))

    def test_it_is_steady_only_after_a_while_without_a_gap(self) -> None:
        watch = ProcessWatch()
        watch.look([], 0.0)
        assert not watch.is_steady(0.0)
        for now in (5.0, 10.0, 15.0):
            watch.look([], now)
        assert watch.is_steady(15.0)
        watch.look([], 60.0)
        assert not watch.is_steady(60.0)

    def test_holders_without_a_row_are_lost_only_when_they_stay_unknown(self) -> None:
        watch = ProcessWatch()
        assert watch.lost_holders({"new", "old"}, 0.0) == []
        assert watch.lost_holders({"old"}, 5.0) == []
        assert watch.lost_holders({"old", "new"}, 10.0) == ["old"]

    def test_holders_are_looked_for_now_and_then_and_while_some_are_unknown(self) -> None:
        watch = ProcessWatch()
        assert [watch.holders_due(now) for now in (0.0, 5.0, 55.0, 60.0, 65.0)] == [True, False, False, True, False]
        watch.lost_holders({"old"}, 120.0)
        assert watch.holders_due(121.0)
        watch.lost_holders(set(), 121.0)
        assert not watch.holders_due(122.0)


@pytest.mark.django_db
class TestLead:
    def holder(self) -> str:
        return Leadership.objects.get().holder

    def test_one_leads_until_its_term_is_over(self) -> None:
        assert lead("a", at=NOW)
        assert not lead("b", at=NOW + TERM / 2)
        assert lead("a", at=NOW + TERM / 2)
        assert not lead("b", at=NOW + TERM)
        assert lead("b", at=NOW + 2 * TERM)
        assert not lead("a", at=NOW + 2 * TERM)
        assert self.holder() == "b"

    def test_who_retires_hands_over_at_once(self) -> None:
        assert lead("a", at=NOW)
        retire("a")
        assert lead("b", at=NOW)

    def test_a_retiring_follower_leaves_the_lead_alone(self) -> None:
        assert lead("a", at=NOW)
        retire("b")
        assert not lead("b", at=NOW)

    @pytest.mark.parametrize("jump", [HOUR, -HOUR])
    def test_a_clock_that_jumps_does_not_stop_the_chores(self, jump: timedelta) -> None:
        # The leader's clock jumped, it led, and died: the others' clocks are right.
        assert lead("a", at=NOW + jump)
        assert lead("b", at=NOW + timedelta(seconds=5))
        assert not lead("a", at=NOW + timedelta(seconds=6))


@pytest.mark.django_db
class TestBeat:
    def test_the_first_beat_has_no_row_yet_and_a_lost_row_is_noticed(self) -> None:
        assert not beat("a", started_at=NOW, at=NOW)
        assert beat("a", started_at=NOW, at=NOW + HOUR)
        assert [(item.process_id, item.beat_at, item.gone) for item in beats()] == [("a", NOW + HOUR, False)]
        ServerProcess.objects.all().delete()
        assert not beat("a", started_at=NOW, at=NOW + 2 * HOUR)

    def test_a_process_id_says_something_only_on_its_own_machine(self) -> None:
        beat("here", started_at=NOW, at=NOW)
        free = _free_process_id()
        ServerProcess.objects.filter(id="here").update(pid=free)
        row = ServerProcess.objects.get(id="here")
        ServerProcess.objects.create(
            id="there", hostname=row.hostname, machine="another boot", pid=free, started_at=NOW, beat_at=NOW
        )
        assert {item.process_id: item.gone for item in beats()} == {"here": True, "there": False}


def _free_process_id() -> int:
    """An id that a process had which is gone."""
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    return child


class TestJump:
    """Of the clock that deadlines are set by, as each process notices it with its own beat."""

    def watching(self, *jumps: float, until: float) -> list[tuple[float, bool, bool]]:
        """Looks five seconds apart, with jumps noticed just before some: when, whether steady, whether renewing."""
        watch, found, now = ProcessWatch(), [], 0.0
        while now <= until:
            if now in jumps:
                watch.note_jump(now)
            watch.look([], now)
            # As the leader asks: the renewal first.
            due = watch.renewal_due(now)
            found.append((now, watch.is_steady(now), due))
            now += LOOK_SECONDS
        return found

    def test_deadlines_are_renewed_once_before_anybody_is_expired_again(self) -> None:
        looks = self.watching(30.0, until=120.0)
        assert [now for now, _steady, due in looks if due] == [45.0]
        assert [now for now, steady, _due in looks if not steady] == [0.0, 5.0, 10.0, 30.0, 35.0, 40.0]

    def test_each_jump_begins_the_wait_anew(self) -> None:
        assert [now for now, _steady, due in self.watching(30.0, 40.0, until=120.0) if due] == [55.0]

    def test_who_begins_to_lead_long_after_it_renews_nothing(self) -> None:
        watch = ProcessWatch()
        watch.note_jump(0.0)
        assert not watch.renewal_due(61.0)

    def test_it_is_remembered_for_as_long_as_asked(self) -> None:
        watch = ProcessWatch()
        assert not watch.jumped_within(300.0, 0.0)
        watch.note_jump(10.0)
        assert [watch.jumped_within(300.0, now) for now in (10.0, 309.0, 311.0)] == [True, True, False]
