"""The fleet counts offers that an agent had answered already; served by a server that makes them on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from websockets.asyncio.server import ServerConnection, serve

from opamp_transport.protocol.framing import wrap
from simulator.clients import Server
from simulator.fleet import FleetPlan, SimulatedFleet
from simulator.tally import Tally
from tests.simulator.server_messages import offer

FIRST, SECOND = b"\x01", b"\x02"
TIMEOUT = 10.0


async def tally_after(connections: Sequence[Sequence[bytes]]) -> Tally:
    """What one agent counted after being offered these hashes, one for each of its messages, on each connection."""
    waiting = list(connections)
    finished = asyncio.Event()

    async def answer(connection: ServerConnection) -> None:
        hashes = waiting.pop(0)
        for config_hash in hashes:
            await connection.recv()
            await connection.send(wrap(offer(config_hash=config_hash, main="exporters: {nop: {}}\n")))
        await connection.recv()
        if not waiting:
            finished.set()
            await connection.wait_closed()

    async with serve(answer, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        plan = FleetPlan(
            server=Server(f"ws://127.0.0.1:{port}/v1/opamp", {}), over_http=False, count=1, labels={}, seed=1,
            heartbeat_seconds=30, apply_seconds=0, fail_share=0, connects_per_second=100,
        )  # fmt: skip
        fleet, stop = SimulatedFleet(plan), asyncio.Event()
        running = asyncio.create_task(fleet.run(stop))
        async with asyncio.timeout(TIMEOUT):
            await finished.wait()
            stop.set()
            await running
    return fleet.tally


@pytest.mark.parametrize(
    ("connections", "offers", "repeated"),
    [
        ([[FIRST]], 1, 0),
        ([[FIRST, FIRST]], 2, 1),
        ([[FIRST, FIRST, FIRST]], 3, 2),
        ([[FIRST, SECOND]], 2, 0),
        ([[FIRST, SECOND, FIRST]], 3, 0),  # rolled back: meant
        ([[FIRST], [FIRST]], 2, 0),  # on a new connection the server cannot know
    ],
)
def test_only_the_same_hash_twice_in_a_row_on_one_connection_counts(
    connections: list[list[bytes]], offers: int, repeated: int
) -> None:
    tally = asyncio.run(tally_after(connections))
    assert (tally.offers, tally.repeated_offers) == (offers, repeated)
    assert (f"repeated offers {repeated}" in tally.line()) == bool(repeated)
