"""Edits of one selector among many configurations of a large fleet, and their previews: how long, and which rows were touched.

The fleet is rows without connections. The portal is started for an empty database, and stopped before anything is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid5

from benchmarks.figures import UID_NAMESPACE, show
from benchmarks.servers import CONFIGURATION, ROOT, portal

_INSIDE = "--inside"
_SLICE = 5_000


def measure(*, agents: int = 50_000, configurations: int = 500) -> dict[str, Any]:
    """Seconds and moved agents of edits that take few agents and many, milliseconds of their previews."""
    sizes = [f"--agents={agents}", f"--configurations={configurations}"]
    with portal(workers=1) as server:
        server.terminate()
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.selector_edits", _INSIDE, *sizes],
            cwd=ROOT, env=server.environment, check=True, stdout=subprocess.PIPE, timeout=1_200,
        )  # fmt: skip
    results: dict[str, Any] = json.loads(ran.stdout)
    return results


def _inside(agents: int, configurations: int) -> dict[str, Any]:
    """In a process that has the portal's settings and its database."""
    import django

    django.setup()
    from configurations.services.publishing import create_configuration, update_configuration
    from foundation.clock import clock

    _register(agents, configurations)
    begun = time.perf_counter()
    for number in range(configurations):
        create_configuration(_name(number), _draft({"service.name": f"service-{number}"}), by=None, at=clock.now())
    results: dict[str, Any] = {
        "agents": agents,
        "configurations": configurations,
        "ms for each configuration made": round(1_000 * (time.perf_counter() - begun) / configurations),
    }
    edits: dict[str, tuple[dict[str, Any], int]] = {
        "half of one's agents leave": ({"service.name": "service-7", "env": "prod"}, 0),
        "they come back": ({"service.name": "service-7"}, 0),
        "half of the fleet comes": ({"env": "prod"}, 9),
        "it goes again": ({"service.name": "service-7"}, 0),
    }
    for title, (selector, priority) in edits.items():
        draft = _draft(selector, priority)
        previewed = _milliseconds(lambda draft=draft: _preview(draft))
        at = clock.now()
        took = _milliseconds(lambda draft=draft, at=at: update_configuration(_name(7), draft, by=None, at=at))
        results[title] = {"preview ms": previewed, "edit ms": took, **_touched(at)}
    return results


def _register(agents: int, configurations: int) -> None:
    from agents.models import Agent, AgentPresence
    from agents.reports import AgentCapabilities
    from foundation.clock import clock

    at = clock.now()
    for first in range(0, agents, _SLICE):
        rows = [_agent(number, configurations) for number in range(first, min(first + _SLICE, agents))]
        for row in rows:
            row.capabilities = int(AgentCapabilities.ACCEPTS_REMOTE_CONFIG)
        Agent.objects.bulk_create(rows)
        AgentPresence.objects.bulk_create(AgentPresence(agent=row, last_seen_at=at) for row in rows)
    _analyze()


def _agent(number: int, configurations: int) -> Any:
    from agents.models import Agent

    service, host = f"service-{number % configurations}", f"host-{number:07}"
    return Agent(
        instance_uid=uuid5(UID_NAMESPACE, f"edited {number}"),
        name=service,
        service_name=service,
        hostname=host,
        labels={"service.name": service, "host.name": host, "env": "prod" if number // configurations % 2 else "dev"},
    )


def _analyze() -> None:
    """As the database does by itself after a while."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _draft(selector: dict[str, Any], priority: int = 0) -> Any:
    from agents.remote_config import ConfigFile
    from configurations.services.drafts import Draft

    return Draft(selector=selector, priority=priority, files={"": ConfigFile(CONFIGURATION.encode(), "text/yaml")})


def _name(number: int) -> str:
    return f"configuration-{number}"


def _preview(draft: Any) -> None:
    from configurations.previewing import preview

    preview(draft, name=_name(7))


def _touched(at: Any) -> dict[str, int]:
    """Rows that the edit at ``at`` wrote, and agents it moved: one line of the timeline each."""
    from agents.models import AgentEvent
    from configurations.models import Assignment

    return {
        "assignments written": Assignment.objects.filter(assigned_at=at).count(),
        "agents moved": AgentEvent.objects.filter(at=at).count(),
    }


def _milliseconds(act: Callable[[], Any]) -> int:
    begun = time.perf_counter()
    act()
    return round(1_000 * (time.perf_counter() - begun))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=50_000)
    parser.add_argument("--configurations", type=int, default=500)
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    sizes = vars(parser.parse_args())
    if sizes.pop("inside"):
        print(json.dumps(_inside(**sizes)))
    else:
        show("selector edits", measure(**sizes))


if __name__ == "__main__":
    main()
