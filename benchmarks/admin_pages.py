"""Pages of the portal over a large fleet on PostgreSQL: server time, number of queries, tables read from end to end.

The fleet is one agent that really registered, copied in the database with other names, versions and states. Filling takes
minutes: ``--database NAME`` keeps the filled database under that name and measures it again the next time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from benchmarks.browser import Browser
from benchmarks.figures import show
from benchmarks.fleet import Fleet
from benchmarks.servers import Portal, portal

_REPEATS = 5
MOST_MS = 300.0
MOST_QUERIES = 15
_SYSTEMS = "(ARRAY['linux','windows','darwin'])[1 + n % 3]"
_VERSIONS = "(ARRAY['0.128.0','0.131.1','0.135.0','0.139.0'])[1 + n % 4]"


_FIRST = 1_000_000


def measure(
    *, agents: int = 100_000, events: int = 1_000_000, database: str = "", only: str = "", fill: bool = False
) -> dict[str, Any]:
    """Median server milliseconds, queries, and tables read from end to end, of each page; and the pages that miss a goal.

    ``database`` is kept and measured again; one that holds another number of rows is made anew. ``only`` those pages
    whose title contains it. ``fill``: nothing is measured.
    """
    if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        return {"skipped": "needs PostgreSQL: set DATABASE_URL"}
    with _filled(agents, events, database) as server:
        if fill:
            return {"filled": database}
        one = _FIRST + 4_711 % agents
        browser = Browser(server)
        configuration = _first_configuration(browser)
        pages = {
            "dashboard": "/admin/",
            **{f"agents{title}": f"/admin/agents/agent/?{query}" for title, query in LISTS.items()},
            "one agent": f"/admin/agents/agent/{one}/change/",
            "configurations": "/admin/configurations/configuration/",
            "one configuration": f"/admin/configurations/configuration/{configuration}/change/",
            **{f"API: agents{title}": f"/api/v1/agents?{query}" for title, query in _API_LISTS.items()},
            "API: summary": "/api/v1/agents/summary",
            "API: configurations": "/api/v1/configurations",
            "API: agents of a configuration": "/api/v1/configurations/bench/agents",
            "API: agents of a configuration, page 2000": "/api/v1/configurations/bench/agents?page=2000",
        }
        pages = {name: path for name, path in pages.items() if only in name}
        results: dict[str, Any] = {"fleet": agents, "events": events}
        for name, path in pages.items():
            results[name] = _cost(browser, path)
        results["goals missed"] = [name for name in pages if _misses(results[name])] or "none"
        return results


# Titles, each after a comma, and query strings. Columns of the admin's list: 1 name, 3 version, 4 OS, 5 configuration, 6 last seen.
LISTS = {
    "": "",
    ", page 100": "p=100",
    ", page 2000": "p=2000",
    ", search": "q=host-0004711",
    ", search that finds all": "q=host",
    ", search that finds nothing": "q=no-such-host",
    ", search for two characters": "q=zz",
    ", one label": "q=n%3D4711",
    ", a label of all": "q=bench%3Dyes",
    ", a label of none": "q=bench!%3Dyes",
    **{
        f", {name} {value or 'none'}": f"{name}={value}"
        for name, values in {
            "status": ("connected", "configuring", "error", "disconnected"),
            "healthy": ("true", "false", "unknown"),
            "in_sync": ("true", "false", "unknown"),
            "configuration": ("bench", ""),
            "os_type": ("linux",),
            "version": ("0.131.1",),
            "transport": ("websocket", "http"),
        }.items()
        for value in values
    },
    **{f", order {column}": f"o={column}" for column in (1, -1, 3, -3, 4, 5, 6, -6)},
    ", order 6, page 1000": "o=6&p=1000",
    ", order 6, page 2000": "o=6&p=2000",
    ", order 6, errors of a version": "o=6&status=error&version=0.131.1",
}
_ORDERS = ("name", "first_seen_at", "last_seen_at", "version", "hostname", "os_type", "connected_at")
_API_LISTS = {
    "": "",
    ", page 2000": "page=2000",
    **{
        f", {query}": query
        for query in (
            "search=host-0004711", "search=host", "search=no-such-host", "search=zz", "status=error",
            "status=connected,error", "healthy=false", "in_sync=unknown", "connected=false", "configuration=bench",
            "os_type=linux", "version=0.131.1", "architecture=amd64", "architecture=none", "hostname=host-0004711",
            "service_name=none", "label=n%3D4711", "label=bench%3Dyes", "label=bench", "label=!bench",
            "label=service.version%3E0.131.1",
        )
    },
    **{f", order {sign}{name}": f"ordering={sign}{name}" for name in _ORDERS for sign in ("", "-")},
    **{f", order {name}, page 2000": f"ordering={name}&page=2000" for name in _ORDERS},
}  # fmt: skip


def _misses(cost: Mapping[str, Any]) -> bool:
    return cost["ms"] > MOST_MS or cost["queries"] > MOST_QUERIES or cost["read from end to end"] != "none"


@contextlib.contextmanager
def _filled(agents: int, events: int, kept: str) -> Iterator[Portal]:
    """A portal over that many rows, in a database of its own or in the one named ``kept``."""
    url = os.environ["DATABASE_URL"]
    named = urlunsplit(urlsplit(url)._replace(path=f"/{kept}"))
    is_full = bool(kept) and _holds(url, named, kept, agents, events)
    if kept and not is_full:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in ("DROP DATABASE IF EXISTS {} WITH (FORCE)", "CREATE DATABASE {}"):
                connection.execute(sql.SQL(statement).format(sql.Identifier(kept)))
    with portal(**{"DATABASE_URL": named} if kept else {}) as server:
        if not is_full:
            with Fleet(server.port, 1) as fleet:
                server.offer_to_all()
                fleet.call("connect", until="applied", within=60)
                _multiply(server.environment["DATABASE_URL"], agents, events)
        with psycopg.connect(server.environment["DATABASE_URL"], autocommit=True) as connection:
            # What a migration has just added has statistics then, too.
            connection.execute("VACUUM ANALYZE")
        yield server


def _holds(url: str, named: str, kept: str, agents: int, events: int) -> bool:
    """Whether the database is there and was filled to the end."""
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [kept]).fetchone() is None:
            return False
    with psycopg.connect(named) as connection:
        if connection.execute("SELECT to_regclass('agents_agentevent')").fetchone() == (None,):
            return False
        counted = "SELECT (SELECT count(*) FROM {} WHERE id > {}), (SELECT count(*) FROM {} WHERE id > {})"
        found = connection.execute(
            sql.SQL(counted).format(sql.Identifier("agents_agent"), _FIRST, sql.Identifier("agents_agentevent"), _FIRST)
        )
        return found.fetchone() == (agents, events)


def _multiply(database_url: str, agents: int, events: int) -> None:
    """Copy the one agent and its rows ``agents`` times and write ``events`` lines of timelines."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute("SELECT min(id) FROM agents_agent").fetchone()
        assert row is not None
        origin, first = row[0], _FIRST
        numbers = f"generate_series(1, {agents}) AS n"
        _copy(
            connection, "agents_agent", "id", origin, numbers,
            {
                "id": f"{first} + n", "instance_uid": "gen_random_uuid()", "next_instance_uid": "NULL",
                "name": "'host-' || lpad(n::text, 7, '0')", "hostname": "'host-' || lpad(n::text, 7, '0')",
                "version": _VERSIONS, "os_type": _SYSTEMS, "lease_id": "''",
                # Nobody holds them: a server that ends, or looks for agents of dead ones, must leave them as they are.
                "lease_process": "''", "connected": "n % 10 <> 0", "healthy": "n % 50 <> 1",
                "first_seen_at": "now() - n * interval '1 minute'",
                "connected_at": "now() - (n * 7919 % 100000) * interval '1 second'",
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
        "read from end to end": scans or "none",
        "KiB": round(size / 1024),
    }


def _first_configuration(browser: Browser) -> str:
    """The key of the only configuration, as its page's address has it."""
    found = re.search(rb"/configuration/(\d+)/change/", browser.visit("/admin/configurations/configuration/").body)
    assert found is not None
    return found[1].decode()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--database", default="", help="Keep the filled database under this name, and use it again.")
    parser.add_argument("--only", default="", help="Measure the pages whose title contains this.")
    parser.add_argument("--fill", action="store_true", help="Fill the database, measure nothing.")
    show("pages", measure(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
