"""Queries over a large fleet: the list over REST, the page of the list with its filters and their counts, and the export.

The fleet is rows without connections. The portal is started for an empty database, and stopped before anything is measured:
pages are asked in the measuring process, so that nothing but they and the database is in the figures. Beside the clock, which
counts whatever else the machine does, stands CPU: of the measuring thread and of its connection's process in PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit, urlunsplit
from uuid import uuid5

import psycopg
from psycopg import sql

from benchmarks.figures import UID_NAMESPACE, show
from benchmarks.servers import ROOT, portal

_INSIDE = "--inside"
_SLICE = 5_000
_ROUNDS = 5
# How many different times of being last seen there are, 100 seconds apart.
_AGES = 36
MOST_MS = 300.0
MOST_STATEMENTS = 15

QUERIES = {
    "all": "",
    "facts": "status:error os:linux",
    "a label": "env=prod region=eu-7",
    "a label of many": "env=prod",
    "facts, labels and a version": "status:connected env=prod -region=eu-7 version<0.3 health:good",
    "a word of ours or another": "config:configuration-7 or (health:bad transport:http)",
    "brackets and negation": "-(status:error or region=eu-7) (os:linux or team=green)",
    "text": '"host-00077"',
    "text of all": "otelcol",
    "age": "seen<5m status:connected",
    "a version": "version>=0.3",
    "a label as a version": "build>=90",
    "the beginning of a label": "region=eu-1*",
    "one of some labels": "region in (eu-1, eu-2, eu-3)",
    "a label negated": "env!=prod",
    "no such label": "-has:rack",
    "nobody": "region=nowhere",
}
PAGES = {
    "a deep page": "q=env%3Dprod&p=150",
    "by last seen, a deep page": "q=os:linux&o=6&p=150",
    "columns": "q=env%3Dprod&columns=name,status,version,label:region,label:build,cpu,memory,throughput,last_seen_at",
    "groups by a label": "q=status:connected&group=region",
    "groups of all": "q=&group=team",
    "a filter as it was before queries": "status=error&version=0.1.1",
}
REST = {
    "summary": "agents/summary?q=env%3Dprod",
    "groups by a label": "agents:groups?label=region&q=status:connected",
    "ordered, a deep page": "agents?q=os:linux&ordering=-last_seen_at&page=100",
}


def measure(*, agents: int = 100_000, database: str = "", only: str = "") -> dict[str, Any]:
    """Milliseconds, CPU and statements of each query in each place, agents a second of an export, and what misses a goal.

    ``database`` is kept under that name on the same server and measured again the next time. ``only`` what has it in its title.
    """
    url = os.environ.get("DATABASE_URL", "")
    named = urlunsplit(urlsplit(url)._replace(path=f"/{database}")) if database else ""
    if named:
        with psycopg.connect(url, autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    environment = {"OPAMP_OWN_TELEMETRY": "true", **({"DATABASE_URL": named} if named else {})}
    with portal(workers=1, **environment) as server:
        server.terminate()
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.queries", _INSIDE, f"--agents={agents}", f"--only={only}"],
            cwd=ROOT, env=server.environment, check=True, stdout=subprocess.PIPE, timeout=1_200,
        )  # fmt: skip
    results: dict[str, Any] = json.loads(ran.stdout)
    return results


def _inside(agents: int, only: str) -> dict[str, Any]:
    """In a process that has the portal's settings and its database."""
    import django

    django.setup()
    from django.conf import settings
    from django.test import Client

    from accounts.models import User

    settings.ALLOWED_HOSTS = ["*"]
    _fill(agents)
    client = Client()
    person, _new = User.objects.get_or_create(username="measuring", defaults={"is_superuser": True, "is_staff": True})
    client.force_login(person)
    texts = {title: urlencode({"q": query}) for title, query in QUERIES.items()}
    addresses = {
        **{f"REST: {title}": f"/api/v1/agents?format=json&{text}" for title, text in texts.items()},
        **{f"REST: {title}": f"/api/v1/{path}" for title, path in REST.items()},
        **{f"page: {title}": f"/admin/agents/agent/?{text}" for title, text in texts.items()},
        **{f"page: {title}": f"/admin/agents/agent/?{text}" for title, text in PAGES.items()},
        "page: a saved view": _saved_view(person),
    }
    costs = {title: _asked(client, url) for title, url in addresses.items() if only in title}
    results: dict[str, Any] = {
        "agents": agents,
        **{title: cost.text for title, cost in costs.items()},
        "above 300 ms by the clock": [title for title, cost in costs.items() if cost.ms > MOST_MS] or "none",
        "above 300 ms of CPU": [title for title, cost in costs.items() if cost.cpu_ms > MOST_MS] or "none",
        "above 15 statements": [title for title, cost in costs.items() if cost.statements > MOST_STATEMENTS] or "none",
    }
    if not only:
        begun = time.perf_counter()
        answer: Any = client.get("/api/v1/agents:export?q=env=prod")
        lines = sum(piece.count(b"\n") for piece in answer.streaming_content)
        took = time.perf_counter() - begun
        results["export"] = {"agents": lines - 1, "seconds": round(took, 1), "agents a second": round(lines / took)}
    return results


class Cost(NamedTuple):
    """Of one address: medians in milliseconds, how many statements, and the tables read from end to end."""

    ms: float
    cpu_ms: float
    database_cpu_ms: float
    statements: int
    read: str

    @property
    def text(self) -> str:
        """For one line of the table."""
        cpu = f"CPU {self.cpu_ms:.0f} ms, {self.database_cpu_ms:.0f} of it the database's"
        return f"{self.ms:.0f} ms; {cpu}; {self.statements} statements" + (f"; all of {self.read}" if self.read else "")


def _asked(client: Any, url: str) -> Cost:
    """The median of a few; parallel workers of the database are left out, so that all CPU is that of its one process."""
    from django.db import connection

    ms, cpu, in_database = [], [], []
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET max_parallel_workers_per_gather = 0")
    assert client.get(url).status_code == 200, url
    for _round in range(_ROUNDS):
        begun, worked, spent = time.perf_counter(), time.thread_time(), _database_seconds()
        client.get(url)
        ms.append(1_000 * (time.perf_counter() - begun))
        in_database.append(1_000 * (_database_seconds() - spent))
        cpu.append(1_000 * (time.thread_time() - worked) + in_database[-1])
    told = client.get(url, headers={"X-Bench-Explain": "yes"})
    return Cost(
        median(ms),
        median(cpu),
        median(in_database),
        int(told["X-Bench-Queries"]),
        told.headers.get("X-Bench-Scans", ""),
    )


def _database_seconds() -> float:
    """CPU so far of the connection's process in PostgreSQL, where that runs on this machine; else nothing."""
    from django.db import connection

    if connection.vendor != "postgresql" or connection.connection is None:
        return 0.0
    counted = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat")
    return int(counted.read_text().split()[0]) / 1e9 if counted.exists() else 0.0


def _saved_view(person: Any) -> str:
    from agents.models import SavedView

    said = {"query": "env=prod version>=0.2", "columns": ["name", "status", "label:team", "last_seen_at"]}
    view, _new = SavedView.objects.get_or_create(
        owner=person, name="measured", defaults={**said, "group_by": "team", "ordering": "-last_seen_at"}
    )
    from agents.admin.view_bar import view_address

    return view_address(view)


def _fill(agents: int) -> None:
    """So many agents, unless they are there already."""
    from datetime import timedelta

    from django.db.models.functions import Mod

    from agents.models import Agent, AgentPresence
    from foundation.clock import clock

    if Agent.objects.count() != agents:
        Agent.objects.all().delete()
        _register(agents)
    at = clock.now()
    for age in range(_AGES):
        some = AgentPresence.objects.annotate(rest=Mod("pk", _AGES)).filter(rest=age)
        some.update(last_seen_at=at - timedelta(seconds=age * 100))
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE" if connection.vendor == "sqlite" else "VACUUM ANALYZE")


def _register(agents: int) -> None:
    from datetime import timedelta

    from agents.models import Agent, AgentPresence, ReportedState
    from configurations.models import Assignment
    from foundation.clock import clock

    at = clock.now()
    for first in range(0, agents, _SLICE):
        rows = Agent.objects.bulk_create([_agent(number) for number in range(first, min(first + _SLICE, agents))])
        AgentPresence.objects.bulk_create(
            AgentPresence(agent=row, last_seen_at=at - timedelta(seconds=row.pk % 3_600)) for row in rows
        )
        ReportedState.objects.bulk_create(ReportedState(agent=row) for row in rows)
        Assignment.objects.bulk_create(Assignment(agent=row, assigned_at=at) for row in rows)


def _agent(number: int) -> Any:
    from agents.models import Agent

    host, version = f"host-{number:07}", f"0.{number % 5}.{number % 7}"
    os_type = "windows" if number % 4 == 0 else "linux"
    return Agent(
        instance_uid=uuid5(UID_NAMESPACE, f"asked for {number}"),
        name="otelcol",
        service_name="otelcol",
        hostname=host,
        version=version,
        os_type=os_type,
        connected=number % 10 != 0,
        transport="http" if number % 3 else "websocket",
        healthy=number % 50 != 1,
        in_sync=True,
        configuration_name=f"configuration-{number % 20}",
        labels={
            "service.name": "otelcol", "host.name": host, "os.type": os_type, "env": "prod" if number % 2 else "dev",
            "region": f"eu-{number % 200}", "build": str(number % 100),
            "team": ("green", "red", "blue", "white", "black")[number % 5], "tier": ("front", "back", "data")[number % 3],
        },
    )  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=100_000)
    parser.add_argument("--database", default="", help="Keep the filled database under this name, and use it again.")
    parser.add_argument("--only", default="", help="Measure what has this in its title.")
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    sizes = vars(parser.parse_args())
    if sizes.pop("inside"):
        sizes.pop("database")
        print(json.dumps(_inside(**sizes)))
    else:
        show("queries", measure(**sizes))


if __name__ == "__main__":
    main()
