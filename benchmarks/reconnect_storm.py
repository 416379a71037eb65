"""The server is killed without a word and started again: everybody comes back with a full report.

The clock runs from the kill; clients try again once a second with jitter.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from benchmarks.figures import show
from benchmarks.fleet import Fleet
from benchmarks.servers import cpu_seconds, portal


def measure(*, agents: int = 2_000) -> dict[str, Any]:
    """Seconds from the kill until the server is ready, and until the last agent is registered again."""
    with portal() as server, Fleet(server.port, agents) as fleet:
        server.offer_to_all()
        fleet.call("connect", until="applied", within=180)
        killed_at = time.monotonic()
        fleet.begin("reconnect", killed_at=killed_at, within=180)
        server.kill_workers()
        server.start()
        ready = time.monotonic() - killed_at
        figures = fleet.finish()
        spent = cpu_seconds(server.pid)
        offers = fleet.call("offers")
    return {
        "agents": agents,
        "server ready s": round(ready, 2),
        "registered again s": figures["registered s"],
        "offered again": {times: count for counts in offers.values() for times, count in counts.items()},
        "wrong": figures["wrong"],
        "server CPU s since the start": round(spent, 2),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=2_000)
    show("reconnect storm", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
