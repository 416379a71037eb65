"""The same edit for everybody at once and in five stages: how much more CPU the stages cost, and that each agent got it once."""

from __future__ import annotations

import argparse
import time
from typing import Any

from benchmarks.figures import show
from benchmarks.fleet import Fleet
from benchmarks.servers import CONFIGURATION, Costs, portal

_STAGES = {
    "stages": [{"percent": 5}, {"percent": 20}, {"percent": 40}, {"percent": 70}],
    "gate": {"applied_percent": 100, "dwell_seconds": 1},
}


def measure(*, agents: int = 2_000) -> dict[str, Any]:
    """Server CPU from the PUT until every agent has applied it and the rollout has finished, of both, and the ratio."""
    figures: dict[str, Any] = {"agents": agents}
    with portal(ROLLOUT_SECONDS="1") as server, Fleet(server.port, agents) as fleet:
        server.offer_to_all()
        fleet.call("connect", until="applied", within=180)
        spent = {}
        for name, size, release in (("at once", 4096, "at_once"), ("in stages", 2048, _STAGES)):
            fleet.call("forget_times")
            before = set(fleet.call("offers"))
            body = {
                "content_type": "yaml",
                "raw_config": CONFIGURATION.replace("8192", str(size)),
                "selector": {"bench": "yes"},
                "release": release,
            }
            with Costs(server) as costs:
                since = time.monotonic()
                fleet.begin("await_offers", since=since, within=240)
                answer = server.api("PUT", "configurations/bench", body)
                assert answer.status == 200, answer
                fleet.finish()
                if answer.json["rollout"] is not None:
                    rollout = "rollouts?state=completed&name=bench"
                    server.eventually(lambda path=rollout: server.get(path)["count"] == 1, 60, "the rollout ends")
                took = time.monotonic() - since
            (new,) = set(fleet.call("offers")) - before
            assert fleet.call("offers")[new] == {"1": agents}
            spent[name] = costs.figures["server CPU s"]
            figures |= {f"{name}: s": round(took, 1), f"{name}: server CPU s": spent[name]}
    figures["CPU in stages / at once"] = round(spent["in stages"] / spent["at once"], 2)
    return figures


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=2_000)
    show("rollout", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
