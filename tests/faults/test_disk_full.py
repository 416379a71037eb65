"""Not a byte more can be written: agents and people get clear answers, and all is well once there is room."""

from __future__ import annotations

import json
import resource
from pathlib import Path

from tests.faults.configs import Editor, create_all
from tests.faults.fleet import FaultFleet, assert_all_right
from tests.faults.test_postgres_lost import fetch
from tests.live_server import LiveServer

AGENTS = 30


def test_nothing_acknowledged_is_lost_while_the_disk_is_full(tmp_path: Path, rounds: int) -> None:
    with LiveServer(tmp_path, DATABASE_URL="", REDIS_URL="") as server:
        assert server.process is not None
        create_all(server)
        with FaultFleet(server.websocket_endpoint, count=AGENTS) as fleet:
            assert_all_right(server, fleet)
            _soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
            for _ in range(rounds):
                reconnects = fleet.tally.reconnects
                with Editor([server]) as editor:
                    server.eventually(lambda: len(editor.acknowledged) >= 3, 60, "edits")
                    # Every write beyond the first bytes of a file fails from now on, to whatever file.
                    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1, hard))
                    try:
                        server.eventually(lambda: len(editor.refused) >= 3, 60, "edits are refused")
                        assert set(editor.refused) == {503}
                        status, _headers, body = fetch(server, "/health/ready")
                        assert status == 503
                        assert "DATA_DIR" in json.loads(body)["checks"]["storage"]["detail"]
                        assert fetch(server, "/health/live")[0] == 200
                        assert server.get("agents/summary")["total"] == AGENTS
                    finally:
                        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
                    seen = len(editor.acknowledged)
                    server.eventually(lambda: len(editor.acknowledged) >= seen + 3, 60, "edits again")  # noqa: B023
                editor.assert_kept(server)
                assert_all_right(server, fleet)
                assert fleet.tally.reconnects - reconnects <= AGENTS
            assert fetch(server, "/health/ready")[0] == 200
