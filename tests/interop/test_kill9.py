"""A server killed in the middle of work: nothing that it acknowledged is lost, and every agent becomes right again."""

from __future__ import annotations

import contextlib
import http.client
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.interop.full_state import none_outstanding
from tests.live_server import LiveServer, configuration
from tests.simulated_fleet import SimulatedFleet

AGENTS = 200
REGIONS = ("us-east", "us-west", "eu-central", "ap-southeast")
EDITS_BEFORE_THE_KILL = 12
PATIENCE = 90.0


def text(edit: int) -> str:
    """A configuration that tells which edit made it."""
    return (
        f"receivers: {{otlp: {{protocols: {{grpc: {{}}}}}}}}\nexporters: {{nop/{edit}: {{}}}}\n"
        f"service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [nop/{edit}]}}}}}}\n"
    )


class Editor(threading.Thread):
    """Edits configurations one after another until the server is gone; remembers what was acknowledged."""

    def __init__(self, server: LiveServer, names: list[str]) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.names = names
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self.edits = 0
        self.enough = threading.Event()

    def run(self) -> None:
        # The server was killed during this call, so it acknowledged nothing.
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                name = self.names[self.edits % len(self.names)]
                answer = self.server.api("PATCH", f"configurations/{name}", {"raw_config": text(self.edits + 1)})
                assert answer.status == 200, answer
                self.acknowledged[name] = answer.json
                self.edits += 1
                if self.edits >= EDITS_BEFORE_THE_KILL:
                    self.enough.set()


@pytest.mark.rule("S-42", "S-43", "S-48", "S-50", "S-60")
@pytest.mark.parametrize("transport", ["ws", "http"])
def test_no_acknowledged_edit_is_lost_and_all_agents_are_right_again(transport: str, portal: LiveServer) -> None:
    names = [f"config-{region}" for region in REGIONS]
    for name, region in zip(names, REGIONS, strict=True):
        portal.post("configurations", configuration(name, {"region": region}, text(0)))
    with SimulatedFleet(portal, AGENTS, "--seed", "7", "--heartbeat", "2", transport=transport) as fleet:
        portal.eventually(lambda: in_sync(portal) == AGENTS, PATIENCE, "all agents run their configuration")
        editor = Editor(portal, names)
        editor.start()
        assert editor.enough.wait(PATIENCE)
        portal.kill9()
        editor.join(PATIENCE)
        assert not editor.is_alive()
        killed_at = datetime.now(tz=UTC)
        portal.start()
        for name, edit in editor.acknowledged.items():
            # The edit under way at the end may have been committed without being acknowledged.
            assert edit["revision"] <= portal.get(f"configurations/{name}")["revision"] <= edit["revision"] + 1
            assert portal.get(f"configurations/{name}/revisions/{edit['revision']}")["hash"] == edit["config_hash"]
        all_are_right(portal, names, since=killed_at)
        for name in names:
            assert portal.api("PATCH", f"configurations/{name}", {"raw_config": text(-1)}).status == 200
        all_are_right(portal, names, since=killed_at)
        # Every agent has answered its newest offer: more messages bring no further one.
        offers = offer_counts(portal)
        messages = {agent["instance_uid"]: agent["sequence_num"] for agent in agents_of(portal)}
        portal.eventually(
            lambda: all(agent["sequence_num"] >= messages[agent["instance_uid"]] + 2 for agent in agents_of(portal)),
            PATIENCE,
            "two more messages of each",
        )
        assert offer_counts(portal) == offers
        none_outstanding(portal)
        assert " errors " not in fleet.text or " errors 0 " in fleet.text, fleet.text
        assert f"connected 0/{AGENTS}" in fleet.stop()
    portal.eventually(lambda: portal.get("agents/summary")["status"]["disconnected"] == AGENTS, PATIENCE, "all left")


def all_are_right(server: LiveServer, names: list[str], *, since: datetime) -> None:
    """Wait until each agent was heard after ``since`` and runs the newest revision of its configuration."""
    wanted = {name: server.get(f"configurations/{name}")["config_hash"] for name in names}

    def wrong() -> list[dict[str, Any]]:
        return [
            agent
            for agent in agents_of(server)
            if datetime.fromisoformat(agent["last_seen_at"]) <= since
            or not (agent["connected"] and agent["in_sync"])
            or agent["remote_config_status"]
            != {"status": "applied", "config_hash": wanted[agent["configuration"]["name"]], "error_message": ""}
        ]

    server.eventually(lambda: not wrong(), PATIENCE, "all agents are right")
    found = agents_of(server)
    assert len({agent["instance_uid"] for agent in found}) == len(found) == AGENTS


def agents_of(server: LiveServer) -> list[dict[str, Any]]:
    """The whole fleet, as REST shows it."""
    results: list[dict[str, Any]] = server.get(f"agents?page_size={AGENTS}")["results"]
    return results


def in_sync(server: LiveServer) -> int:
    """How many connected agents run what they should."""
    return int(server.get("agents?in_sync=true&connected=true&page_size=1")["count"])


def offer_counts(server: LiveServer) -> list[tuple[Any, ...]]:
    """How often each agent was offered its present configuration."""
    return server.rows("SELECT agent_id, offer_count FROM configurations_assignment ORDER BY agent_id")
