"""What healthy agents notice of hostile peers: latency of their messages with and without them, in one run.

Run from the project's root:  .venv/bin/python -m benchmarks.hostile [--healthy 500] [--hostile 50] [--seconds 10]

One server process; the healthy agents in this process, each sending a heartbeat a second and every fifth time a changed
health; the hostile peers in another one, at the lowest priority, so that they cost the server time and not the driver
that measures. The quiet phase comes first, so that no attack's aftermath is in it; what counts is the difference within one run.

The portal runs with its default limits, and every peer has an address of its own on the loopback network, so that what limits
addresses hits no healthy agent and hardly a hostile one. ``--unlimited`` lifts the limits. ``attempts`` counts what hostile peers
began and ended while they were at it.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import multiprocessing
import multiprocessing.sharedctypes
import multiprocessing.synchronize
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import uvloop
import websockets

from agents.instance_uids import new_instance_uid
from benchmarks.figures import show, spread
from benchmarks.servers import Costs, portal
from opamp_transport.proto import opamp_pb2

PHASES = ("quiet", "hostile")
_WORST = "p99 with hostile peers minus p99 without, ms"
CAPABILITIES = 0x2801
UPGRADE = (
    b"GET /v1/opamp HTTP/1.1\r\nHost: portal\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n\r\n"
)


# --- Healthy ---------------------------------------------------------------------------------------------------------


@dataclass
class Phase:
    """Latencies in milliseconds of the messages sent within one phase."""

    name: str
    heartbeats: list[float] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)


def address(network: int, number: int) -> tuple[str, int]:
    """The own address of peer ``number``; ``network`` is 1 for healthy ones and 2 for hostile ones."""
    return f"127.{network}.{number // 250}.{number % 250 + 1}", 0


async def healthy(
    number_of_agent: int, port: int, phases: list[Phase], ready: asyncio.Semaphore, over: asyncio.Event
) -> None:
    """One agent that behaves; a lost connection ends the run."""
    uid = new_instance_uid().bytes
    url = f"ws://127.0.0.1:{port}/v1/opamp"
    async with websockets.connect(
        url, compression=None, ping_interval=None, open_timeout=60, local_addr=address(1, number_of_agent)
    ) as connection:
        number = 0

        async def exchange(**parts: object) -> float:
            nonlocal number
            message = opamp_pb2.AgentToServer(instance_uid=uid, sequence_num=number, capabilities=CAPABILITIES, **parts)
            number += 1
            begun = time.perf_counter()
            await connection.send(b"\x00" + message.SerializeToString())
            await connection.recv()
            return (time.perf_counter() - begun) * 1e3

        description = opamp_pb2.AgentDescription()
        description.identifying_attributes.add(key="service.name").value.string_value = "healthy"
        await exchange(agent_description=description, health=opamp_pb2.ComponentHealth(healthy=True))
        ready.release()
        await asyncio.sleep(random.random())
        while not over.is_set():
            phase = phases[-1]
            if number % 5:
                phase.heartbeats.append(await exchange())
            else:
                health = opamp_pb2.ComponentHealth(healthy=True, status=f"message {number}")
                phase.reports.append(await exchange(health=health))
            await asyncio.sleep(random.uniform(0.8, 1.2))


# --- Hostile ---------------------------------------------------------------------------------------------------------


def masked(opcode: int, payload: bytes, *, declared: int | None = None, fin: bool = True) -> bytes:
    """A frame with a mask of zeros."""
    size = len(payload) if declared is None else declared
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        return head + bytes([0x80 | size]) + bytes(4) + payload
    return head + b"\xff" + size.to_bytes(8, "big") + bytes(4) + payload


class Attacker:
    """One connection of a hostile peer, made anew whenever the server has had enough."""

    def __init__(self, port: int, number: int) -> None:
        self.port = port
        self.address = address(2, number)

    async def connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=self.address)

    async def upgraded(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await self.connected()
        writer.write(UPGRADE)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        return reader, writer

    async def pour(self, data: bytes, *, pause: float = 0.0, read: bool = True) -> None:
        """Send ``data`` over and over on a WebSocket until it is closed; read the answers or not."""
        reader, writer = await self.upgraded()
        swallow = asyncio.create_task(reader.read(-1)) if read else None
        try:
            while not (writer.is_closing() or (swallow is not None and swallow.done())):
                writer.write(data)
                await asyncio.wait_for(writer.drain(), 5)
                await asyncio.sleep(pause)
        finally:
            if swallow is not None:
                swallow.cancel()
            writer.transport.abort()

    async def garbage(self) -> None:
        await self.pour(masked(2, os.urandom(60)) * 500)

    async def heartbeat_flood(self) -> None:
        uid = new_instance_uid().bytes
        beats = b"".join(
            masked(2, b"\x00" + opamp_pb2.AgentToServer(
                instance_uid=uid, sequence_num=number, capabilities=CAPABILITIES).SerializeToString())
            for number in range(1000)
        )  # fmt: skip
        await self.pour(beats)

    async def report_flood(self) -> None:
        reader, writer = await self.upgraded()
        uid = new_instance_uid().bytes
        swallow = asyncio.create_task(reader.read(-1))
        number = 0
        try:
            while not swallow.done():
                health = opamp_pb2.ComponentHealth(healthy=False, last_error="x" * 500, status=str(number))
                message = opamp_pb2.AgentToServer(
                    instance_uid=uid, sequence_num=number, capabilities=CAPABILITIES, health=health
                )
                number += 1
                writer.write(masked(2, b"\x00" + message.SerializeToString()))
                await asyncio.wait_for(writer.drain(), 5)
        finally:
            swallow.cancel()
            writer.transport.abort()

    async def pings(self) -> None:
        await self.pour(masked(9, bytes(100)) * 1000, read=False)

    async def silent_reader(self) -> None:
        """Asks without end and reads nothing."""
        await self.pour(masked(2, b"\x00") * 1000, read=False)

    async def huge(self) -> None:
        """60 MiB of attributes in one message."""
        pair = bytes.fromhex("120b0a036b657912040a027676")  # an attribute with key and value
        description = pair * (16 * 1024**2 // len(pair))
        size = len(description)
        varint = b""
        while size > 0x7F:
            varint += bytes([size & 0x7F | 0x80])
            size >>= 7
        body = b"\x00\x0a\x10" + new_instance_uid().bytes + b"\x1a" + varint + bytes([size]) + description
        reader, writer = await self.upgraded()
        writer.write(masked(2, body))
        await asyncio.wait_for(writer.drain(), 60)
        await asyncio.wait_for(reader.read(100), 60)
        writer.close()

    async def unfinished(self) -> None:
        """Declares much, sends half of it and waits."""
        _reader, writer = await self.upgraded()
        writer.write(masked(2, bytes(8 * 1024**2), declared=60 * 1024**2))
        await asyncio.sleep(3)
        writer.transport.abort()

    async def slow(self) -> None:
        """A byte now and then, of a head, then of a body."""
        for start in (b"GET /v1/opamp HTTP/1.1\r\nX: ", b"POST /v1/opamp HTTP/1.1\r\nContent-Length: 999\r\n\r\n"):
            _reader, writer = await self.connected()
            writer.write(start)
            for _ in range(20):
                writer.write(b"y")
                await asyncio.sleep(0.1)
            writer.transport.abort()

    async def bombs(self) -> None:
        """gzip bombs and garbage over HTTP."""
        bomb = gzip.compress(bytes(63 * 1024**2))
        for body, encoding in ((bomb, b"gzip"), (os.urandom(500), b"identity"), (os.urandom(500), b"gzip")):
            reader, writer = await self.connected()
            writer.write(
                b"POST /v1/opamp HTTP/1.1\r\nHost: p\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: "
                + encoding + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
            )  # fmt: skip
            await asyncio.wait_for(reader.read(100), 60)
            writer.transport.abort()

    async def handshakes(self) -> None:
        """Connects and goes, without a word."""
        for _ in range(50):
            _reader, writer = await self.upgraded()
            writer.transport.abort()


KINDS: tuple[Callable[[Attacker], Awaitable[None]], ...] = (
    Attacker.garbage,
    Attacker.heartbeat_flood,
    Attacker.report_flood,
    Attacker.pings,
    Attacker.silent_reader,
    Attacker.huge,
    Attacker.unfinished,
    Attacker.slow,
    Attacker.bombs,
    Attacker.handshakes,
)


def attack(
    port: int,
    count: int,
    only: str,
    go: multiprocessing.synchronize.Event,
    attempts: multiprocessing.sharedctypes.Synchronized[int],
) -> None:
    """The hostile process: ``count`` peers of all kinds while ``go`` is set, until it is ended."""
    os.nice(19)

    async def one(number: int, kind: Callable[[Attacker], Awaitable[None]]) -> None:
        while True:
            if not go.is_set():
                await asyncio.sleep(0.05)
                continue
            attempt = asyncio.ensure_future(kind(Attacker(port, number)))
            attempts.value += 1
            while not attempt.done() and go.is_set():
                await asyncio.wait([attempt], timeout=0.05)
            attempt.cancel()
            await asyncio.gather(attempt, return_exceptions=True)

    async def everybody() -> None:
        kinds = [kind for kind in KINDS if only in {"", kind.__name__}]
        await asyncio.gather(*(one(number, kinds[number % len(kinds)]) for number in range(count)))

    uvloop.run(everybody())


# --- The run ---------------------------------------------------------------------------------------------------------


async def watch(port: int, agents: int, seconds: float, go: multiprocessing.synchronize.Event) -> list[Phase]:
    """Latencies of the healthy agents in each phase."""
    phases = [Phase("registration")]
    ready, over = asyncio.Semaphore(0), asyncio.Event()
    tasks = [asyncio.create_task(healthy(number, port, phases, ready, over)) for number in range(agents)]
    for _ in range(agents):
        await asyncio.wait_for(ready.acquire(), 120)
    await asyncio.sleep(2)
    for name in PHASES:
        (go.set if name == "hostile" else go.clear)()
        await asyncio.sleep(1)  # the change between phases belongs to neither
        phases.append(Phase(name))
        await asyncio.sleep(seconds)
        phases.append(Phase("between"))
    go.clear()
    over.set()
    await asyncio.gather(*tasks)
    return [phase for phase in phases if phase.name in PHASES]


def measure(
    *, healthy: int = 500, hostile: int = 50, seconds: float = 10, only: str = "", unlimited: bool = False
) -> dict[str, Any]:
    """Round trips (ms) of healthy agents with hostile peers and without, and by how much their p99 differ at the worst."""
    spawn = multiprocessing.get_context("spawn")
    go, attempts = spawn.Event(), spawn.Value("q", 0)
    with portal(limited=not unlimited) as server:
        attackers = spawn.Process(target=attack, args=(server.port, hostile, only, go, attempts), daemon=True)
        attackers.start()
        try:
            with Costs(server) as costs:
                phases = uvloop.run(watch(server.port, healthy, seconds, go))
        finally:
            attackers.terminate()
            attackers.join(10)
    results: dict[str, Any] = {}
    differences = []
    for what in ("heartbeats", "reports"):
        figures = {
            name: spread(value for phase in phases if phase.name == name for value in getattr(phase, what))
            for name in dict.fromkeys(PHASES)
        }
        results |= {f"{what}, {name}, ms": figure for name, figure in figures.items()}
        differences.append(figures["hostile"]["p99"] - figures["quiet"]["p99"])
    return results | {_WORST: round(max(differences), 1), "hostile attempts": attempts.value} | costs.figures


def main() -> int:
    """Command line; the exit status is 1 when hostile peers cost the healthy ones more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--healthy", type=int, default=500)
    parser.add_argument("--hostile", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", default="", help="one kind of hostile peer, by the name of its method")
    parser.add_argument("--unlimited", action="store_true", help="without the limits that are the default")
    parser.add_argument("--limit-ms", type=float, default=50, help="difference of p99 above which the run fails")
    options = vars(parser.parse_args())
    limit = options.pop("limit_ms")
    results = measure(**options)
    show("hostile peers", results)
    return 0 if results[_WORST] <= limit else 1


if __name__ == "__main__":
    sys.exit(main())
