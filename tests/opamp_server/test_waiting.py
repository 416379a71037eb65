"""The mailbox and the flag of a connection: nothing is lost or overtaken, and who gives up waiting harms nobody."""

from __future__ import annotations

import asyncio

import pytest

from opamp_server.waiting import Mailbox, WakeFlag


async def received(mailbox: Mailbox[int]) -> int:
    """The next event, as a protocol receives it."""
    while mailbox.empty():
        await mailbox.arrival()
    return mailbox.take()


class TestMailbox:
    def test_events_come_in_order(self) -> None:
        async def body() -> list[int]:
            mailbox: Mailbox[int] = Mailbox()
            for number in range(3):
                mailbox.put_nowait(number)
            return [await received(mailbox) for _ in range(3)]

        assert asyncio.run(body()) == [0, 1, 2]

    def test_the_receiver_is_woken(self) -> None:
        async def body() -> None:
            mailbox: Mailbox[int] = Mailbox()
            task = asyncio.create_task(received(mailbox))
            await asyncio.sleep(0)
            assert not task.done()
            mailbox.put_nowait(1)
            mailbox.put_nowait(2)
            assert await task == 1
            assert not mailbox.empty()

        asyncio.run(body())

    def test_an_event_outlives_a_receiver_that_is_cancelled_meanwhile(self) -> None:
        async def body() -> None:
            mailbox: Mailbox[int] = Mailbox()
            task = asyncio.create_task(received(mailbox))
            await asyncio.sleep(0)
            mailbox.put_nowait(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await received(mailbox) == 1

        asyncio.run(body())

    def test_after_a_receiver_gave_up_the_next_one_may_wait(self) -> None:
        async def body() -> None:
            mailbox: Mailbox[int] = Mailbox()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(received(mailbox), 0)
            task = asyncio.create_task(received(mailbox))
            await asyncio.sleep(0)
            mailbox.put_nowait(1)
            assert await task == 1

        asyncio.run(body())

    def test_a_second_receiver_is_a_mistake(self) -> None:
        async def body() -> None:
            mailbox: Mailbox[int] = Mailbox()
            first = asyncio.create_task(received(mailbox))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await received(mailbox)
            mailbox.put_nowait(1)
            assert await first == 1

        asyncio.run(body())


class TestFlag:
    def test_nobody_waits_while_it_is_set(self) -> None:
        asyncio.run(asyncio.wait_for(WakeFlag().wait(), 10))

    def test_all_who_wait_go_on_when_it_is_set(self) -> None:
        async def body() -> None:
            flag = WakeFlag()
            flag.clear()
            flag.clear()
            waiting = [asyncio.create_task(flag.wait()) for _ in range(3)]
            await asyncio.sleep(0)
            assert not flag.is_set()
            assert not any(task.done() for task in waiting)
            waiting[0].cancel()
            await asyncio.sleep(0)
            flag.set()
            assert flag.is_set()
            await asyncio.gather(*waiting[1:])

        asyncio.run(body())
