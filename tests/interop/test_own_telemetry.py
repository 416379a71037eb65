"""A real Collector that sends its own metrics to a portal, configured as docs/telemetry.md says; alone, and under a supervisor."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests import not_run
from tests.interop import collectors
from tests.interop.collectors import COLLECTOR, Supervisor
from tests.live_server import ROOT, LiveServer, configuration, free_port

pytestmark = [pytest.mark.interop, pytest.mark.sqlite_is_enough]

PATIENCE = 60.0
SECRET = "the-secret-of-this-fleet"
SPAN = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "a", "kind": 1}


@pytest.fixture(autouse=True)
def _buildable(request: pytest.FixtureRequest) -> None:
    """Only where both programs can be built."""
    if why := collectors.obstacle():
        not_run.note(request.node, "interop", why, "a Collector's own metrics")
        pytest.skip(f"a Collector's own metrics: {why}")


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[LiveServer]:
    """One that takes metrics."""
    with LiveServer(tmp_path, OPAMP_OWN_TELEMETRY="true", OPAMP_SECRET_KEY=SECRET) as server:
        yield server


def documented() -> dict[str, Any]:
    """The example of the document, but for its interval."""
    text = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    found = re.search(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    example = yaml.safe_load(found[1])
    example["service"]["telemetry"]["metrics"]["readers"][0]["periodic"]["interval"] = 1_500
    assert isinstance(example, dict)
    return example


def pipelines(port: int, nowhere: int) -> dict[str, Any]:
    """Takes spans, and cannot send them."""
    exporter = {"endpoint": f"http://127.0.0.1:{nowhere}", "retry_on_failure": {"enabled": False}}
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {"otlphttp": exporter},
    }


def push_span(port: int) -> None:
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/traces", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 200


def telemetry(server: LiveServer, uid: str) -> dict[str, Any] | None:
    """What the portal knows of the agent, once there is something."""
    answer = server.api("GET", f"agents/{uid}/telemetry")
    return answer.json["latest"] if answer.status == 200 else None


def test_as_the_document_says(portal: LiveServer, tmp_path: Path) -> None:
    port, uid = free_port(), str(uuid4())
    config = documented() | pipelines(port, free_port())
    config["service"]["pipelines"] = {"traces": {"receivers": ["otlp"], "exporters": ["otlphttp"]}}
    file = tmp_path / "collector.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    environment = {
        **os.environ,
        "PORTAL": portal.url,
        "PORTAL_WS": portal.url.replace("http://", "ws://"),
        "OPAMP_SECRET_KEY": SECRET,
        "INSTANCE_UID": uid,
    }
    log = tmp_path / "collector.log"
    with log.open("wb") as out:
        process = subprocess.Popen([str(COLLECTOR), "--config", str(file)], env=environment, stdout=out, stderr=out)
    try:

        def claim() -> bool:
            known = telemetry(portal, uid)
            if known is not None:
                push_span(port)
            return bool(
                known
                and known["memory"] > 1e6
                and known["cpu"] is not None
                and known["accepted"]
                and known["refused"] is not None
                and known["failed"]
                and known["queue"] is not None
            )

        try:
            portal.eventually(claim, PATIENCE, f"all six, not {telemetry(portal, uid)}")
        except BaseException:
            print(log.read_text()[-4_000:], telemetry(portal, uid))
            raise
    finally:
        process.terminate()
        process.wait(20)


def test_under_a_supervisor_from_a_configuration_of_the_portal(portal: LiveServer, tmp_path: Path) -> None:
    """The supervisor says who the agent is; the configuration is the same for the whole fleet."""
    example = documented()
    metrics = example["service"]["telemetry"]["metrics"]
    exporter = metrics["readers"][0]["periodic"]["exporter"]["otlp"]
    exporter["endpoint"] = f"{portal.url}/v1/metrics"
    exporter["headers"][0]["value"] = f"Bearer {SECRET}"
    config = {
        "receivers": {"nop": {}},
        "exporters": {"nop": {}},
        "service": {
            "telemetry": {"metrics": metrics},
            "pipelines": {"traces": {"receivers": ["nop"], "exporters": ["nop"]}},
        },
    }
    body = configuration("measuring", {"test": "measuring"}, yaml.safe_dump(config))
    answer = portal.api("PUT", "configurations/measuring", {**body, "force": True})
    assert answer.status in {200, 201}, answer
    supervisor = Supervisor(
        tmp_path, portal.websocket_endpoint, server={"headers": {"Authorization": f"Bearer {SECRET}"}}, test="measuring"
    )
    with supervisor:

        def claim() -> bool:
            agents = portal.get("agents?label=test%3Dmeasuring")["results"]
            known = telemetry(portal, agents[0]["instance_uid"]) if agents else None
            return bool(known and known["memory"] and known["cpu"] is not None)

        portal.eventually(claim, PATIENCE, "memory and CPU")


def test_under_a_supervisor_that_is_told_where_to_send(portal: LiveServer, tmp_path: Path) -> None:
    """Connection settings alone: no configuration speaks of metrics. Told without an endpoint, it stops."""
    where = f"{portal.url}/v1/metrics"
    own = {"endpoint": where, "headers": {"Authorization": f"Bearer {SECRET}"}}
    settings = {"name": "told", "selector": {"test": "told"}, "content": {"own_metrics": own}}
    portal.post("connection-settings", {**settings, "release": "at_once"})
    supervisor = Supervisor(
        tmp_path,
        portal.websocket_endpoint,
        server={"headers": {"Authorization": f"Bearer {SECRET}"}},
        # What a supervisor makes of them names no interval, so that it is a minute; the Collector reads this instead.
        agent={"env": {"OTEL_METRIC_EXPORT_INTERVAL": "1500"}},
        test="told",
    )
    with supervisor:
        portal.eventually(lambda: portal.get("agents?label=test%3Dtold")["results"], PATIENCE, "the agent")
        uid = portal.get("agents?label=test%3Dtold")["results"][0]["instance_uid"]

        def measured() -> bool:
            known = telemetry(portal, uid)
            return bool(known and known["memory"] and known["cpu"] is not None)

        portal.eventually(measured, PATIENCE, "memory and CPU")
        row = portal.get("connection-settings/told/agents")["results"][0]
        assert (row["status"], row["members"][0]["told"]) == ("told", True), (
            "a supervisor does not say what it did with it"
        )
        assert where in sent_to(portal, uid)
        assert SECRET not in sent_to(portal, uid)
        portal.api("PATCH", "connection-settings/told", {"enabled": False})
        # It is told with the answer to its next message, and says something when its Collector begins anew.
        portal.post(f"agents/{uid}/restart")
        portal.eventually(lambda: where not in sent_to(portal, uid), PATIENCE, "it sends no more")


def sent_to(server: LiveServer, uid: str) -> str:
    """What the Collector runs, as the supervisor shows it."""
    return json.dumps(server.get(f"agents/{uid}")["effective_config"])
