"""Status changes as fast as they go: the health of every agent turns with every message, so each one reaches the database."""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks.figures import show
from benchmarks.fleet import Fleet
from benchmarks.servers import Costs, portal


def measure(*, agents: int = 500, transport: str = "websocket", seconds: float = 8) -> dict[str, Any]:
    """Rate, latency, CPU and SQL statements for one recorded change."""
    with portal() as server, Fleet(server.port, agents, transport=transport) as fleet:
        fleet.call("connect", until="registered", within=120)
        with Costs(server) as costs:
            figures = fleet.call("flood", what="health", seconds=seconds)
    return {
        "agents": agents,
        "changes/s": round(figures["replies"] / figures["seconds"]),
        "latency ms": figures["latency ms"],
        "server CPU µs per change": round(costs.figures["server CPU s"] / figures["replies"] * 1e6),
        "SQL statements per change": round(costs.figures["SQL statements"] / figures["replies"], 4),
        "wrong": figures["wrong"],
        **costs.figures,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--transport", choices=["websocket", "http"], default="websocket")
    parser.add_argument("--seconds", type=float, default=8)
    show("status flood", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
