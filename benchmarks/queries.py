"""Queries over a large fleet: the list in the admin, the list over REST and the export, each with its statements.

The fleet is rows without connections. The portal is started for an empty database, and stopped before anything is measured:
pages are asked in the measuring process, so that nothing but they and the database is in the figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from urllib.parse import urlencode
from uuid import uuid5

from benchmarks.figures import UID_NAMESPACE, show
from benchmarks.servers import ROOT, portal

_INSIDE = "--inside"
_SLICE = 5_000
_ROUNDS = 3

QUERIES = {
    "facts": "status:error os:linux",
    "a label": "env=prod region=eu-7",
    "facts, labels and a version": "status:connected env=prod -region=eu-7 version<0.3 health:good",
    "a word of ours or another": "config:configuration-7 or (health:bad transport:http)",
    "text": '"host-00077"',
    "age": "seen<5m status:connected",
    "a label as a version": "build>=90",
    "the beginning of a label": "region=eu-1*",
    "nobody": "region=nowhere",
}


def measure(*, agents: int = 100_000) -> dict[str, Any]:
    """Milliseconds and statements of each query in each place, and agents a second of an export."""
    with portal(workers=1) as server:
        server.terminate()
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.queries", _INSIDE, f"--agents={agents}"],
            cwd=ROOT, env=server.environment, check=True, stdout=subprocess.PIPE, timeout=580,
        )  # fmt: skip
    results: dict[str, Any] = json.loads(ran.stdout)
    return results


def _inside(agents: int) -> dict[str, Any]:
    """In a process that has the portal's settings and its database."""
    import django

    django.setup()
    from django.conf import settings
    from django.test import Client

    from accounts.models import User

    settings.ALLOWED_HOSTS = ["*"]
    _register(agents)
    client = Client()
    client.force_login(User.objects.create_superuser("measuring", password="measuring-password"))
    results: dict[str, Any] = {"agents": agents}
    for title, query in QUERIES.items():
        text = urlencode({"q": query})
        listed, statements = _asked(client, f"/api/v1/agents?{text}&format=json")
        shown, more = _asked(client, f"/admin/agents/agent/?{text}")
        count = client.get(f"/api/v1/agents?{text}&format=json").json()["count"]
        results[title] = {
            "query": query,
            "agents": count,
            "REST ms": listed,
            "statements": statements,
            "page ms": shown,
            "its statements": more,
        }
    begun = time.perf_counter()
    answer: Any = client.get("/api/v1/agents:export?q=env=prod")
    lines = sum(piece.count(b"\n") for piece in answer.streaming_content)
    took = time.perf_counter() - begun
    results["export"] = {"agents": lines - 1, "seconds": round(took, 1), "agents a second": round(lines / took)}
    return results


def _asked(client: Any, url: str) -> tuple[int, int]:
    """The median of a few, in milliseconds, and its statements."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.get(url)
    took = [_milliseconds(lambda: client.get(url)) for _round in range(_ROUNDS)]
    with CaptureQueriesContext(connection) as statements:
        client.get(url)
    return round(median(took)), len(statements)


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
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


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
        },
    )  # fmt: skip


def _milliseconds(act: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    act()
    return 1_000 * (time.perf_counter() - begun)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=100_000)
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    sizes = vars(parser.parse_args())
    if sizes.pop("inside"):
        print(json.dumps(_inside(**sizes)))
    else:
        show("queries", measure(**sizes))


if __name__ == "__main__":
    main()
