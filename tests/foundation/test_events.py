"""Who is told of what, when: after the commit, in order, and nobody suffers from anybody."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from foundation.events import Event, publish
from tests.subscriptions import subscribed

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True, slots=True)
class Said(Event):
    """Something that tests say."""

    text: str


@dataclass(frozen=True, slots=True)
class SaidLoudly(Said):
    """A subclass, which is a kind of its own."""


@dataclass(frozen=True, slots=True)
class Done(Event):
    """Another kind."""

    number: int


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction, or a savepoint in one, that ends with an error which goes no further."""

    class Aborted(Exception):
        pass

    with suppress(Aborted), transaction.atomic():
        yield
        raise Aborted


@pytest.fixture
def calls() -> Iterator[list[list[str]]]:
    """What a subscriber to `Said` was called with."""
    found: list[list[str]] = []

    def receive(events: Sequence[Said]) -> None:
        found.append([event.text for event in events])

    with subscribed((Said, receive)):
        yield found


def say(*texts: str) -> None:
    publish(Said, [Said(text) for text in texts])


class TestAfterTheCommit:
    def test_a_transactions_events_come_together_and_in_order(self, calls: list[list[str]]) -> None:
        with transaction.atomic():
            say("1", "2")
            with transaction.atomic(savepoint=False):
                say("3")
            say("4")
            assert not calls
        assert calls == [["1", "2", "3", "4"]]

    def test_without_a_transaction_they_come_at_once(self, calls: list[list[str]]) -> None:
        say("1")
        say("2")
        assert calls == [["1"], ["2"]]

    def test_of_a_transaction_that_is_rolled_back_nobody_hears(self, calls: list[list[str]]) -> None:
        with rolled_back():
            say("lost")
        assert not calls
        with transaction.atomic():
            say("kept")
        assert calls == [["kept"]]

    def test_the_same_when_the_commit_itself_fails(self, calls: list[list[str]]) -> None:
        @transaction.atomic
        def write() -> None:
            Group.permissions.through.objects.create(group_id=123_456, permission_id=123_456)
            say("lost")

        # Foreign keys are checked with the commit.
        with pytest.raises(IntegrityError):
            write()
        assert not calls

    def test_of_a_savepoint_that_is_rolled_back_nobody_hears(self, calls: list[list[str]]) -> None:
        with transaction.atomic():
            say("1")
            with rolled_back():
                say("lost")
                with transaction.atomic():
                    say("lost too")
            say("2")
        assert calls == [["1", "2"]]

    def test_a_released_savepoint_keeps_its_place(self, calls: list[list[str]]) -> None:
        with transaction.atomic():
            say("1")
            with transaction.atomic():
                say("2")
            say("3")
            with transaction.atomic():
                say("4")
        assert [text for call in calls for text in call] == ["1", "2", "3", "4"]

    def test_in_the_committing_thread_outside_the_transaction(self) -> None:
        found: list[tuple[bool, bool]] = []

        def receive(_events: Sequence[Said]) -> None:
            found.append((connection.in_atomic_block, Group.objects.filter(name="written").exists()))

        with subscribed((Said, receive)), transaction.atomic():
            say("1")
            Group.objects.create(name="written")
        assert found == [(False, True)]

    def test_what_was_handed_over_takes_nothing_more(
        self, calls: list[list[str]], django_capture_on_commit_callbacks: Callable[..., Any]
    ) -> None:
        with transaction.atomic():
            for text in "12":
                # As tests do within a transaction of their own.
                with django_capture_on_commit_callbacks(execute=True):
                    say(text)
        assert calls == [["1"], ["2"]]

    @given(st.recursive(st.just("event"), lambda steps: st.tuples(st.booleans(), st.lists(steps, max_size=4))))
    def test_whatever_is_nested_what_was_committed_comes_once_and_in_order(self, program: Any) -> None:
        found: list[str] = []
        numbers = iter(range(1_000_000))

        def run(step: Any) -> list[str]:
            """Do a step; what of it should be told if everything around it is committed."""
            if step == "event":
                say(text := str(next(numbers)))
                return [text]
            keeps, steps = step
            with transaction.atomic() if keeps else rolled_back():
                kept = [text for inner in steps for text in run(inner)]
            return kept if keeps else []

        def receive(events: Sequence[Said]) -> None:
            found.extend(event.text for event in events)

        with subscribed((Said, receive)):
            assert run(program) == found


class TestWhoIsTold:
    def test_subscribers_to_exactly_this_kind(self, calls: list[list[str]]) -> None:
        loud: list[str] = []
        numbers: list[int] = []
        with (
            subscribed(
                (SaidLoudly, lambda events: loud.extend(event.text for event in events)),
                (Done, lambda events: numbers.extend(event.number for event in events)),
            ),
            transaction.atomic(),
        ):
            publish(SaidLoudly, [SaidLoudly("loud")])
            say("plain")
            publish(Done, [Done(1)])
            publish(SaidLoudly, [SaidLoudly("loud again")])
        assert (calls, loud, numbers) == ([["plain"]], ["loud", "loud again"], [1])

    def test_in_the_order_in_which_they_subscribed_and_each_once(self) -> None:
        found: list[str] = []

        def first(_events: Sequence[Said]) -> None:
            found.append("first")

        def second(_events: Sequence[Said]) -> None:
            found.append("second")

        with subscribed((Said, first), (Said, second), (Said, first)):
            say("1")
        assert found == ["first", "second"]
        say("2")
        assert found == ["first", "second"]

    def test_nothing_is_made_for_nobody(self) -> None:
        def events() -> Iterator[Said]:
            pytest.fail("somebody asked for the events")
            yield Said("")  # type: ignore[unreachable]

        with transaction.atomic():
            publish(Said, events())
            assert not connection.run_on_commit

    def test_nor_is_anybody_called_for_nothing(self, calls: list[list[str]]) -> None:
        publish(Said, [])
        assert not calls

    def test_what_a_subscriber_publishes_comes_when_everybody_has_had_the_events_at_hand(self) -> None:
        found: list[tuple[str, list[str]]] = []

        def answering(events: Sequence[Said]) -> None:
            found.append(("answering", [event.text for event in events]))
            if events[0].text == "question":
                with transaction.atomic():
                    Group.objects.create(name="of the subscriber")
                    say("answer")

        def listening(events: Sequence[Said]) -> None:
            found.append(("listening", [event.text for event in events]))

        with subscribed((Said, answering), (Said, listening)):
            say("question")
        assert found == [
            ("answering", ["question"]),
            ("listening", ["question"]),
            ("answering", ["answer"]),
            ("listening", ["answer"]),
        ]
        assert Group.objects.filter(name="of the subscriber").exists()


def failing_with(error: Exception) -> Callable[[Sequence[Said]], None]:
    def failing(_events: Sequence[Said]) -> None:
        raise error

    return failing


class TestASubscriberThatRaises:
    @pytest.mark.parametrize("error", [ValueError("mine"), transaction.TransactionManagementError("mine")])
    def test_harms_nobody(
        self, error: Exception, calls: list[list[str]], caplog: pytest.LogCaptureFixture
    ) -> None:  # fmt: skip
        failing, after = failing_with(error), []
        with subscribed((Said, failing), (Said, after.append)):
            with transaction.atomic():
                Group.objects.create(name="written")
                say("1")
                transaction.on_commit(lambda: after.append("another hook"))  # type: ignore[arg-type]
            assert calls == [["1"]]
            assert after == [(Said("1"),), "another hook"]
            assert Group.objects.filter(name="written").exists()
            say("2")
        assert calls == [["1"], ["2"]]
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert record.exc_info is not None
        assert record.exc_info[1] is error
        assert record.__dict__["subscriber"].endswith("failing_with.<locals>.failing")

    def test_is_logged_the_first_the_tenth_the_hundredth_time(self, caplog: pytest.LogCaptureFixture) -> None:
        class OfThisTest(Exception):
            pass

        with subscribed((Said, partial(failing_with(OfThisTest())))):
            for _ in range(120):
                say("1")
        assert [record.__dict__["times"] for record in caplog.records] == [1, 10, 100]

    def test_cannot_change_what_the_next_one_gets(self) -> None:
        def clearing(events: Sequence[Said]) -> None:
            events.clear()  # type: ignore[attr-defined]

        found: list[Sequence[Said]] = []
        with subscribed((Said, clearing), (Said, found.append)):
            say("1")
        assert found == [(Said("1"),)]
