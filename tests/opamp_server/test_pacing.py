"""Queues of work: a pause between two pieces, in order, whatever becomes of a piece."""

from __future__ import annotations

import asyncio
import functools
import itertools
import time

import pytest

from opamp_server.pacing import PacedWork, Pacing


def test_there_is_a_pause_between_two_pieces_and_none_before_the_first() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        queue, times = Pacing.of(loop, PacedWork.PARSING), []
        begun = loop.time()
        for _ in range(4):
            queue.add(lambda: times.append(loop.time()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(times) == 1, "others come between"
        while len(times) < 4:
            await asyncio.sleep(0.001)
        assert times[-1] - begun >= 3 * PacedWork.PARSING.value
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert min(pauses) >= PacedWork.PARSING.value - loop._clock_resolution  # type: ignore[attr-defined]
        await asyncio.sleep(2 * PacedWork.PARSING.value)
        queue.add(lambda: times.append(loop.time()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(times) == 5, "whoever comes alone does not wait"

    asyncio.run(body())


def test_handshakes_follow_each_other_at_once_while_nobody_else_needs_the_loop() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        queue, done = Pacing.of(loop, PacedWork.HANDSHAKE), []
        for number in range(4):
            queue.add(functools.partial(done.append, number))
        for turns in range(1, 6):
            await asyncio.sleep(0)
            assert len(done) <= turns, "others come between"
        assert done == [0, 1, 2, 3]

    asyncio.run(body())


def test_handshakes_pause_while_the_loop_is_behind() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        queue, times = Pacing.of(loop, PacedWork.HANDSHAKE), []
        for _ in range(3):
            queue.add(lambda: times.append(time.monotonic()))
        time.sleep(0.01)  # noqa: ASYNC251  somebody else's work
        while len(times) < 2:
            await asyncio.sleep(0)
        assert times[1] - times[0] >= PacedWork.HANDSHAKE.value

    asyncio.run(body())


def test_kinds_and_loops_have_queues_of_their_own() -> None:
    async def queue(kind: PacedWork) -> Pacing:
        return Pacing.of(asyncio.get_running_loop(), kind)

    async def body() -> tuple[Pacing, Pacing, Pacing]:
        return await queue(PacedWork.PARSING), await queue(PacedWork.PARSING), await queue(PacedWork.HANDSHAKE)

    first, same, other = asyncio.run(body())
    assert first is same
    assert first is not other
    assert asyncio.run(queue(PacedWork.PARSING)) is not first


@pytest.mark.parametrize("kind", list(PacedWork))
def test_a_piece_that_fails_or_joins_again_stops_nobody(kind: PacedWork) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        failures: list[object] = []
        loop.set_exception_handler(lambda _loop, context: failures.append(context["exception"]))
        queue, done = Pacing.of(loop, kind), []

        def again() -> None:
            done.append("again")
            if done.count("again") < 3:
                queue.add(again)

        def fails() -> None:
            raise ValueError

        for piece in (fails, again, lambda: done.append("last")):
            queue.add(piece)
        async with asyncio.timeout(10):
            while len(done) < 4:
                await asyncio.sleep(0.001)
        assert done == ["again", "last", "again", "again"]
        assert [type(failure) for failure in failures] == [ValueError]

    asyncio.run(body())


@pytest.mark.parametrize("kind", list(PacedWork))
def test_a_loop_that_was_late_makes_up_for_nothing(kind: PacedWork) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        queue, done = Pacing.of(loop, kind), []
        for number in range(20):
            queue.add(functools.partial(done.append, number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        before = len(done)
        time.sleep(0.1)  # noqa: ASYNC251  a loop that is late
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(done) == before + 1

    asyncio.run(body())
