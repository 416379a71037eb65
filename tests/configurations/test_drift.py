"""Drift: what an agent runs beside what it applied, as a rule over files and as a fact of the agent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from agents.models import Agent, AgentEvent, Transport
from agents.remote_config import ConfigFile
from agents.reports import ComponentHealth, EffectiveConfig, RemoteConfigStatus, RemoteConfigStatuses, StatusReport
from agents.services.arrivals import Arrival, Lease
from configurations.drift import drift_of
from configurations.services import drifting
from configurations.services.drafts import Draft
from configurations.services.publishing import create_configuration, update_configuration
from opamp_transport.batch import process_reports
from tests.people import CAPABLE

AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)

GIVEN = """
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 0.0.0.0:4317
processors:
  batch: {timeout: 1m}
  memory_limiter: {check_interval: 1s, limit_mib: 512}
exporters:
  otlp/gateway: {endpoint: "${env:GATEWAY}", headers: {authorization: Bearer one-long-secret}}
extensions:
  health_check:
service:
  extensions: [health_check]
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlp/gateway]}
"""
# The same after a supervisor merged its own parts in and a Collector printed it: other order, defaults, expanded variables.
SUPERVISED = """
exporters:
  otlp/gateway:
    endpoint: gw.example:4317
    headers: {authorization: "[REDACTED]"}
    sending_queue: {enabled: true}
extensions:
  health_check: null
  opamp:
    instance_uid: 018f0000-0000-7000-8000-000000000001
    ppid: 4711
    server: {ws: {endpoint: "ws://127.0.0.1:40001/v1/opamp", tls: {insecure: true}}}
processors:
  batch: {timeout: 1m0s, send_batch_size: 8192}
  memory_limiter: {limit_mib: 512, check_interval: 1s}
receivers:
  otlp: {protocols: {grpc: {endpoint: "0.0.0.0:4317", transport: tcp}}}
service:
  extensions: [opamp, health_check]
  pipelines:
    traces: {exporters: [otlp/gateway], processors: [memory_limiter, batch], receivers: [otlp]}
  telemetry:
    logs: {encoding: json}
    resource: {service.instance.id: 018f0000-0000-7000-8000-000000000001}
"""


def drift(given: str, runs: str):
    return drift_of({"": {"body": given}}, {"effective.yaml": {"body": runs}})


def test_what_a_supervisor_adds_is_no_drift():
    assert drift(GIVEN, GIVEN) == drift(GIVEN, SUPERVISED)
    assert not drift(GIVEN, SUPERVISED).has_drifted


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("0.0.0.0:4317", "127.0.0.1:4317", "receivers.otlp.protocols.grpc.endpoint"),
        ("limit_mib: 512", "limit_mib: 64", "processors.memory_limiter.limit_mib"),
        ("timeout: 1m0s", "timeout: 1s", "processors.batch.timeout"),
        ("  health_check: null\n", "", "extensions.health_check"),
        ("[opamp, health_check]", "[opamp]", "service.extensions"),
        ("[memory_limiter, batch]", "[batch, memory_limiter]", "service.pipelines.traces.processors"),
        ("exporters: [otlp/gateway]", "exporters: [otlp/gateway, debug]", "service.pipelines.traces.exporters"),
        ("traces: {", "traces/2: {", "service.pipelines.traces"),
        ('"[REDACTED]"', "Bearer two-long-secret", "exporters.otlp/gateway.headers.authorization"),
    ],
)
def test_a_value_that_was_given_and_is_not_run_is_drift(old, new, path):
    assert old in SUPERVISED
    found = drift(GIVEN, SUPERVISED.replace(old, new))
    assert found.has_drifted
    assert [value.path for value in found.values] == [path]
    assert "long-secret" not in str(found)


@pytest.mark.parametrize(
    ("given", "runs"),
    [
        ("a: 5", 'a: "5"'),
        ("a: true", "a: 'true'"),
        ("a: {b: }", "a: {c: 1}"),
        ("exporters: {o: {token: $$x}}", "exporters: {o: {token: $x}}"),
        ("exporters: {o: {a: [{b: 1}]}}", "exporters: {o: {a: [{b: 1, c: default}]}}"),
    ],
)
def test_what_printing_anew_may_change_is_no_drift(given, runs):
    assert not drift(given, runs).has_drifted


def test_files_without_a_meaning_are_compared_as_texts_under_their_keys():
    def of(given: str, runs: str, key: str = "fluent.conf") -> bool:
        found = drift_of({"fluent.conf": {"body": given}}, {key: {"body": runs}})
        assert not found.readable
        return found.has_drifted

    assert not of("[INPUT]\n  Name cpu\n", "[INPUT]  \n  Name cpu\n\n")
    assert of("[INPUT]\n  Name cpu\n", "[INPUT]\n  Name mem\n")
    assert not of("[INPUT]\n  Name cpu\n", "[INPUT]\n  Name mem\n", key="other")


class Fleet:
    """One agent that answers what it is given, and reports what it runs."""

    def __init__(self, agent: Agent) -> None:
        self.uid, self.number = agent.instance_uid, 0
        self.lease = Lease(agent.lease_id, "test", Transport.WEBSOCKET, "127.0.0.1")

    @property
    def row(self) -> Agent:
        return Agent.objects.get(instance_uid=self.uid)

    def says(self, status: RemoteConfigStatuses | None = None, runs: str | None = None, **more: object) -> bool:
        """Whether it counts as drifted after this report."""
        self.number += 1
        parts = dict(more)
        if status is not None:
            parts["remote_config_status"] = RemoteConfigStatus(bytes.fromhex(self.row.configuration_hash), status, "")
        if runs is not None:
            parts["effective_config"] = EffectiveConfig({"": {"body": runs}})
        process_reports([Arrival(StatusReport(self.uid, self.number, CAPABLE, **parts), self.lease)], at=AT)
        return self.row.config_drifted

    def lines(self) -> list[str]:
        kinds = (AgentEvent.Kind.DRIFTED, AgentEvent.Kind.DRIFT_ENDED)
        events = AgentEvent.objects.filter(agent__instance_uid=self.uid, kind__in=kinds)
        return list(events.order_by("id").values_list("kind", flat=True))


def draft(text: str) -> Draft:
    return Draft(selector={"env": "prod"}, files={"": ConfigFile(text.encode(), "text/yaml")})


OTHER = SUPERVISED.replace("0.0.0.0:4317", "0.0.0.0:9999")
APPLIED = RemoteConfigStatuses.APPLIED


@pytest.fixture
def given(report, alice) -> Fleet:
    """An agent that should run `GIVEN`."""
    create_configuration("c", draft(GIVEN), by=alice, at=AT, force=True)
    return Fleet(report(env="prod"))


@pytest.mark.django_db(transaction=True)
class TestFact:
    def test_it_begins_and_ends_with_what_the_agent_reports(self, given):
        assert not given.says(RemoteConfigStatuses.APPLYING, OTHER)
        assert not given.says(APPLIED)
        assert not given.says(runs=SUPERVISED)
        assert given.says(runs=OTHER)
        assert given.says(health=ComponentHealth(False, "", "", 0, 0, {"healthy": False}))
        assert given.says(runs=OTHER)
        assert not given.says(runs=SUPERVISED)
        assert given.lines() == ["drifted", "drift_ended"]

    def test_a_report_of_both_is_judged(self, given):
        assert given.says(APPLIED, OTHER)
        assert given.row.in_sync

    @pytest.mark.parametrize("status", [RemoteConfigStatuses.FAILED, RemoteConfigStatuses.APPLYING])
    def test_who_takes_back_that_it_applied_has_not_drifted(self, given, status):
        assert given.says(APPLIED, OTHER)
        assert not given.says(status)
        assert not given.says(runs=OTHER)

    def test_something_else_to_run_ends_it(self, given, alice):
        assert given.says(APPLIED, OTHER)
        update_configuration("c", draft(GIVEN + "# new\n"), by=alice, at=AT, force=True)
        assert not given.row.config_drifted
        assert not given.says(runs=OTHER)

    def test_equal_files_are_compared_once_and_one_batch_compares_so_much_at_most(self, report, given, monkeypatch):
        compared: list[object] = []
        real = drifting.drift_once
        monkeypatch.setattr(drifting, "drift_once", lambda *args, **more: compared.append(args) or real(*args, **more))
        monkeypatch.setattr(drifting, "MOST_COMPARED", 1)
        fleet = [given, *(Fleet(report(f"n{number}", env="prod")) for number in range(3))]
        texts = [OTHER + "# one\n", OTHER + "# one\n", OTHER + "# two\n", OTHER + "# three\n"]
        given_hash = given.row.configuration_hash

        def together(number: int) -> list[bool]:
            status = RemoteConfigStatus(bytes.fromhex(given_hash), APPLIED, "")
            arrivals = [
                Arrival(
                    StatusReport(
                        each.uid,
                        number,
                        CAPABLE,
                        remote_config_status=status,
                        effective_config=EffectiveConfig({"": {"body": text}}),
                    ),
                    each.lease,
                )
                for each, text in zip(fleet, texts, strict=True)
            ]
            process_reports(arrivals, at=AT)
            return [each.row.config_drifted for each in fleet]

        assert together(1) == [True, True, False, False]
        assert len(compared) == 1
        assert together(2) == [True, True, True, False]
        assert together(3) == [True] * 4
        assert len(compared) == 3
        together(4)
        assert len(compared) == 3


@pytest.mark.django_db(transaction=True)
class TestShown:
    def test_over_rest(self, given, report, alice, api_of):
        report(env="dev")
        assert given.says(APPLIED, OTHER)
        api = api_of(alice)
        (found,) = api.get("/api/v1/agents?drifted=true").json()["results"]
        assert found["instance_uid"] == str(given.uid)
        assert found["drifted"] is True
        assert len(api.get("/api/v1/agents?drifted=false").json()["results"]) == 1
        assert api.get("/api/v1/agents/summary").json()["drifted"] == 1

    def test_on_pages(self, given, report, signed_in):
        report(env="dev")
        assert "run something else than they applied" not in signed_in.get(reverse("admin:index")).content.decode()
        assert given.says(APPLIED, OTHER)
        assert (
            "Agents that run something else than they applied: 1"
            in signed_in.get(reverse("admin:index")).content.decode()
        )
        rows = signed_in.get(reverse("admin:agents_agent_changelist"), {"drifted": "true"}).context["cl"].result_list
        assert [row.pk for row in rows] == [given.row.pk]
        page = signed_in.get(reverse("admin:agents_agent_change", args=[given.row.pk])).content.decode()
        assert "receivers.otlp.protocols.grpc.endpoint" in page
        assert "says now that it runs something else" in page
        assert "one-long-secret" not in page
