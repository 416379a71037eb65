"""Everybody comes at once: connect, tell everything, be offered a configuration, say that it runs.

Counts that each agent was offered exactly once, and what one agent's arrival costs the server.
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks.figures import show
from benchmarks.fleet import Fleet
from benchmarks.servers import Costs, portal


def measure(*, agents: int = 2_000, transport: str = "websocket") -> dict[str, Any]:
    """Seconds from the first connect until all are registered, offered, applied; costs per agent."""
    with portal() as server, Fleet(server.port, agents, transport=transport) as fleet:
        server.offer_to_all()
        with Costs(server) as costs:
            figures = fleet.call("connect", until="applied", within=180)
        offers = fleet.call("offers")
        # Who lost the connection before answering is rightly offered again on the next one.
        assert figures["wrong"] or list(offers.values()) == [{"1": agents}], offers
    return {
        "agents": agents,
        "offered so many times": next(iter(offers.values())),
        **{key: figures[key] for key in ("opened s", "registered s", "offered s", "applied s", "latency ms", "wrong")},
        **costs.figures,
        "server CPU ms per agent": round(1_000 * costs.figures["server CPU s"] / agents, 3),
        "SQL statements per agent": round(costs.figures["SQL statements"] / agents, 3),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=2_000)
    parser.add_argument("--transport", choices=["websocket", "http"], default="websocket")
    show("connect storm", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
