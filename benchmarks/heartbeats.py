"""Heartbeats as fast as they go: the portal against a bare ASGI echo and a minimal server on opamp-go.

Every agent sends its next heartbeat when the last was answered. One driver, the same messages, one server after the
other, twice around, each in one process. The rate may be limited by the driver; what counts is the CPU time a server spends
on one heartbeat.
"""

from __future__ import annotations

import argparse
from statistics import fmean
from typing import Any

from benchmarks.figures import show
from benchmarks.fleet import Fleet
from benchmarks.servers import Costs, Plain, Portal, echo, opamp_go, portal


def measure(*, agents: int = 100, seconds: float = 5, rounds: int = 2) -> dict[str, Any]:
    """CPU per heartbeat and rate of each server, and the ratios of CPU time: 1 means as cheap as the other."""
    runs: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        with echo() as server:
            runs.setdefault("echo", []).append(_flood(server, agents, seconds, parses=False))
        go = opamp_go()
        if go is not None:
            with go as server:
                runs.setdefault("opamp-go", []).append(_flood(server, agents, seconds))
        with portal(workers=1) as server:
            runs.setdefault("portal", []).append(_flood(server, agents, seconds))
    results: dict[str, Any] = {
        name: {key: round(fmean(run[key] for run in made), 2) for key in made[0]} for name, made in runs.items()
    }
    own = results["portal"]["server CPU µs per heartbeat"]
    for name in ("echo", "opamp-go"):
        if name in results:
            results[f"heartbeats per CPU second as a share of {name}"] = round(
                results[name]["server CPU µs per heartbeat"] / own, 2
            )
    return results


def _flood(server: Portal | Plain, agents: int, seconds: float, *, parses: bool = True) -> dict[str, float]:
    with Fleet(server.port, agents, parses=parses) as fleet:
        fleet.call("connect", until="registered" if parses else "opened", within=60)
        with Costs(server) as costs:
            figures = fleet.call("flood", what="heartbeat", seconds=seconds)
        assert not figures["wrong"], figures["wrong"]
        return {
            "heartbeats/s": figures["replies"] / figures["seconds"],
            "server CPU µs per heartbeat": costs.figures["server CPU s"] / figures["replies"] * 1e6,
            "p50 ms": figures["latency ms"]["p50"],
            "p99 ms": figures["latency ms"]["p99"],
            "SQL statements per 1,000": 1_000 * costs.figures.get("SQL statements", 0) / figures["replies"],
        }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    show("heartbeats", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
