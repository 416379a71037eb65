"""Chores that something has just happened for: done soon, once for all that happened, and by the process that leads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from foundation import hastening, wakeups
from foundation.chores import Chore
from foundation.hastening import hasten, let_hasten
from opamp_transport.hastened_chores import HastenedChores
from tests.fake_agent import run

CHORE = Chore("counted", 60, lambda _at: 0)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hastening, "_hastened", {})
    monkeypatch.setattr(hastening, "_wanted_in", {})
    let_hasten("counted", soonest=0.05)


async def times_run(
    body: Callable[[], Awaitable[None]], *, leads: bool = True, takes: float = 0.0, wishes: list[float] | None = None
) -> list[float]:
    """When the chore was done while ``body`` ran; with each time it asks for the next of ``wishes``."""
    done: list[float] = []
    left = iter(wishes or ())

    async def do(_chore: Chore) -> None:
        done.append(time.monotonic())
        if (wish := next(left, None)) is not None:
            hastening.want_again_in("counted", wish)
        await asyncio.sleep(takes)

    here = HastenedChores(lambda: leads)
    wakeups.attach(print, origin="here", hastened=here.note)
    seconds, name, paced = here.paced(CHORE, do)
    assert (seconds, name) == (0.0, "counted")

    async def for_ever() -> None:
        while True:
            await paced()

    task = asyncio.ensure_future(for_ever())
    await asyncio.sleep(0)
    try:
        await body()
    finally:
        task.cancel()
        wakeups.detach(print)
    return done


def test_it_is_done_soon_and_once_for_a_storm() -> None:
    async def body() -> None:
        await asyncio.sleep(0.1)
        for _ in range(1_000):
            hasten("counted")
            hasten("another")
        await asyncio.sleep(0.2)

    first, second = run(times_run(body))
    assert 0.09 < second - first < 0.3


def test_what_happens_while_it_runs_is_not_forgotten_and_it_rests_as_long_as_it_took_many_times() -> None:
    async def body() -> None:
        await asyncio.sleep(0.01)
        hasten("counted")
        await asyncio.sleep(0.4)

    first, second = run(times_run(body, takes=0.03))
    assert second - first >= 0.03 * 10


def test_nothing_happened_and_it_comes_at_its_time() -> None:
    async def body() -> None:
        await asyncio.sleep(0.2)

    assert len(run(times_run(body))) == 1
    plain = Chore("plain", 7, lambda _at: 0)
    assert HastenedChores(lambda: True).paced(plain, None)[:2] == (7, "plain")


def test_it_is_done_when_it_said_that_there_is_something_to_do() -> None:
    """Each wish counts once; what is wanted later than the chore's time, or before it has rested, changes nothing."""

    async def body() -> None:
        await asyncio.sleep(0.5)

    first, second, third = run(times_run(body, wishes=[0.15, 0.0]))
    assert second - first >= 0.15
    assert third - second >= 0.05
    assert len(run(times_run(body, wishes=[90.0]))) == 1


def test_a_chore_that_cannot_be_hastened_wishes_nothing() -> None:
    hastening.want_again_in("another", 1)
    assert hastening.taken_wish("another") is None


def test_the_leading_process_hears_of_it(monkeypatch: pytest.MonkeyPatch, settings) -> None:
    """One that does not lead tells the others, once a second at most; what it sends itself comes back and is nobody's."""
    settings.REDIS_URL = "redis://nobody"
    sent: list[dict[str, object]] = []

    async def broadcast(_group: str, message: dict[str, object]) -> bool:
        sent.append(message)
        return True

    monkeypatch.setattr(wakeups, "broadcast", broadcast)

    async def elsewhere() -> None:
        for _ in range(10):
            hasten("counted")
            await asyncio.sleep(0.01)
        wakeups._receive_message({**sent[0], "origin": "another"})
        await asyncio.sleep(0.1)

    assert len(run(times_run(elsewhere, leads=False))) == 1
    assert [(message["type"], message["name"]) for message in sent] == [("opamp.chore", "counted")]

    async def here() -> None:
        await asyncio.sleep(0.1)
        wakeups._receive_message({**sent[0], "origin": "another"})
        wakeups._receive_message({**sent[0], "origin": "another", "name": None})
        await asyncio.sleep(0.1)
        wakeups._receive_message({**sent[0], "origin": "here"})
        await asyncio.sleep(0.1)

    assert len(run(times_run(here))) == 2


def test_nobody_is_there() -> None:
    hasten("counted")
