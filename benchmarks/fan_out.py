"""One PUT of a configuration that everybody runs: when the last agent has received it, and that each got it exactly once."""

from __future__ import annotations

import argparse
import time
from typing import Any

from benchmarks.figures import show
from benchmarks.fleet import Fleet
from benchmarks.servers import CONFIGURATION, Costs, portal


def measure(*, agents: int = 2_000) -> dict[str, Any]:
    """Seconds from the PUT until it is answered, offered to all, applied by all."""
    with portal() as server, Fleet(server.port, agents) as fleet:
        server.offer_to_all()
        fleet.call("connect", until="applied", within=180)
        fleet.call("forget_times")
        before = set(fleet.call("offers"))
        edited = {"raw_config": CONFIGURATION.replace("8192", "4096"), "selector": {"bench": "yes"}}
        with Costs(server) as costs:
            since = time.monotonic()
            fleet.begin("await_offers", since=since, within=120)
            answer = server.api("PUT", "configurations/bench", {"content_type": "yaml", **edited})
            answered = time.monotonic() - since
            assert answer.status == 200, answer
            figures = fleet.finish()
        # A further offer that nobody needs would come with the next look for missed changes.
        time.sleep(4)
        offers = fleet.call("offers")
    (new,) = set(offers) - before
    assert offers[new] == {"1": agents}, offers
    return {
        "agents": agents,
        "received exactly once": agents,
        "PUT answered s": round(answered, 2),
        "received s": figures["offered s"],
        "applied s": figures["applied s"],
        "wrong": figures["wrong"],
        **costs.figures,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=2_000)
    show("fan-out", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
