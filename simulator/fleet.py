"""A fleet of simulated agents in one process: who they are, when they connect, how they stop."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from simulator.agent import SimulatedAgent
from simulator.clients import Client, HttpClient, Server, WebSocketClient
from simulator.collector import varied_collector
from simulator.tally import Tally

STOP_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What to simulate. The same ``seed`` makes the same agents, with the same failures. Times are seconds."""

    server: Server
    over_http: bool
    count: int
    labels: Mapping[str, str]
    seed: int
    heartbeat_seconds: float
    apply_seconds: float
    fail_share: float
    connects_per_second: float


class SimulatedFleet:
    """Runs a plan until it is told to stop; ``tally`` is live."""

    def __init__(self, plan: FleetPlan) -> None:
        self.plan = plan
        self.tally = Tally(plan.count)
        self._clients: list[Client] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def agents(self) -> list[SimulatedAgent]:
        """The agents started so far."""
        return [client.agent for client in self._clients]

    async def run(self, stop: asyncio.Event) -> None:
        """Connect agents one after another and keep them going until ``stop``, then take leave of the server.

        An agent that fails by a mistake in the simulation itself ends the run with that exception.
        """
        starter = asyncio.create_task(self._start(stop))
        starter.add_done_callback(lambda task: stop.set() if task.cancelled() or task.exception() else None)
        try:
            await stop.wait()
        finally:
            await _cancel([starter, *self._tasks])
            await self._leave()
        for task in [starter, *self._tasks]:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _start(self, stop: asyncio.Event) -> None:
        started = time.monotonic()
        for number in range(self.plan.count):
            due = started + number / self.plan.connects_per_second
            await asyncio.sleep(max(due - time.monotonic(), 0))
            client = self._client(number)
            self._clients.append(client)
            task = asyncio.create_task(client.run())
            # `run` ends by being cancelled; anything else is a mistake that must show.
            task.add_done_callback(lambda _task: stop.set())
            self._tasks.append(task)

    def _client(self, number: int) -> Client:
        plan = self.plan
        chance = random.Random(f"{plan.seed}/{number}")  # noqa: S311  repeatable by design, guards nothing
        agent = SimulatedAgent(
            varied_collector(number, plan.labels, chance),
            UUID(bytes=_digest(plan.seed, number)[:16], version=4),
            at=time.time_ns(),
            heartbeat_seconds=plan.heartbeat_seconds,
            apply_seconds=plan.apply_seconds,
            fails=lambda config_hash: _fails(plan.seed, number, config_hash, plan.fail_share),
        )
        kind = HttpClient if plan.over_http else WebSocketClient
        return kind(agent, plan.server, self.tally, chance)

    async def _leave(self) -> None:
        """Goodbyes of all agents at once; what is not done in time is cut off by the end of the process."""
        leaving = [asyncio.create_task(client.leave()) for client in self._clients]
        if leaving:
            _done, late = await asyncio.wait(leaving, timeout=STOP_SECONDS)
            await _cancel(list(late))


async def report(tally: Tally, every_seconds: float, write: Callable[[str], None]) -> None:
    """Write the summary line now and then; until cancelled."""
    while True:
        await asyncio.sleep(every_seconds)
        write(tally.line())


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()


def _fails(seed: int, number: int, config_hash: bytes, share: float) -> bool:
    """Whether this agent fails with this configuration: the same answer whenever it is asked."""
    return int.from_bytes(_digest(seed, number, config_hash.hex())[:8]) < share * 2**64
