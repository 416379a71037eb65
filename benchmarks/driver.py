"""The driver process: thousands of agents on one event loop, told by lines of JSON what to do.

Started by `benchmarks.fleet.Fleet`, one JSON command a line on standard input, one JSON answer a line on standard
output. It talks to the loopback address only; count and time of everything are bounded by the command.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import resource
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from time import monotonic, process_time
from typing import Any
from uuid import uuid5

import uvloop

from benchmarks import frames
from benchmarks.agent_protocols import Agent, HttpAgent, Tally, WebSocketAgent
from benchmarks.figures import UID_NAMESPACE, spread

MOST_AGENTS = 18_000
_CONNECTING_AT_ONCE = 1_000
# Between two looks whether one more may come.
_NEXT_SECONDS = 0.001
_TICK_SECONDS = 0.01


class Driver:
    """All agents of this process. Every public method without underscore is a command."""

    def __init__(self) -> None:
        self.agents: list[Agent] = []
        self.tally = Tally()
        self.parses = True
        self.reports_first = True
        self.on_reply: Callable[[Agent], None] | None = None
        self.on_lost: Callable[[Agent], None] | None = None
        self._port = 0
        self._changed = asyncio.Event()
        self._lost = 0
        self._closing = False
        # While everybody connects, who is thrown out comes back, as clients do.
        self._comes_back = False
        self._returns: set[asyncio.Task[None]] = set()

    # --- Commands ----------------------------------------------------------------------------------------------------

    async def prepare(
        self, *, port: int, count: int, transport: str, first: int = 0, parses: bool = True, reports: bool | None = None
    ) -> Any:
        """Make the agents and all they will say; nothing is connected yet. ``parses=False``: the server only echoes.

        ``reports``: each begins with its full report, which by default those do whose server understands it.
        """
        if count > MOST_AGENTS:
            raise ValueError(f"at most {MOST_AGENTS} agents in one driver")
        kind = HttpAgent if transport == "http" else WebSocketAgent
        self._port, self.parses = port, parses
        self.reports_first = parses if reports is None else reports
        self.agents = [kind(self, number, uuid5(UID_NAMESPACE, str(number))) for number in range(first, first + count)]
        gc.collect()
        gc.freeze()
        gc.disable()
        return {}

    async def connect(self, *, until: str, within: float, per_second: float = 0, at_once: int = 0) -> Any:
        """Connect everybody, at once or ``per_second``, and wait until all are ``opened``, ``registered`` or ``applied``.

        With ``at_once`` no more than so many are on their way from connecting to the reply to their first report.
        """
        self.tally = Tally()
        begun = monotonic()
        self._comes_back = True
        try:
            await self._connect(self.agents, per_second, within, at_once)
            awaited = getattr(self.tally, until)
            await self._wait(lambda: len(awaited) >= len(self.agents), begun + within)
        finally:
            self._comes_back = False
        return self._figures(begun)

    async def reconnect(self, *, killed_at: float, within: float) -> Any:
        """The server was killed: everybody notices, comes back with a full report, and waits for its reply."""
        await self._wait(lambda: self._lost >= len(self.agents), killed_at + within)
        self.tally = Tally()
        self._lost = 0
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + killed_at + within - monotonic()):
            await asyncio.gather(*(self._come_back(agent) for agent in self.agents))
        await self._wait(lambda: len(self.tally.registered) >= len(self.agents), killed_at + within)
        return self._figures(killed_at)

    async def return_from_replaced(self, *, seconds: float) -> Any:
        """For ``seconds`` whoever is thrown out comes back at once, with a full report: how long each of them was away."""
        self.tally = Tally()
        gone_at: dict[Agent, float] = {}
        away: list[float] = []

        def back(agent: Agent) -> None:
            if agent in gone_at:
                away.append(monotonic() - gone_at.pop(agent))

        begun = monotonic()
        self.on_reply, self.on_lost, self._comes_back = back, lambda agent: gone_at.update({agent: monotonic()}), True
        try:
            await asyncio.sleep(seconds)
            await self._wait(lambda: not gone_at, monotonic() + 120)
        finally:
            self.on_reply, self.on_lost, self._comes_back = None, None, False
        away.sort()
        return {
            "agents": len(self.agents),
            "sent away": len(away),
            "back within 5 s %": round(100 * sum(each <= 5 for each in away) / max(len(away), 1), 2),
            "away s p50": round(away[len(away) // 2], 3) if away else None,
            "away s longest": round(away[-1], 3) if away else None,
            "all back after s": round(max(self.tally.registered, default=begun) - begun, 1),
            "wrong": {
                key: count for key, count in self.tally.wrong.items() if key not in {"close frame", "connection lost"}
            },
        }

    async def flood(self, *, what: str, seconds: float, agents: int = 0) -> Any:
        """Every agent (or the first ``agents``) speaks again as soon as it was answered: ``heartbeat`` or ``health``."""
        speakers = self.agents[: agents or None]
        for agent in speakers:
            agent.health = frames.health_report(agent.number, healthy=True)
        sick = (
            {agent: frames.health_report(agent.number, healthy=False) for agent in speakers} if what == "health" else {}
        )
        stop_at = 0.0

        def beat(agent: Agent) -> None:
            if monotonic() < stop_at:
                agent.say(frames.CAPABILITIES_FIELD)

        def turn(agent: Agent) -> None:
            if monotonic() < stop_at:
                agent.say(sick[agent] if agent.sequence_num % 2 else agent.health)

        speak = beat if what == "heartbeat" else turn
        self.tally = Tally()
        begun = monotonic()
        stop_at = begun + seconds
        self.on_reply = speak
        for agent in speakers:
            speak(agent)
        try:
            await self._wait(
                lambda: monotonic() >= stop_at and not any(agent.sent_at for agent in speakers), stop_at + 30
            )
        finally:
            self.on_reply = None
        return self._figures(begun)

    async def beat(self, *, interval: float, seconds: float, what: str = "heartbeat") -> Any:
        """Everybody sends a heartbeat (or poll), or another ``health``, each ``interval`` seconds, evenly spread."""
        self.tally = Tally()
        order = list(self.agents)
        random.Random(1).shuffle(order)
        begun = monotonic()
        due = late = 0
        total = round(seconds / interval * len(order))
        while due < total:
            now = monotonic() - begun
            until = min(total, int(now / interval * len(order)) + 1)
            while due < until:
                agent = order[due % len(order)]
                due += 1
                if agent.sent_at:
                    late += 1
                elif what == "health":
                    agent.say(frames.health_report(agent.number, healthy=bool(agent.sequence_num % 2)))
                else:
                    agent.say(frames.CAPABILITIES_FIELD)
            await asyncio.sleep(_TICK_SECONDS)
        self.tally.wrong["still waiting for the last answer"] += late
        await self._wait(lambda: not any(agent.sent_at for agent in order), monotonic() + 30)
        return self._figures(begun)

    async def live(self, *, interval: float, seconds: float, away: int, churn: float) -> Any:
        """A fleet that changes: heartbeats each ``interval`` seconds of all who are there, for ``seconds``.

        The last ``away`` agents go at the beginning. Each minute the share ``churn`` of the others goes, half of them
        with a goodbye and half cut off, and as many come back, who is away longest first: the uids stay the same ones.
        Whoever is thrown out comes back too, and counts as "connection lost".
        """
        self.tally = Tally()
        order = list(self.agents)
        random.Random(1).shuffle(order)
        there, absent = deque(self.agents[:-away]), deque(self.agents[-away:])
        for agent in absent:
            _leave(agent, politely=True)
        begun = monotonic()
        beats = moves = 0
        self._comes_back = True
        try:
            while (now := monotonic() - begun) < seconds:
                for number in range(beats, int(now / interval * len(order))):
                    self._beat_within(order[number % len(order)], interval)
                    beats = number + 1
                while moves < int(now / 60 * churn * len(there)):
                    # One that was thrown out just now is not there to leave.
                    leaver = next((agent for agent in there if agent.is_settled), None)
                    if leaver is None:
                        break
                    moves += 1
                    there.remove(leaver)
                    _leave(leaver, politely=bool(moves % 2))
                    newcomer = absent.popleft()
                    if newcomer.transport is not None:
                        self.tally.wrong["goodbye without an end"] += 1
                        newcomer.transport.abort()
                    self._start_return(newcomer)
                    there.append(newcomer)
                    absent.append(leaver)
                await asyncio.sleep(_TICK_SECONDS)
            await self._wait(lambda: all(agent.is_settled for agent in there), monotonic() + 30)
        finally:
            self._comes_back = False
        connected = sum(agent.transport is not None for agent in self.agents)
        return self._figures(begun) | {"left and came back": moves, "connected": connected}

    async def await_offers(self, *, since: float, within: float) -> Any:
        """Wait until everybody was offered something since the last command and said that it runs."""
        await self._wait(lambda: len(self.tally.applied) >= len(self.agents), since + within)
        return self._figures(since)

    async def forget_times(self) -> Any:
        """Count from here on."""
        self.tally = Tally()
        return {}

    async def offers(self) -> Any:
        """How many agents received each hash how often: ``{hash: {times: agents}}``."""
        counts: dict[str, Counter[int]] = {}
        for agent in self.agents:
            for config_hash, times in agent.offers.items():
                counts.setdefault(config_hash.hex(), Counter())[times] += 1
        return {key: dict(times) for key, times in counts.items()}

    async def close(self) -> Any:
        """Close the connection."""
        self._closing = True
        for agent in self.agents:
            if agent.transport is not None:
                agent.transport.abort()
        return {}

    # --- Called by agents --------------------------------------------------------------------------------------------

    def lost(self, agent: Agent) -> None:
        """A connection is gone."""
        if self._closing:
            return
        if agent.leaves:
            return
        self.tally.wrong["connection lost"] += 1
        if self.on_lost is not None:
            self.on_lost(agent)
        if self._comes_back:
            self._start_return(agent)
        else:
            self._lost += 1

    # --- Inside ------------------------------------------------------------------------------------------------------

    async def _connect(self, agents: Sequence[Agent], per_second: float, within: float, at_once: int = 0) -> None:
        loop = asyncio.get_running_loop()
        room = asyncio.Semaphore(_CONNECTING_AT_ONCE)
        begun = monotonic()

        async def one(agent: Agent) -> None:
            async with room:
                await loop.create_connection(lambda: agent, "127.0.0.1", self._port)

        async with asyncio.timeout(within), asyncio.TaskGroup() as tasks:
            for index, agent in enumerate(agents):
                if per_second and (ahead := index / per_second - (monotonic() - begun)) > 0:
                    await asyncio.sleep(ahead)
                while at_once and index - len(self.tally.registered) >= at_once:  # noqa: ASYNC110  agents tell nobody
                    await asyncio.sleep(_NEXT_SECONDS)
                tasks.create_task(one(agent))

    def _beat_within(self, agent: Agent, interval: float) -> None:
        """A heartbeat, unless the agent is away or at something else; an answer that takes ``interval`` is wrong."""
        if agent.is_settled:
            agent.say(frames.CAPABILITIES_FIELD)
        elif not agent.leaves and agent.sent_at and monotonic() - agent.sent_at >= interval:
            self.tally.wrong["no answer"] += 1

    def _start_return(self, agent: Agent) -> None:
        task = asyncio.get_running_loop().create_task(self._come_back(agent))
        self._returns.add(task)
        task.add_done_callback(self._returns.discard)

    async def _come_back(self, agent: Agent) -> None:
        """Tries once a second with jitter, as clients do, until the server listens again."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5))
            try:
                await loop.create_connection(lambda: agent, "127.0.0.1", self._port)
            except OSError:
                continue
            return

    async def _wait(self, claim: Callable[[], bool], deadline: float) -> None:
        while not claim():
            if monotonic() > deadline:
                raise TimeoutError(f"not in time; so far {self._figures(deadline)}")
            await asyncio.sleep(_TICK_SECONDS)

    def _figures(self, since: float) -> dict[str, Any]:
        tally = self.tally
        return {
            "seconds": monotonic() - since,
            "replies": tally.replies,
            "latency ms": spread([1_000 * latency for latency in tally.latencies]),
            "opened s": spread([at - since for at in tally.opened]),
            "registered s": spread([at - since for at in tally.registered]),
            "offered s": spread([at - since for at in tally.offered]),
            "applied s": spread([at - since for at in tally.applied]),
            "wrong": {what: times for what, times in tally.wrong.items() if times},
            "driver CPU s": process_time(),
        }


def _leave(agent: Agent, *, politely: bool) -> None:
    """With a goodbye where there is a connection to say it on: over plain HTTP who leaves just polls no more."""
    if politely and isinstance(agent, WebSocketAgent):
        agent.say_goodbye()
    else:
        agent.cut_off()


async def _serve() -> None:
    driver = Driver()
    reader = asyncio.StreamReader(limit=1024 * 1024)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        try:
            answer = {"result": await getattr(driver, command.pop("command"))(**command)}
        except (OSError, TimeoutError, ValueError, ExceptionGroup) as error:
            answer = {"error": repr(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Raise the limit of open files and listen to commands until standard input ends."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(_serve())


if __name__ == "__main__":
    main()
