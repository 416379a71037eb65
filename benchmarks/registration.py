"""Agents that come for the first time: connect, first report, reply. The portal against a bare echo and a server on opamp-go.

One driver, the same reports, one server after the other, each in one process; so many agents are on their way at once. The
echo takes connection and report and says the report again; the server on opamp-go keeps everything in memory.
"""

from __future__ import annotations

import argparse
from statistics import fmean
from typing import Any

from benchmarks.figures import show
from benchmarks.fleet import Fleet
from benchmarks.servers import Costs, Plain, Portal, echo, opamp_go, portal


def measure(*, agents: int = 2_000, at_once: int = 50, rounds: int = 2) -> dict[str, Any]:
    """Registrations a second and CPU for each, by server, and the portal's share of the others' rate."""
    runs: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        with echo() as server:
            runs.setdefault("echo", []).append(_register(server, agents, at_once, parses=False))
        go = opamp_go()
        if go is not None:
            with go as server:
                runs.setdefault("opamp-go", []).append(_register(server, agents, at_once))
        with portal(workers=1) as server:
            runs.setdefault("portal", []).append(_register(server, agents, at_once))
    results: dict[str, Any] = {
        name: {key: round(fmean(run[key] for run in made), 2) for key in made[0]} for name, made in runs.items()
    }
    for name in ("echo", "opamp-go"):
        if name in results:
            share = results["portal"]["registrations/s"] / results[name]["registrations/s"]
            results[f"registrations per second as a share of {name}"] = round(share, 3)
    return results


def _register(server: Portal | Plain, agents: int, at_once: int, *, parses: bool = True) -> dict[str, float]:
    with Fleet(server.port, agents, parses=parses, reports=True) as fleet:
        with Costs(server) as costs:
            figures = fleet.call("connect", until="registered", within=120, at_once=at_once)
        assert not figures["wrong"], figures["wrong"]
        return {
            "registrations/s": agents / figures["seconds"],
            "server CPU ms each": 1_000 * costs.figures["server CPU s"] / agents,
            "driver CPU s": figures["driver CPU s"],
            "p50 ms": figures["latency ms"]["p50"],
            "p99 ms": figures["latency ms"]["p99"],
            "SQL statements each": costs.figures.get("SQL statements", 0) / agents,
        }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=2_000)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=2)
    show("registration", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
