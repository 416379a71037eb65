"""Every page of the admin with a fleet on SQLite: time to the first byte, and its compressed size with the files it loads.

Which pages there are is read from the list that the tests hold everybody's rights to (`ENTRY_POINTS`); tabs, filters, orders and
views of a page from the links that it has to itself. A page above a goal is named.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from html import unescape
from statistics import median
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from benchmarks.admin_pages import LISTS
from benchmarks.browser import Browser
from benchmarks.figures import show
from benchmarks.fleet import Fleet
from benchmarks.servers import CONFIGURATION, ROOT, Portal, portal

MOST_MS = 200.0
MOST_KIB = 250.0
# Of a page with the editor, whose library is most of it.
MOST_EDITOR_KIB = 500.0
_EDITOR = "/vendor/codemirror"
_INSIDE = "--inside"
_ROUNDS = 5
_ROWS = 500
# They send away, answer scripts, or are no pages.
_NOT_PAGES = ("admin/login/", "admin/logout/", "admin/jsi18n/", "admin/autocomplete/", "admin/r/", "admin/(?P<url>.*)$")
_LINK = re.compile(r'href="([^"#]*\?[^"#]+)')
_FILE = re.compile(r'<(?:script|link)\b[^>]*?(?:src|href)="([^"]+\.(?:js|css|svg)[^"]*)"')
_IMPORT = re.compile(r'(?:\bfrom|\bimport)\s*\(?\s*"(\.{1,2}/[^"]+)"')


def measure(*, agents: int = 2_000, only: str = "", all_pages: bool = False) -> dict[str, Any]:
    """What each page costs, the dearest in time and in size, and the pages that miss a goal.

    ``only`` those pages whose address contains it. ``all_pages``: each is in the result, not the dearest ten alone.
    """
    with portal(1, DATABASE_URL="", REDIS_URL="") as server, Fleet(server.port, agents) as fleet:
        server.offer_to_all()
        fleet.call("connect", until="applied", within=180)
        patterns = _filled(server)
        browser = Browser(server)
        files: dict[str, tuple[float, list[str]]] = {}
        costs = {path: _cost(browser, path, files) for path in _walk(browser, patterns) if only in path}
        assert server.connections() == agents, "agents have gone"
    return _summed_up({path: cost for path, cost in costs.items() if cost is not None}, agents, all_pages=all_pages)


def _summed_up(costs: dict[str, dict[str, Any]], agents: int, *, all_pages: bool) -> dict[str, Any]:
    slowest = sorted(costs, key=lambda path: -costs[path]["first byte ms"])
    heaviest = sorted(costs, key=lambda path: -costs[path]["KiB with files"])
    shown = slowest if all_pages else list(dict.fromkeys([*slowest[:10], *heaviest[:3]]))
    return {
        "agents": agents,
        "pages": len(costs),
        "first byte ms, median of pages": median(cost["first byte ms"] for cost in costs.values()),
        **{path: " ".join(f"{name}: {value}," for name, value in costs[path].items())[:-1] for path in shown},
        "CPU ms, the most": max(cost["CPU ms"] for cost in costs.values()),
        "above 200 ms by the clock": [path for path in slowest if costs[path]["first byte ms"] > MOST_MS] or "none",
        "above 200 ms of CPU": [path for path in slowest if costs[path]["CPU ms"] > MOST_MS] or "none",
        "above 250 KiB, or 500 with the editor": [path for path in heaviest if _is_heavy(costs[path])] or "none",
    }


def _is_heavy(cost: dict[str, Any]) -> bool:
    return bool(cost["KiB with files"] > (MOST_EDITOR_KIB if cost["editor"] else MOST_KIB))


# --- What is there to be shown ------------------------------------------------------------------------------------------


def _filled(server: Portal) -> list[str]:
    """Everything concerns every agent: a release in stages, a package, connection settings, a job; the addresses of all pages."""
    everyone = {"selector": {"bench": "yes"}}
    stages = {"stages": [{"percent": 50}, {"percent": 100}], "gate": {"applied_percent": 100, "dwell_seconds": 86_400}}
    body = {**everyone, "content_type": "yaml", "raw_config": CONFIGURATION.replace("8192", "4096"), "release": stages}
    assert server.api("PUT", "configurations/bench", body).status == 200
    package = server.api("POST", "packages", {"name": "bench", "match_all": True}).json["id"]
    assert server.api("POST", f"packages/{package}/versions", {"version": "1"}).status == 201
    logs = {"own_logs": {"endpoint": "https://otel.example:4318/v1/logs"}}
    assert server.api("POST", "connection-settings", {"name": "bench", "content": logs, **everyone}).status == 201
    relabel = {"action": "relabel", "match_all": True, "parameters": {"set": {"tier": "back"}}}
    job = server.api("POST", "agents:act", relabel).json["id"]
    server.eventually(lambda: server.get(f"jobs/{job}")["state"] == "done", 120, "the job ends")
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.page_weights", _INSIDE],
        cwd=ROOT, env=server.environment, check=True, stdout=subprocess.PIPE, timeout=300,
    )  # fmt: skip
    paths: list[str] = json.loads(ran.stdout)
    return paths


def _inside() -> list[str]:
    """In a process that has the portal's settings and its database: something of each kind, and rows for long lists."""
    import django

    django.setup()
    from accounts.models import AuditEntry
    from agents.models import Agent
    from alerts.models import Alert, AlertDelivery
    from configurations.models import Configuration
    from connections.models import ConnectionSettings
    from jobs.models import Job
    from packages.models import Package
    from rollouts.models import Rollout
    from tests.opamp_platform.entry_points import ENTRY_POINTS
    from tests.opamp_platform.test_people_and_entry_points import address, something_of_each

    agent = Agent.objects.order_by("pk")[0]
    things = something_of_each(lambda **_labels: agent)
    for model in (Alert, AlertDelivery, AuditEntry, Job):
        _repeat(model)
    bench = {
        "configurations/configuration": Configuration.objects.get(name="bench"),
        "rollouts/rollout": Rollout.objects.earliest("pk"),
        "packages/package": Package.objects.get(name="bench"),
        "connections/connectionsettings": ConnectionSettings.objects.get(name="bench"),
        "jobs/job": Job.objects.earliest("pk"),
    }
    things |= {name: str(row.pk) for name, row in bench.items()}
    pages = [pattern for pattern in ENTRY_POINTS if pattern.startswith("admin/") and not pattern.startswith(_NOT_PAGES)]
    return [address(pattern, things) for pattern in pages]


def _repeat(model: Any) -> None:
    """Copies of the newest row, with what is unique of it numbered."""
    from uuid import uuid4

    row = model.objects.latest("pk")
    unique = [field for field in model._meta.concrete_fields if field.unique and not field.primary_key]
    for _copy in range(_ROWS):
        row.pk, row._state.adding = None, True
        for field in unique:
            setattr(row, field.attname, uuid4().hex)
        if model.__name__ == "Alert":
            row.group_key = uuid4().hex
        elif model.__name__ == "AlertDelivery":
            row.sequence += 1
        row.save()


def _walk(browser: Browser, patterns: list[str]) -> Iterator[str]:
    """The pages, each followed by what its links to itself show, one of each kind; and the list of agents as it is asked for."""
    lists = [f"/admin/agents/agent/?{query}" for query in LISTS.values()]
    seen = set()
    for path in [*patterns, *lists]:
        if path in seen:
            continue
        seen.add(path)
        yield path
        if "?" in path:
            continue
        kinds = set()
        for link in _LINK.findall(browser.visit(path).body.decode(errors="replace")):
            found = urljoin(path, unescape(link))
            parts = urlsplit(found)
            kind = tuple((name, _kind(name, value)) for name, value in parse_qsl(parts.query, keep_blank_values=True))
            if parts.path == path and kind not in kinds and found not in seen:
                kinds.add(kind)
                seen.add(found)
                yield found


def _kind(name: str, value: str) -> str:
    """Of a query which words it has; of a tab which one; of others only that they are there."""
    if name == "q":
        return " ".join(re.findall(r"[^\s:=<>]+[:=<>]", value))
    return value if name in {"tab", "history", "assigned"} else ""


# --- What a page costs --------------------------------------------------------------------------------------------------


def _cost(browser: Browser, path: str, files: dict[str, tuple[float, list[str]]]) -> dict[str, Any] | None:
    """Of some visits the medians; ``None`` of what is no page that can be looked at."""
    first = browser.visit(path)
    if urlsplit(first.url).path != urlsplit(path).path:
        return None  # it leads to another
    if first.status != 200 or not (first.headers["Content-Type"] or "").startswith("text/html"):
        return None
    seconds, worked = [], []
    page = first
    for _round in range(_ROUNDS):
        begun = time.perf_counter()
        page = browser.visit(path, **{"Accept-Encoding": "gzip"})
        seconds.append(page.arrived - begun)
        worked.append(float(page.headers["X-Bench-CPU"]))
    loaded = sorted(_files_of(browser, path, first.body.decode(), files))
    return {
        "first byte ms": round(1_000 * median(seconds), 1),
        "CPU ms": round(1_000 * median(worked), 1),
        "queries": int(page.headers["X-Bench-Queries"]),
        "KiB": round(len(page.body) / 1024, 1),
        "KiB with files": round((len(page.body) + sum(files[name][0] for name in loaded)) / 1024, 1),
        "editor": any(_EDITOR in name for name in loaded),
    }


def _files_of(browser: Browser, path: str, text: str, files: dict[str, tuple[float, list[str]]]) -> set[str]:
    """Scripts with what they import, styles and pictures of a page; what each weighs is asked once."""
    found: set[str] = set()
    waiting = [urljoin(path, unescape(name)) for name in _FILE.findall(text)]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name not in files:
            weight = len(browser.visit(name, **{"Accept-Encoding": "gzip"}).body)
            script = browser.visit(name).body.decode(errors="replace") if ".js" in name else ""
            files[name] = (weight, [urljoin(name, one) for one in _IMPORT.findall(script)])
        waiting += files[name][1]
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=2_000)
    parser.add_argument("--only", default="", help="Measure the pages whose address contains this.")
    parser.add_argument("--all-pages", action="store_true", help="Print every page, not the dearest alone.")
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    wanted = vars(parser.parse_args())
    if wanted.pop("inside"):
        print(json.dumps(_inside()))
    else:
        show("page weights", measure(**wanted))


if __name__ == "__main__":
    main()
