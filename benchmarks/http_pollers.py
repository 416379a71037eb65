"""Agents over plain HTTP, each polling every 30 s on its kept connection: latencies, errors, costs."""

from __future__ import annotations

import argparse

from benchmarks import steady_fleet
from benchmarks.figures import show


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=2_000)
    parser.add_argument("--interval", type=float, default=30)
    parser.add_argument("--seconds", type=float, default=30)
    show("HTTP pollers", steady_fleet.measure(transport="http", **vars(parser.parse_args())))


if __name__ == "__main__":
    main()
