"""SIGHUP to a server of two workers under a connected fleet: every agent is sent away once and lands at a new worker.

Needs PostgreSQL and Redis (DATABASE_URL, REDIS_URL). "Shown disconnected" is the most that the REST API ever counted.
"""

from __future__ import annotations

import argparse
import signal
import time
from typing import Any

from benchmarks.figures import show
from benchmarks.fleet import Fleet
from benchmarks.servers import Portal, default_workers, portal, process_tree, role

_SECONDS = 45.0


def measure(*, agents: int = 2_000) -> dict[str, Any]:
    """How long agents were away, how many were refused, and how the new workers share them."""
    if default_workers() < 2:
        return {"not measured": "several workers need PostgreSQL and Redis"}
    with portal(workers=2) as server, Fleet(server.port, agents) as fleet:
        fleet.call("connect", until="registered", within=180)
        former = workers(server)
        fleet.begin("return_from_replaced", seconds=_SECONDS)
        begun = time.monotonic()
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        shown = 0
        ended: float | None = None
        while time.monotonic() - begun < _SECONDS:
            shown = max(shown, server.get("agents/summary")["status"]["disconnected"])
            if ended is None and not former & workers(server):
                ended = time.monotonic() - begun
            time.sleep(0.2)
        figures = fleet.finish()
        held = sorted(count for _process, count in server.rows(_HELD))
    return figures | {
        "shown disconnected": shown,
        "former workers gone after s": ended and round(ended, 1),
        "agents of each new worker": held,
        "most : fewest": round(held[-1] / held[0], 2),
    }


_HELD = "SELECT lease_process, count(*) FROM agents_agent WHERE connected GROUP BY lease_process"


def workers(server: Portal) -> set[int]:
    """The process ids of the workers that live."""
    return {pid for pid in process_tree(server.pid) if role(pid) == "worker"}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=2_000)
    show("worker replacement", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
