"""Two real supervisors, one of them the canary: a good revision goes to both, a bad one stops at the canary."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests import not_run
from tests.interop import collectors
from tests.interop.collectors import Supervisor
from tests.interop.test_supervisor_and_collector import CRASHES, A, B
from tests.live_server import LiveServer, configuration

pytestmark = pytest.mark.interop
PATIENCE = 90.0
# A busy machine takes longer than the three seconds a supervisor waits by default.
PATIENT = {"bootstrap_timeout": "30s"}
CANARY = {"stages": [{"selector": {"ring": "canary"}}], "gate": {"timeout_seconds": 300}}


def test_a_bad_revision_is_stopped_at_the_canary(
    request: pytest.FixtureRequest, shared_portal: LiveServer, tmp_path: Path
) -> None:
    if why := collectors.obstacle():
        not_run.note(request.node, "interop", why, "a rollout to opampsupervisors")
        pytest.skip(f"opampsupervisor with a Collector: {why}")
    server, name = shared_portal, f"staged-{uuid4().hex[:8]}"

    def publish(text: str, **fields: Any) -> dict[str, Any]:
        answer = server.api("PUT", f"configurations/{name}", {**configuration(name, {"test": name}, text), **fields})
        assert answer.status in {200, 201}, answer
        return answer.json

    def runs(ring: str, config_hash: str, status: str = "applied") -> bool:
        found = server.get(f"agents?label=test%3D{name}%2Cring%3D{ring}")["results"]
        said = found[0]["remote_config_status"] if found else None
        return said is not None and (said["status"], said["config_hash"]) == (status, config_hash)

    def ended(rollout: int, state: str) -> dict[str, Any] | None:
        shown = server.get(f"rollouts/{rollout}")
        return shown if shown["state"] == state else None

    folders = {ring: tmp_path / ring for ring in ("canary", "late")}
    for folder in folders.values():
        folder.mkdir()
    first = publish(A)["config_hash"]
    with ExitStack() as supervisors:
        for ring, folder in folders.items():
            supervisors.enter_context(
                Supervisor(folder, server.websocket_endpoint, test=name, ring=ring, agent=PATIENT)
            )
            # One after the other: each looks for a free port, and two that look at once find the same one.
            server.eventually(lambda ring=ring: runs(ring, first), PATIENCE, f"{ring} runs the first revision")
        good = publish(B, release=CANARY)
        server.eventually(lambda: ended(good["rollout"]["id"], "completed"), PATIENCE, "the good one has finished")
        assert all(runs(ring, good["config_hash"]) for ring in folders)
        bad = publish(CRASHES, release=CANARY, force=True)
        paused = server.eventually(lambda: ended(bad["rollout"]["id"], "paused"), PATIENCE, "the gate has failed")
        assert paused is not None
        assert paused["reasons"][0]["code"] == "gate-failed"
        assert runs("late", good["config_hash"])
        assert server.api("POST", f"rollouts/{paused['id']}/roll-back", {}).status == 200
        server.eventually(lambda: runs("canary", good["config_hash"]), PATIENCE, "the canary is back")
        assert runs("late", good["config_hash"])
