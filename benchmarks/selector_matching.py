"""The index of selectors alone, without a database: building it, and the winner for one agent's labels."""

from __future__ import annotations

import argparse
import random
import time
from typing import Any

from agents.selectors import Entry, SelectorIndex, parse_selector
from benchmarks.figures import show


def measure(*, selectors: int = 1_000, agents: int = 10_000) -> dict[str, Any]:
    """Milliseconds to build, microseconds to match; every selector asks for one of many services and an environment."""
    chance = random.Random(7)
    entries = [
        Entry(
            key=number,
            name=f"configuration-{number}",
            priority=chance.randrange(5),
            selector=parse_selector({"service.name": f"service-{number % 500}", "env": chance.choice(["prod", "dev"])}),
        )
        for number in range(selectors)
    ]
    begun = time.perf_counter()
    index = SelectorIndex.build(entries)
    built = time.perf_counter() - begun
    labels = [
        {
            "service.name": f"service-{chance.randrange(600)}",
            "env": chance.choice(["prod", "dev"]),
            "host.name": f"h{n}",
        }
        for n in range(agents)
    ]
    begun = time.perf_counter()
    matched = sum(index.winner(one) is not None for one in labels)
    spent = time.perf_counter() - begun
    return {
        "selectors": selectors,
        "agents": agents,
        "matched": matched,
        "build ms": round(1_000 * built, 2),
        "µs per agent": round(1e6 * spent / agents, 2),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--selectors", type=int, default=1_000)
    parser.add_argument("--agents", type=int, default=10_000)
    show("selector matching", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
