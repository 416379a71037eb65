"""A fleet of simulated agents in a thread of the test, whose own knowledge is compared with what the portal shows."""

from __future__ import annotations

import asyncio
import threading
import time
from types import TracebackType
from typing import Any, Self

from agents.reports import RemoteConfigStatuses
from simulator.agent import SimulatedAgent
from simulator.clients import Server
from simulator.fleet import FleetPlan, SimulatedFleet
from simulator.tally import Tally
from tests.live_server import LiveServer

RIGHT_AGAIN_SECONDS = 60.0
# Effective configurations are asked for one by one.
_SAMPLE = 12
_PAGE = 500
_UNWRITTEN = 5


class FaultFleet:
    """``with FaultFleet(endpoint, count=200) as fleet``: connects at once, says goodbye at the end."""

    def __init__(
        self,
        endpoint: str,
        *,
        count: int,
        seed: int = 7,
        labels: dict[str, str] | None = None,
        heartbeat: float = 2.0,
        fail_share: float = 0.0,
    ) -> None:
        self.plan = FleetPlan(
            server=Server(endpoint, {}),
            over_http=endpoint.startswith("http"),
            count=count,
            labels=labels or {},
            seed=seed,
            heartbeat_seconds=heartbeat,
            apply_seconds=0.2,
            fail_share=fail_share,
            connects_per_second=500.0,
        )
        self._fleet = SimulatedFleet(self.plan)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive(), "the fleet did not end"
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._fleet.run(self._stop))
        except Exception as error:  # noqa: BLE001  raised again where the test sees it
            self._error = error

    @property
    def tally(self) -> Tally:
        """What its agents have seen so far."""
        return self._fleet.tally

    @property
    def agents(self) -> dict[str, SimulatedAgent]:
        """Its agents by the uid they use now."""
        return {str(agent.instance_uid): agent for agent in self._fleet.agents}


def shown_agents(server: LiveServer) -> dict[str, dict[str, Any]]:
    """All agents of the portal, by uid."""
    found: list[dict[str, Any]] = []
    while not found or len(found) % _PAGE == 0:
        page = server.api("GET", f"agents?page_size={_PAGE}&page={len(found) // _PAGE + 1}")
        if page.status != 200 or not page.json["results"]:
            break
        found += page.json["results"]
    return {agent["instance_uid"]: agent for agent in found}


def differences(server: LiveServer, *fleets: FaultFleet) -> list[str]:
    """In what the portal's picture differs from the agents themselves; empty when everything is right."""
    shown = shown_agents(server)
    wanted = {
        configuration["name"]: configuration["config_hash"]
        for configuration in server.get(f"configurations?page_size={_PAGE}")["results"]
    }
    found = []
    mine = {uid: agent for fleet in fleets for uid, agent in fleet.agents.items()}
    expected = sum(fleet.plan.count for fleet in fleets)
    if len(mine) != expected or not set(mine) <= set(shown):
        found.append(f"{expected} agents, {len(mine)} started, {len(set(mine) & set(shown))} shown")
    for uid in set(mine) & set(shown):
        found += _differences_of(mine[uid], shown[uid], wanted)
    return found


def _differences_of(agent: SimulatedAgent, shown: dict[str, Any], wanted: dict[str, str]) -> list[str]:
    uid = shown["instance_uid"]
    status = shown["remote_config_status"] or {}
    configuration = shown["configuration"] or {}
    claims = {
        "is not shown connected": shown["connected"],
        "is not shown healthy": shown["healthy"],
        "is not shown in sync": shown["in_sync"],
        "has another hash than shown": agent.config_hash.hex() == status.get("config_hash"),
        "has another status than shown": agent.config_status.name.lower() == status.get("status"),
        "does not run what it should": agent.config_hash.hex() == wanted.get(configuration.get("name", "")),
        "has not applied it": agent.config_status is RemoteConfigStatuses.APPLIED,
        # The agent goes on meanwhile, and numbers of heartbeats are written every two seconds.
        "has another sequence number": 0 <= agent.sequence_num - shown["sequence_num"] <= _UNWRITTEN,
    }
    return [f"{uid} {claim}" for claim, holds in claims.items() if not holds]


def assert_all_right(
    server: LiveServer, *fleets: FaultFleet, seconds: float = RIGHT_AGAIN_SECONDS, since: float | None = None
) -> float:
    """Portal and agents agree within ``seconds`` (from ``since``, monotonic); returns how long it took.

    Every agent connected, its stored state what it last reported, running what it should; nobody was offered twice what it
    had answered; no errors. Raises AssertionError with the differences.
    """
    begun = time.monotonic() if since is None else since
    left: list[str] = []

    def agreed() -> bool:
        left[:] = differences(server, *fleets)
        return not left

    try:
        server.eventually(agreed, max(seconds - (time.monotonic() - begun), 1.0), "portal and agents agree")
    except AssertionError as error:
        raise AssertionError(f"{len(left)} differences, such as {left[:5]}\n{error}") from error
    took = time.monotonic() - begun
    for fleet in fleets:
        assert fleet.tally.repeated_offers == 0, fleet.tally.line()
        assert fleet.tally.errors == 0, fleet.tally.line()
        for uid in sorted(fleet.agents)[:_SAMPLE]:
            running = fleet.agents[uid].running.effective_config.decode()
            assert server.get(f"agents/{uid}/effective-config")[""]["body"] == running, uid
    return took
