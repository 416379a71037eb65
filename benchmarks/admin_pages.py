"""Pages of the portal over a large fleet on PostgreSQL: server time, number of queries, large tables read end to end.

The fleet is one agent that really registered, copied in the database with other names, versions and states.
"""

from __future__ import annotations

import argparse
import os
import urllib.parse
from collections.abc import Mapping
from typing import Any

import psycopg

from benchmarks.browser import Browser
from benchmarks.figures import show
from benchmarks.fleet import Fleet
from benchmarks.servers import portal

_REPEATS = 5
_VERSIONS = "(ARRAY['0.128.0','0.131.1','0.135.0','0.139.0'])[1 + n % 4]"


def measure(*, agents: int = 100_000, events: int = 1_000_000) -> dict[str, Any]:
    """Median server milliseconds, queries and sequential scans of each page."""
    if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        return {"skipped": "needs PostgreSQL: set DATABASE_URL"}
    with portal() as server, Fleet(server.port, 1) as fleet:
        server.offer_to_all()
        fleet.call("connect", until="applied", within=60)
        one = _multiply(server.environment["DATABASE_URL"], agents, events)
        browser = Browser(server)
        pages = {
            "dashboard": "/admin/",
            "agents": "/admin/agents/agent/",
            "agents, page 100": "/admin/agents/agent/?p=100",
            "agents, search": "/admin/agents/agent/?q=host-0004711",
            "agents, status error": "/admin/agents/agent/?status=error",
            "agents, by version": "/admin/agents/agent/?version=0.131.1",
            "agents, by last seen": "/admin/agents/agent/?o=7",
            "one agent": f"/admin/agents/agent/{one}/change/",
            "configurations": "/admin/configurations/configuration/",
            "one configuration": f"/admin/configurations/configuration/{server.get('configurations/bench').get('id', 1)}/change/",
            "API: agents": "/api/v1/agents",
            "API: agents by label": "/api/v1/agents?" + urllib.parse.urlencode({"labels": "env=prod"}),
        }
        results: dict[str, Any] = {"fleet": agents, "events": events}
        for name, path in pages.items():
            results[name] = _cost(browser, path)
        return results


def _multiply(database_url: str, agents: int, events: int) -> int:
    """Copy the one agent and its rows ``agents`` times and write ``events`` lines of timelines; returns one copy's key."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute("SELECT min(id) FROM agents_agent").fetchone()
        assert row is not None
        origin, first = row[0], 1_000_000
        numbers = f"generate_series(1, {agents}) AS n"
        _copy(
            connection, "agents_agent", "id", origin, numbers,
            {
                "id": f"{first} + n", "instance_uid": "gen_random_uuid()", "next_instance_uid": "NULL",
                "name": "'host-' || lpad(n::text, 7, '0')", "hostname": "'host-' || lpad(n::text, 7, '0')",
                "version": _VERSIONS, "lease_id": "''", "connected": "n % 10 <> 0", "healthy": "n % 50 <> 1",
                "in_sync": "n % 20 <> 2", "labels": "labels || jsonb_build_object('n', n::text)",
            },
        )  # fmt: skip
        seen = {"last_seen_at": "now() - n * interval '1 second'"}
        for table, values in (
            ("agents_reportedstate", {}),
            ("agents_agentpresence", seen),
            ("configurations_assignment", {}),
        ):
            _copy(connection, table, "agent_id", origin, numbers, {"agent_id": f"{first} + n", **values})
        _copy(
            connection, "agents_agentevent", "id", "(SELECT max(id) FROM agents_agentevent)",
            f"generate_series(1, {events}) AS n",
            {"id": f"{first} + n", "agent_id": f"{first} + 1 + n % {agents}", "at": f"now() - ({events} - n) * interval '1 ms'"},
        )  # fmt: skip
        connection.execute("VACUUM ANALYZE")
        return first + 4_711 % agents


def _copy(
    connection: psycopg.Connection[Any], table: str, key: str, origin: object, numbers: str, values: Mapping[str, str]
) -> None:
    """Insert copies of the row ``origin``, with some columns computed from ``n``."""
    found = connection.execute(
        "SELECT quote_ident(column_name) FROM information_schema.columns WHERE table_name = %s ORDER BY 1", [table]
    )
    columns = [name for (name,) in found]
    selected = ", ".join(values.get(name.strip('"'), name) for name in columns)
    sql = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {selected} FROM {table}, {numbers} WHERE {key} = {origin}"
    connection.execute(sql.encode())


def _cost(browser: Browser, path: str) -> dict[str, Any]:
    """Several visits of one page; the median and the worst."""
    seconds: list[float] = []
    queries, scans, size = 0, "", 0
    for visit in range(_REPEATS + 1):
        page = browser.visit(path, **({"X-Bench-Explain": "yes"} if visit == _REPEATS else {}))
        assert page.status == 200, page.status
        size = len(page.body)
        seconds.append(float(page.headers["X-Bench-Seconds"]))
        queries = int(page.headers["X-Bench-Queries"])
        scans = page.headers.get("X-Bench-Scans", "")
    ordered = sorted(seconds)
    return {
        "ms": round(1_000 * ordered[len(ordered) // 2], 1),
        "ms max": round(1_000 * ordered[-1], 1),
        "queries": queries,
        "sequential scans": scans or "none",
        "KiB": round(size / 1024),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    show("pages", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
