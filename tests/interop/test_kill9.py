"""A server killed in the middle of work: nothing that it acknowledged is lost, and every agent becomes right again."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.live_server import ROOT, LiveServer, configuration

AGENTS = 200
CONFIGURATIONS = 4
KILL_AFTER_EDITS = 12
SECONDS = 90.0


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
        with contextlib.suppress(OSError):  # the server was killed during this call, so it acknowledged nothing
            while True:
                name = self.names[self.edits % len(self.names)]
                answer = self.server.api("PATCH", f"configurations/{name}", {"raw_config": text(self.edits + 1)})
                assert answer.status == 200, answer
                self.acknowledged[name] = answer.json
                self.edits += 1
                if self.edits >= KILL_AFTER_EDITS:
                    self.enough.set()


@pytest.mark.rule("S-42", "S-43", "S-48")
@pytest.mark.parametrize("transport", ["ws", "http"])
def test_no_acknowledged_edit_is_lost_and_all_agents_are_right_again(
    transport: str, portal: LiveServer, tmp_path: Path
) -> None:
    names = [f"config-{number}" for number in range(CONFIGURATIONS)]
    regions = ["us-east", "us-west", "eu-central", "ap-southeast"]
    for name, region in zip(names, regions, strict=True):
        portal.post("configurations", configuration(name, {"region": region}, text(0)))
    command = [
        sys.executable, "manage.py", "simulate_agents", "--count", str(AGENTS), "--transport", transport, "--seed", "7",
        "--endpoint", portal.websocket_endpoint, "--heartbeat", "2", "--apply-seconds", "0.2", "--summary-seconds", "0",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, env=portal.environment, stdout=subprocess.PIPE, text=True) as fleet:
        try:
            portal.eventually(lambda: in_sync(portal) == AGENTS, SECONDS, "all agents run their configuration")
            editor = Editor(portal, names)
            editor.start()
            assert editor.enough.wait(SECONDS)
            portal.kill9()
            editor.join(SECONDS)
            portal.start()
            for name, edit in editor.acknowledged.items():
                # The edit under way at the end may have been committed without being acknowledged.
                assert portal.get(f"configurations/{name}")["revision"] >= edit["revision"]
                kept = portal.get(f"configurations/{name}/revisions/{edit['revision']}")
                assert kept["hash"] == edit["config_hash"]
            portal.eventually(lambda: in_sync(portal) == AGENTS, SECONDS, "all agents are right again")
            wanted = {name: portal.get(f"configurations/{name}")["config_hash"] for name in names}
            agents = portal.get(f"agents?page_size={AGENTS}")["results"]
            assert len(agents) == AGENTS
            for agent in agents:
                assert agent["remote_config_status"]["config_hash"] == wanted[agent["configuration"]["name"]]
                assert agent["remote_config_status"]["status"] == "applied"
            assert len(Counter(agent["instance_uid"] for agent in agents)) == AGENTS
        finally:
            fleet.terminate()
            output, _ = fleet.communicate(timeout=30)
    assert fleet.returncode == 0
    assert "errors" not in output or "errors 0" in output, output
    portal.eventually(
        lambda: portal.get("agents/summary")["status"]["disconnected"] == AGENTS, SECONDS, "all have left"
    )


def in_sync(server: LiveServer) -> int:
    """How many connected agents run what they should."""
    return int(server.get("agents?in_sync=true&connected=true&page_size=1")["count"])
