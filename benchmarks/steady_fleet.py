"""A fleet in its everyday life: connected, idle, then a heartbeat every 30 s from each agent.

Tells what one agent costs in memory, how much of one core the heartbeats take, and how long an answer takes.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from benchmarks.figures import show
from benchmarks.fleet import Fleet
from benchmarks.servers import Costs, portal, rss_bytes


def measure(
    *, agents: int = 2_000, transport: str = "websocket", interval: float = 30, seconds: float = 30
) -> dict[str, Any]:
    """Memory per agent after registration, then costs and latencies of ``seconds`` of heartbeats."""
    with portal() as server:
        empty = rss_bytes(server.pid)
        with Fleet(server.port, agents, transport=transport) as fleet:
            fleet.call("connect", until="registered", within=180, per_second=1_000)
            registered = rss_bytes(server.pid)
            with Costs(server) as idle:
                time.sleep(min(10.0, seconds))
            with Costs(server) as costs:
                figures = fleet.call("beat", interval=interval, seconds=seconds)
    return {
        "agents": agents,
        "interval s": interval,
        "RSS KiB per agent, all in": round(registered / agents / 1024, 1),
        "RSS KiB per agent, grown": round((registered - empty) / agents / 1024, 1),
        "idle: share of a core": round(idle.figures["server CPU s"] / idle.figures["of seconds"], 3),
        "idle: SQL statements per s": round(idle.figures["SQL statements"] / idle.figures["of seconds"], 2),
        "beating: share of a core": round(costs.figures["server CPU s"] / costs.figures["of seconds"], 3),
        "beating: SQL statements per s": round(costs.figures["SQL statements"] / costs.figures["of seconds"], 2),
        "answered": figures["replies"],
        "latency ms": figures["latency ms"],
        "wrong (5xx, errors, losses)": figures["wrong"],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=2_000)
    parser.add_argument("--transport", choices=["websocket", "http"], default="websocket")
    parser.add_argument("--interval", type=float, default=30)
    parser.add_argument("--seconds", type=float, default=30)
    show("steady fleet", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
