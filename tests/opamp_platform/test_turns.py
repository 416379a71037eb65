"""Rows of work: one piece in each turn of the loop, in order, whatever becomes of a piece."""

from __future__ import annotations

import asyncio

from opamp_platform.peers.turns import Turns


def test_one_piece_in_each_turn_of_the_loop() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        row, done = Turns.of(loop, "test"), []
        for number in range(3):
            row.join(lambda number=number: done.append(number))  # type: ignore[misc]
        seen = []
        for _ in range(4):
            seen.append(list(done))
            await asyncio.sleep(0)
        assert seen == [[], [0], [0, 1], [0, 1, 2]]

    asyncio.run(body())


def test_kinds_and_loops_have_rows_of_their_own() -> None:
    async def row(kind: str) -> Turns:
        return Turns.of(asyncio.get_running_loop(), kind)

    async def body() -> tuple[Turns, Turns, Turns]:
        return await row("one"), await row("one"), await row("other")

    first, same, other = asyncio.run(body())
    assert first is same
    assert first is not other
    assert asyncio.run(row("one")) is not first


def test_a_piece_that_fails_or_joins_again_stops_nobody() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        failures: list[object] = []
        loop.set_exception_handler(lambda _loop, context: failures.append(context["exception"]))
        row, done = Turns.of(loop, "test"), []

        def again() -> None:
            done.append("again")
            if done.count("again") < 3:
                row.join(again)

        def fails() -> None:
            raise ValueError

        for piece in (fails, again, lambda: done.append("last")):
            row.join(piece)
        for _ in range(8):
            await asyncio.sleep(0)
        assert done == ["again", "last", "again", "again"]
        assert [type(failure) for failure in failures] == [ValueError]

    asyncio.run(body())
