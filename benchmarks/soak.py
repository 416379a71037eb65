"""Half an hour of everything a portal does at once: whether it grows, leaks, or loses anybody.

A fleet with heartbeats, a tenth of which leaves each minute while as many come back; an edit for everybody each minute; a
page and an answer of the API every ten seconds. While it warms up there is an edit every ten seconds as well: what hundreds
of answers at once need sets how much memory a process keeps, and that is to be known before growth is looked for. The agents
that come are the ones that left before, so the number of uids is bounded, and the database grows by timelines and connection
history alone.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.browser import Browser
from benchmarks.figures import show
from benchmarks.fleet import Fleet
from benchmarks.servers import CONFIGURATION, Portal, Vitals, portal, process_tree, role, vitals

# Who left stays away for about so many minutes.
_MINUTES_AWAY = 2
_EDIT_SECONDS, _EDIT_SECONDS_AT_FIRST = 60.0, 10.0
_PAGES = (
    "/admin/",
    "/admin/agents/agent/",
    "/admin/agents/agent/?q=otelcol",
    "/admin/agents/agent/?status=connected",
    "/admin/configurations/configuration/",
)
_ANSWERS = ("/api/v1/agents", "/api/v1/agents/summary", "/api/v1/configurations", "/api/v1/configurations/bench/agents")


@dataclass(frozen=True, slots=True)
class Sample:
    """What the portal held at one moment, ``at`` seconds from the beginning; ``processes`` by name."""

    at: float
    connections: int
    processes: dict[str, Vitals]

    @property
    def rss_mib(self) -> float:
        """Of all processes; pages that they share count in each."""
        return sum(process.rss_bytes for process in self.processes.values()) / 2**20

    @property
    def other_files(self) -> int:
        """Open files beside the agents' connections."""
        return sum(process.open_files for process in self.processes.values()) - self.connections


def measure(
    *,
    agents: int = 1_000,
    interval: float = 10,
    churn: float = 0.1,
    minutes: float = 30,
    warm_up: float = 5,
    sample_seconds: float = 10,
) -> dict[str, Any]:
    """Growth of memory, open files and threads after ``warm_up`` minutes; losses and wrong answers of the whole run."""
    away = max(2, round(agents * churn * _MINUTES_AWAY))
    wrong: Counter[str] = Counter()
    with portal() as server, Fleet(server.port, agents + away) as fleet:
        server.offer_to_all()
        fleet.call("connect", until="applied", within=180, per_second=500)
        browser = Browser(server)
        fleet.begin("live", interval=interval, seconds=60 * minutes, away=away, churn=churn)
        visits = _watch(
            server, browser, wrong, seconds=60 * minutes, warm_up=60 * warm_up, sample_seconds=sample_seconds
        )
        samples = list(visits)
        figures = fleet.finish()
    wrong.update({what: times for what, times in figures["wrong"].items() if what != "connection lost"})
    return {
        "agents": agents,
        "distinct uids": agents + away,
        "left and came back": figures["left and came back"],
        "edits": _edits(60 * minutes, 60 * warm_up),
        "offers received": figures["offered s"].get("count", 0),
        "messages answered": figures["replies"],
        "latency ms": figures["latency ms"],
        "drops": figures["wrong"].get("connection lost", 0),
        "wrong": dict(wrong),
        **summary(samples, warm_up=60 * warm_up),
    }


def summary(samples: Sequence[Sample], *, warm_up: float) -> dict[str, Any]:
    """Slopes by least squares, and the medians of the first and the last samples, from ``warm_up`` seconds on.

    Raises ValueError when fewer than three samples are left.
    """
    window = [sample for sample in samples if sample.at >= warm_up]
    if len(window) < 3:
        raise ValueError(f"only {len(window)} samples after the warm-up: take more minutes, or a shorter warm-up")
    names = [name for name in window[0].processes if all(name in sample.processes for sample in window)]
    return {
        "samples": len(window),
        "memory, MiB per 10 minutes": {
            "all": _per_ten_minutes(window, [sample.rss_mib for sample in window]),
            **{
                name: _per_ten_minutes(window, [sample.processes[name].rss_bytes / 2**20 for sample in window])
                for name in names
            },
        },
        "memory, MiB": _ends([sample.rss_mib for sample in window]),
        "files beside connections": _ends([sample.other_files for sample in window]),
        "threads": _ends([sum(process.threads for process in sample.processes.values()) for sample in window]),
        "connections": _ends([sample.connections for sample in window]),
        "processes replaced": len({name for sample in samples for name in sample.processes})
        - len(samples[0].processes),
    }


def _per_ten_minutes(window: Sequence[Sample], values: Sequence[float]) -> float:
    return round(statistics.linear_regression([sample.at for sample in window], values).slope * 600, 2)


def _ends(values: Sequence[float]) -> dict[str, float]:
    few = max(1, min(6, len(values) // 2))
    return {
        "first": round(statistics.median(values[:few]), 1),
        "last": round(statistics.median(values[-few:]), 1),
        "most": round(max(values), 1),
    }


def _edits(seconds: float, warm_up: float) -> int:
    """How often the configuration was edited in the first ``seconds``."""
    at_first = min(seconds, warm_up)
    return int(at_first // _EDIT_SECONDS_AT_FIRST + (seconds - at_first) // _EDIT_SECONDS)


def _watch(
    server: Portal, browser: Browser, wrong: Counter[str], *, seconds: float, warm_up: float, sample_seconds: float
) -> Iterator[Sample]:
    """Look, visit a page and edit at their times, until ``seconds`` are over."""
    visits = zip(itertools.cycle(_PAGES), itertools.cycle(_ANSWERS), strict=False)
    begun = time.monotonic()
    edits = 0
    for number in range(int(seconds // sample_seconds)):
        time.sleep(max(0.0, begun + number * sample_seconds - time.monotonic()))
        sample = _sample(server, time.monotonic() - begun)
        print(
            f"{sample.at:6.0f} s  {sample.rss_mib:7.1f} MiB  {sample.connections} connections  "
            f"{sample.other_files} other files  " + "  ".join(_shown(*process) for process in sample.processes.items()),
            file=sys.stderr, flush=True,
        )  # fmt: skip
        yield sample
        for path in next(visits):
            page = browser.visit(path)
            if page.status != 200:
                wrong[f"{path}: {page.status}"] += 1
        while edits < _edits((number + 1) * sample_seconds, warm_up):
            edits += 1
            raw_config = CONFIGURATION.replace("8192", str(8_192 + edits))
            body = {"content_type": "yaml", "raw_config": raw_config, "selector": {"bench": "yes"}}
            status = server.api("PUT", "configurations/bench", body).status
            if status != 200:
                wrong[f"edit: {status}"] += 1


def _sample(server: Portal, at: float) -> Sample:
    return Sample(at, server.connections(), {f"{role(pid)} {pid}": vitals(pid) for pid in process_tree(server.pid)})


def _shown(name: str, process: Vitals) -> str:
    return f"{name}: {process.rss_bytes / 2**20:.1f} MiB, {process.open_files} files, {process.threads} threads"


def main() -> int:
    """Command line; the exit status is 1 when memory or files grow, or anything was lost or wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1_000)
    parser.add_argument("--interval", type=float, default=10)
    parser.add_argument("--churn", type=float, default=0.1, help="share of the fleet that leaves and comes each minute")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--warm-up", type=float, default=5, help="minutes that do not count")
    results = measure(**vars(parser.parse_args()))
    show("soak", results)
    grows = results["memory, MiB per 10 minutes"]["all"] > 1
    return 1 if grows or results["drops"] or results["wrong"] or results["processes replaced"] else 0


if __name__ == "__main__":
    sys.exit(main())
