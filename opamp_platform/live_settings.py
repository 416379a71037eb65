"""The settings of sockets over which open pages and programs hear of changes, read for `opamp_platform.settings`."""

from __future__ import annotations

from opamp_platform.environment import Environment


def live_sockets(env: Environment) -> tuple[int, int]:
    """How many one process takes in all, and of one person; 0 in all: pages read themselves again every few seconds instead."""
    in_all = env.integer("LIVE_SOCKETS", 1_000, least=0, most=100_000)
    return in_all, env.integer("LIVE_SOCKETS_PER_PERSON", 50, least=1, most=10_000)
