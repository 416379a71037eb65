"""A staged rollout to 300 agents of which one in twenty fails, with the leading process killed in each of its states.

SQLite, or PostgreSQL where DATABASE_URL is set. Judged by what the agents themselves received.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.configs import text
from tests.faults.fleet import FaultFleet
from tests.live_server import LiveServer, configuration

AGENTS = 300
PATIENCE = 60.0
# So many that one of twenty failing is among them.
CANARIES = 60
POLICY = {"stages": [{"count": CANARIES}], "gate": {"applied_percent": 100, "failed_max": 0, "timeout_seconds": 600}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    """A portal whose rollouts look every second."""
    with LiveServer(tmp_path, ROLLOUT_SECONDS="1") as server:
        yield server


def publish(server: LiveServer, edit: int, **fields: Any) -> dict[str, Any]:
    answer = server.api("PUT", "configurations/c", {**configuration("c", {}, text(edit), match_all=True), **fields})
    assert answer.status in {200, 201}, answer
    return answer.json


def state(server: LiveServer, rollout: int) -> dict[str, Any]:
    return server.get(f"rollouts/{rollout}")


def received(fleet: FaultFleet, config_hash: str) -> int:
    return sum(bytes.fromhex(config_hash) in agent.received for agent in fleet.agents.values())


def kill_and_start(server: LiveServer, fleet: FaultFleet) -> None:
    server.kill9()
    server.start()
    server.eventually(lambda: server.get("agents/summary")["status"]["disconnected"] == 0, PATIENCE, "all are back")


def test_a_bad_revision_stops_at_the_canaries_whenever_the_leader_dies(server: LiveServer) -> None:
    first = publish(server, 0)
    with FaultFleet(server.websocket_endpoint, count=AGENTS, fail_share=0.05) as fleet:
        server.eventually(lambda: received(fleet, first["config_hash"]) == AGENTS, PATIENCE, "everybody has the first")
        # Pending, and killed: nothing has gone out.
        bad = publish(server, 1, release={**POLICY, "approval": True})
        number = bad["rollout"]["id"]
        kill_and_start(server, fleet)
        assert state(server, number)["state"] == "awaiting_approval"
        assert received(fleet, bad["config_hash"]) == 0
        assert server.api("POST", f"rollouts/{number}/abort", {}).status == 200
        # Running, and killed: the canaries get it, one of them fails, the gate holds the others back.
        bad = publish(server, 2, release=POLICY)
        number = bad["rollout"]["id"]
        kill_and_start(server, fleet)
        server.eventually(lambda: state(server, number)["state"] == "paused", PATIENCE, "the gate has failed")
        assert state(server, number)["reasons"][0]["code"] == "gate-failed"
        assert 0 < received(fleet, bad["config_hash"]) <= CANARIES
        # Paused, and killed: it stays so.
        kill_and_start(server, fleet)
        assert state(server, number)["state"] == "paused"
        assert 0 < received(fleet, bad["config_hash"]) <= CANARIES
        # Rolled back, and killed: everybody runs what was before.
        assert server.api("POST", f"rollouts/{number}/roll-back", {"reason": "bad"}).status == 200
        kill_and_start(server, fleet)

        def all_back() -> bool:
            shown = server.get("configurations/c/agents?page_size=500")["results"]
            return len(shown) == AGENTS and all(agent["revision"] == first["revision"] for agent in shown)

        server.eventually(all_back, PATIENCE, "everybody should run the first revision")
        assert 0 < received(fleet, bad["config_hash"]) <= CANARIES
        # A tolerant one goes through all stages although the leader dies in each.
        tolerant = {
            "stages": [{"count": CANARIES}, {"percent": 50}],
            "gate": {"applied_percent": 80, "failed_max": AGENTS, "dwell_seconds": 1},
        }
        good = publish(server, 3, release=tolerant)
        number = good["rollout"]["id"]
        for stage in (1, 2, 3):
            server.eventually(lambda stage=stage: state(server, number)["stage"] >= stage, PATIENCE, f"stage {stage}")
            kill_and_start(server, fleet)
        server.eventually(lambda: state(server, number)["state"] == "completed", PATIENCE, "it has finished")
        # The gate is content with fewer; the others get it all the same.
        server.eventually(lambda: received(fleet, good["config_hash"]) == AGENTS, PATIENCE, "everybody has received it")
        kinds = [step["kind"] for step in server.get(f"rollouts/{number}/steps")["results"]]
        assert kinds.count("stage_began") == 3
        assert kinds.count("gate_passed") == 3
