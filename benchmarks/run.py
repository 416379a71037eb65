"""All scenarios one after the other: ``--short`` for every day (at most five minutes), ``--full`` for stated figures.

A scenario that fails is told with its error, the others still run, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import (
    admin_pages,
    batches,
    checks,
    connect_storm,
    fan_out,
    heartbeats,
    hostile,
    live_pages,
    package_downloads,
    page_weights,
    queries,
    reconnect_storm,
    registration,
    rollout,
    selector_edits,
    selector_matching,
    soak,
    status_flood,
    steady_fleet,
    worker_replacement,
)
from benchmarks.figures import show
from benchmarks.fleet import DriverFailed

Scenario = tuple[str, Callable[[], dict[str, Any]]]

SHORT: tuple[Scenario, ...] = (
    ("selector matching", selector_matching.measure),
    ("selector edits", lambda: selector_edits.measure(agents=10_000, configurations=50)),
    ("queries", lambda: queries.measure(agents=10_000)),
    ("checks", checks.measure),
    ("batches", batches.measure),
    ("heartbeats", lambda: heartbeats.measure(seconds=4, rounds=1)),
    ("registration", lambda: registration.measure(agents=500, rounds=1)),
    ("steady fleet", lambda: steady_fleet.measure(agents=2_000, interval=10, seconds=10)),
    ("HTTP pollers", lambda: steady_fleet.measure(agents=1_000, transport="http", interval=10, seconds=10)),
    ("status flood", lambda: status_flood.measure(agents=200, seconds=5)),
    ("connect storm", lambda: connect_storm.measure(agents=2_000)),
    ("connect storm over HTTP", lambda: connect_storm.measure(agents=1_000, transport="http")),
    ("fan-out", lambda: fan_out.measure(agents=2_000)),
    ("rollout", rollout.measure),
    ("package downloads", lambda: package_downloads.measure(mebibytes=50, agents=10)),
    ("reconnect storm", lambda: reconnect_storm.measure(agents=2_000)),
    ("worker replacement", lambda: worker_replacement.measure(agents=500)),
    ("live pages", lambda: live_pages.measure(agents=1_000, pages=40, seconds=15)),
    ("page weights", lambda: page_weights.measure(agents=200)),
    ("pages", lambda: admin_pages.measure(agents=20_000, events=100_000)),
)
FULL: tuple[Scenario, ...] = (
    ("selector matching", selector_matching.measure),
    ("selector edits", selector_edits.measure),
    ("queries", queries.measure),
    ("checks", checks.measure),
    ("batches", batches.measure),
    ("heartbeats", lambda: heartbeats.measure(seconds=8, rounds=3)),
    ("registration", lambda: registration.measure(rounds=3)),
    ("registration, 500 at once", lambda: registration.measure(at_once=500, rounds=3)),
    ("steady fleet", lambda: steady_fleet.measure(agents=10_000, seconds=60)),
    ("HTTP pollers", lambda: steady_fleet.measure(agents=10_000, transport="http", seconds=60)),
    ("status flood", status_flood.measure),
    ("status flood over HTTP", lambda: status_flood.measure(transport="http")),
    ("connect storm of 2,000", connect_storm.measure),
    ("connect storm of 10,000", lambda: connect_storm.measure(agents=10_000)),
    ("connect storm over HTTP", lambda: connect_storm.measure(transport="http")),
    ("fan-out to 10,000", lambda: fan_out.measure(agents=10_000)),
    ("rollout to 10,000", lambda: rollout.measure(agents=10_000)),
    ("package downloads", package_downloads.measure),
    ("reconnect storm of 10,000", lambda: reconnect_storm.measure(agents=10_000)),
    ("worker replacement", worker_replacement.measure),
    ("hostile peers", hostile.measure),
    ("live pages", live_pages.measure),
    ("page weights", page_weights.measure),
    ("pages", admin_pages.measure),
    ("soak", soak.measure),
)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--short", action="store_true")
    size.add_argument("--full", action="store_true")
    begun = time.monotonic()
    failed = 0
    for name, measure in SHORT if parser.parse_args().short else FULL:
        try:
            show(name, measure())
        except (AssertionError, DriverFailed, OSError) as error:
            failed += 1
            show(name, {"failed": repr(error)[:2_000]})
    print(f"\n{time.monotonic() - begun:.0f} s, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
