"""The real-time clock of a server process jumps while agents are connected and people edit.

On SQLite there is one process. With DATABASE_URL and REDIS_URL there are two, and the clock of one of them jumps.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
from websockets.sync.client import connect

from opamp_transport.proto import opamp_pb2
from tests import not_run
from tests.fake_agent import COLLECTOR, FakeAgent, answered
from tests.faults import clocks
from tests.faults.clocks import MovableClock, Stopwatch
from tests.faults.configs import REGIONS, Editor, create_all, text
from tests.faults.fleet import FaultFleet, assert_all_right, shown_agents
from tests.faults.postgres import PostgresCluster, binaries
from tests.faults.redis_server import RedisServer
from tests.interop.full_state import none_outstanding
from tests.live_server import LiveServer, configuration
from tests.opamp_platform.test_several_processes import exchange, poll, receive

SHARED = os.environ.get("DATABASE_URL", "").startswith("postgres") and bool(os.environ.get("REDIS_URL"))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOTICED = "the clock jumped"
INTERVAL = 2
OFFER = {
    "OPAMP_OFFER_HEARTBEAT": "true",
    "OPAMP_HEARTBEAT_SECONDS": str(INTERVAL),
    "SECRET_KEY": secrets.token_hex(32),
}
# A beat until the jump is noticed, the time in which nobody is expired, and a round of the expiry.
OVER_SECONDS = 24.0
# An agent that stays silent at the moment of a jump is gone after that and what it was promised.
GONE_SECONDS = OVER_SECONDS + 3 * INTERVAL + 4
SETTINGS = 0x100
# How far ahead the clock is after each jump. A last one, to the true time, follows.
JUMPS = [HOUR, -HOUR, 40 * DAY]
MORE_JUMPS = [timedelta(), 400 * DAY, timedelta(), HOUR, -3 * DAY, timedelta(), -HOUR, timedelta(), 3 * DAY]


@pytest.fixture(autouse=True)
def _needs_libfaketime(request: pytest.FixtureRequest) -> None:
    if clocks.library() is not None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("libfaketime is missing: install Debian's package libfaketime")
    not_run.note(request.node, "faults", "no libfaketime", request.node.name)
    pytest.skip("needs libfaketime")


class Site(NamedTuple):
    """Servers on one database, and a clock that a test moves: of the first server, or of the database.

    ``counts``: it is the clock that all processes go by. ``broker`` is there for a test to lose.
    """

    clock: MovableClock
    servers: list[LiveServer]
    counts: bool
    broker: RedisServer | None = None

    def move(self, ahead: timedelta) -> None:
        """The clock jumps; returns when that has been seen: by all processes when it counts, else by the server itself."""
        before = [noticed(server) for server in self.servers]
        self.clock.move(ahead)
        if not self.counts:
            self.clock.assert_moved(self.servers[0])
            return
        self.servers[0].eventually(
            lambda: all(noticed(server) > count for server, count in zip(self.servers, before, strict=True)),
            10,
            "noticed",
        )


def noticed(server: LiveServer) -> int:
    """How often it wrote that its clock jumped."""
    return server.log_path.read_text(encoding="utf-8").count(NOTICED)


Start = Callable[..., LiveServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers with one secret key that promise two seconds to agents which take it."""
    with ExitStack() as running:

        def begin(name: str, **environment: str) -> LiveServer:
            folder = tmp_path / name
            folder.mkdir()
            return running.enter_context(LiveServer(folder, **{**OFFER, **environment}))

        yield begin


@pytest.fixture
def site(tmp_path: Path, start: Start, request: pytest.FixtureRequest) -> Site:
    """One server on SQLite, two elsewhere, and the clock of the first is moved."""
    clock = MovableClock(tmp_path)
    if not SHARED:
        return Site(clock, [start("a", **clock.environment)], counts=True)
    broker: RedisServer = request.getfixturevalue("broker")
    steady = start("b", REDIS_URL=broker.url)
    shared = {name: steady.environment[name] for name in ("DATABASE_URL", "REDIS_URL")}
    jumping = start("a", **shared, **clock.environment)
    jumping._token = steady.token
    return Site(clock, [jumping, steady], counts=False, broker=broker)


class Ghost:
    """An agent that polls, takes the offered interval, and then is silent."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        self.agent = FakeAgent(capabilities=COLLECTOR | SETTINGS, test="ghost")
        reply = poll(server, self.agent.message(**self.agent.full_parts()))
        status = opamp_pb2.ConnectionSettingsStatus(
            last_connection_settings_hash=reply.connection_settings.hash,
            status=opamp_pb2.ConnectionSettingsStatuses_APPLIED,
        )
        poll(server, self.agent.message(connection_settings_status=status))

    def is_gone(self) -> bool:
        """What the portal shows."""
        return not self._server.get(f"agents/{self.agent.uid}")["connected"]


def disconnected(server: LiveServer, fleets: Sequence[FaultFleet]) -> list[str]:
    """Agents of ``fleets`` that were shown disconnected at any time, however short."""
    mine = {uid for fleet in fleets for uid in fleet.agents}
    told = server.rows(
        "SELECT instance_uid, data FROM agents_agentevent e JOIN agents_agent a ON a.id = e.agent_id"
        " WHERE kind = 'disconnected'"
    )
    return [f"{uid}: {data}" for uid, data in told if str(UUID(str(uid))) in mine]


def last_seen(server: LiveServer, fleets: Sequence[FaultFleet]) -> list[timedelta]:
    """How far ahead of the true time the fleets were last seen, as the portal shows it."""
    now = datetime.now(UTC)
    mine = {uid for fleet in fleets for uid in fleet.agents}
    shown = shown_agents(server)
    return [datetime.fromisoformat(shown[uid]["last_seen_at"]) - now for uid in mine]


def test_the_clock_moves_and_the_loop_does_not_notice(tmp_path: Path) -> None:
    """The tool works with this interpreter and this event loop; else the other tests would show nothing."""
    clock = MovableClock(tmp_path)
    program = (
        "import asyncio, time, uvloop\n"
        "async def look():\n"
        "    loop = asyncio.get_running_loop()\n"
        "    for _ in range(2):\n"
        "        print(time.time(), time.monotonic(), loop.time(), flush=True)\n"
        "        await loop.run_in_executor(None, input)\n"
        "        await asyncio.sleep(2.5)\n"
        "uvloop.run(look())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, **clock.environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as looking:  # fmt: skip
        assert looking.stdin is not None
        assert looking.stdout is not None
        before = [float(number) for number in looking.stdout.readline().split()]
        clock.move(3 * DAY)
        looking.stdin.write("\n")
        looking.stdin.flush()
        after = [float(number) for number in looking.stdout.readline().split()]
        looking.communicate("\n", timeout=20)
    real, monotonic, loop = (now - then for then, now in zip(before, after, strict=True))
    assert abs(real - 3 * 86_400) < 30
    assert 0 < monotonic < 30
    assert abs(loop - monotonic) < 1


def test_nothing_is_lost_and_nobody_is_shown_disconnected(site: Site, rounds: int) -> None:
    judge = site.servers[-1]
    create_all(judge)
    with ExitStack() as running:
        fleets = [
            running.enter_context(FaultFleet(endpoint, count=count, seed=seed))
            for seed, (endpoint, count) in enumerate(
                (endpoint, count)
                for server in site.servers
                for endpoint, count in ((server.websocket_endpoint, 40), (server.http_endpoint, 20))
            )
        ]
        assert_all_right(judge, *fleets)
        for ahead in JUMPS + (MORE_JUMPS if rounds > 1 else []):
            jump_in_a_rollout(site, judge, fleets, ahead)
            if site.broker is not None and ahead == -HOUR:
                change_that_nobody_is_woken_for(site, site.broker, fleets)
        ghost = Ghost(site.servers[0])
        since = jump_in_a_rollout(site, judge, fleets, timedelta())
        judge.eventually(ghost.is_gone, GONE_SECONDS - since.seconds, "a silent agent is gone")
        since.wait_for(OVER_SECONDS)
        assert not disconnected(judge, fleets)
        assert_all_right(judge, *fleets)
        none_outstanding(judge)
        assert all(fleet.tally.reconnects == 0 for fleet in fleets)


@pytest.mark.faults(long=True)
def test_the_clock_of_the_database_jumps_under_two_processes(start: Start, broker: RedisServer, rounds: int) -> None:
    """Each notices it with a beat of its own, so for a moment they go by different times."""
    if binaries() is None:
        pytest.skip("needs root and an installed PostgreSQL server: its own cluster runs as the user postgres")
    with PostgresCluster() as cluster:
        clock = MovableClock(cluster.home)
        cluster.stop_immediately()
        cluster.environment |= clock.environment
        cluster.start()
        with cluster.database("clocks") as url:
            shared = {"DATABASE_URL": url, "REDIS_URL": broker.url}
            servers = [start(name, **shared) for name in "ab"]
            try:
                servers[0]._token = servers[1].token
                test_nothing_is_lost_and_nobody_is_shown_disconnected(Site(clock, servers, counts=True), rounds)
            finally:
                for server in servers:
                    server.terminate()


def jump_in_a_rollout(site: Site, judge: LiveServer, fleets: Sequence[FaultFleet], ahead: timedelta) -> Stopwatch:
    """Edits go on before, during and after one jump; then everything is right, and seen at the time it should be.

    What is returned runs since the jump.
    """
    with Editor(site.servers) as editor:
        judge.eventually(lambda: len(editor.acknowledged) >= 3, 30, "edits")
        since = Stopwatch()
        site.move(ahead)
        after = len(editor.acknowledged)
        judge.eventually(lambda: len(editor.acknowledged) >= after + 3, 30, "edits after the jump")
    assert not editor.refused
    editor.assert_kept(judge)
    assert_all_right(judge, *fleets)
    assert not disconnected(judge, fleets)
    # Who was last seen when, by the clock that counts.
    shown_ahead = ahead if site.counts else timedelta()

    def seen_in_time() -> bool:
        return all(abs(seen - shown_ahead) < timedelta(seconds=10) for seen in last_seen(judge, fleets))

    judge.eventually(seen_in_time, 20, f"all were seen lately, {shown_ahead} ahead")
    return since


def change_that_nobody_is_woken_for(site: Site, broker: RedisServer, fleets: Sequence[FaultFleet]) -> None:
    """A change is made where the clock is an hour behind, and the wake-up is lost: the other process finds it by itself."""
    broker.kill9()
    try:
        for name in REGIONS:
            edit = site.servers[0].api("PATCH", f"configurations/{name}", {"raw_config": text(-1)})
            assert edit.status == 200, edit
        assert_all_right(site.servers[-1], *fleets, seconds=20)
    finally:
        broker.start()


def test_a_restart_under_way_is_not_given_up(site: Site) -> None:
    server = site.servers[0]
    agent = FakeAgent(test="restarts")
    with connect(server.websocket_endpoint, proxy=None) as socket:
        exchange(socket, agent.message(**agent.full_parts()))
        server.post(f"agents/{agent.uid}/restart")
        assert receive(socket).HasField("command")
        site.move(HOUR)
        # A round of the expiry.
        Stopwatch().wait_for(6)
        assert [command["outcome"] for command in commands_of(server, agent)] == ["sent"]
    parts = agent.full_parts()
    parts["health"].start_time_unix_nano += 10**9
    agent.sequence_num = -1
    with connect(server.websocket_endpoint, proxy=None) as socket:
        exchange(socket, agent.message(**parts))
        assert [command["outcome"] for command in commands_of(server, agent)] == ["done"]


def commands_of(server: LiveServer, agent: FakeAgent) -> list[dict[str, str]]:
    """What was sent to it, as the portal shows it."""
    found: list[dict[str, str]] = server.get(f"agents/{agent.uid}/commands")["results"]
    return found


def test_the_newer_connection_has_the_agent_although_the_clock_was_put_back(site: Site) -> None:
    """The old socket is half open, as after a network fault: the server does not know yet that it is dead."""
    server = site.servers[0]
    server.post("configurations", configuration("roaming", {"test": "roams"}, "a: 1\n"))
    agent = FakeAgent(test="roams")
    with connect(server.websocket_endpoint, proxy=None) as old:
        offer = exchange(old, agent.message(**agent.full_parts())).remote_config
        exchange(old, agent.message(remote_config_status=answered(offer.config_hash, 1)))
        site.move(-HOUR)
        with connect(server.websocket_endpoint, proxy=None) as new:
            assert not exchange(new, agent.message()).flags
            wanted = server.api("PATCH", "configurations/roaming", {"raw_config": "a: 2\n"}).json["config_hash"]
            assert receive(new).remote_config.config_hash.hex() == wanted
