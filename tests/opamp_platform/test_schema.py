"""The OpenAPI document, and the live API held against it by schemathesis: every operation, valid and invalid calls."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
import requests
import schemathesis
from django.core.management import call_command
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.failures import Failure, FailureGroup

from accounts.models import ApiToken, AuditEntry, User
from accounts.services import issue_token
from agents.agent_columns import columns_named
from agents.api import AgentViewSet
from agents.remote_config import ConfigFile
from agents.services import actions
from agents.services.acting import start_acting
from agents.services.export_jobs import start_export
from agents.services.saved_views import ViewContent, create_view
from configurations.models import Configuration, DeletedConfiguration
from configurations.services import draft_saving, publishing
from configurations.services.pinning import pin_agent
from connections.models import AgentConnection
from connections.services.settings_edits import create_settings
from enrolment.services.tokens import TokenWish, issue_enrolment_token
from jobs.models import Job, JobState
from packages.services.package_edits import add_version, create_package
from packages.services.uploading import FileFacts, add_file
from rollouts.audiences import EVERYONE
from rollouts.models import Freeze, Rollout
from rollouts.policies import parse_policy
from rollouts.services.freezing import pause_agent, start_freeze
from tests.alerts.rows import alerting_things
from tests.certificates.rows import State, made
from variables.encryption import encrypted
from variables.models import Secret, Variable

# A valid call may still be refused, for what the document cannot say (one of three members; a selector's grammar). And
# `ignored_auth` cannot tell a generated header from the token that replaces it: a test of its own is exact.
_LEFT_OUT = {"positive_data_acceptance", "ignored_auth"}
_CHOICES = (
    "status", "state", "ordering", "severity", "kind", "rule", "receiver", "alert", "instance_uid", "expires_before",
    "outcome", "move", "since", "format", "approval", "assigned", "stage", "secrets",
)  # fmt: skip
_FACTS = (
    "upgrade_available", "healthy", "in_sync", "connected", "paused", "pinned", "waits", "drifted", "active", "dry_run",
    "mine", "acknowledged", "silenced", "telemetry",
)  # fmt: skip
# What no made-up query names.
_QUERIES = {
    "GET /api/v1/agents:groups": {"label": "env"},
    "GET /api/v1/packages/{id}/download": {"os_type": "plan9"},
    "GET /api/v1/compare": {"left": "configuration:{name}", "right": "configuration:{name}@1"},
    "GET /api/v1/configurations/{name}/rendered": {"agent": "{instance_uid}"},
    "GET /api/v1/configurations:adopt": {"agent": "{instance_uid}"},
}
# Bodies that must get through, for operations whose valid bodies are hard to come by at random.
_NEXT_MONTH = (datetime.now(UTC) + timedelta(days=30)).isoformat()
_BODIES: dict[str, Any] = {
    "POST /api/v1/freezes": {"selector": {"env": "frozen"}, "reason": "an incident"},
    "POST /api/v1/enrolment-tokens": {"name": "made", "labels": {"env": "prod"}},
    "POST /api/v1/enrolment-tokens/{id}/revoke": {"reason": "lost"},
    "POST /api/v1/variables": {"name": "made", "value": "x", "match_all": True},
    "POST /api/v1/packages": {"name": "made", "match_all": True},
    "PATCH /api/v1/packages/{id}": {"priority": 1},
    "POST /api/v1/packages/{id}/versions": {"version": "2.0"},
    "POST /api/v1/packages/{id}/versions/{number}/release": {"release": "at_once"},
    "POST /api/v1/packages/{id}/versions/{number}/files": {"url": "https://files.example/a", "sha256": "0" * 64},
    "POST /api/v1/connection-settings": {"name": "made", "content": {"own_logs": {"endpoint": "https://h/v1/logs"}}},
    "PUT /api/v1/connection-settings/{name}": {"content": {"own_logs": {"endpoint": "https://h/v1/logs"}}},
    "PATCH /api/v1/connection-settings/{name}": {"priority": 1},
    "POST /api/v1/connection-settings/{name}/preview": {"match_all": True},
    "POST /api/v1/connection-settings/{name}/move": {"opamp": {"endpoint": "ws://new.example/v1/opamp"}},
    "POST /api/v1/connection-settings/{name}/versions/{number}/release": {"release": "at_once"},
    "POST /api/v1/secrets": {"name": "made", "value": "a-long-secret"},
    "PUT /api/v1/secrets/{name}": {"name": "{name}", "value": "a-long-secret"},
    "PUT /api/v1/variables/{id}": {"name": "kept", "value": "x"},
    "POST /api/v1/certificates/{id}/approve": {"key_sha256": "ab" * 32},
    "POST /api/v1/certificates/{id}/deny": {"key_sha256": "ab" * 32, "reason": "unknown machine"},
    "POST /api/v1/certificates/{id}/revoke": {"reason": "stolen"},
    "POST /api/v1/agents/{instance_uid}/pause": {"reason": "an incident"},
    "PUT /api/v1/agents/{instance_uid}/pause": {"reason": "an incident"},
    "PUT /api/v1/agents/{instance_uid}/pin": {"configuration": "pinnable", "reason": "an incident"},
    "POST /api/v1/configurations/{name}/rollouts": {},
    "POST /api/v1/agents/{instance_uid}/pin": {"configuration": "pinnable", "reason": "an incident"},
    "POST /api/v1/configurations:adopt": {"agent": "{instance_uid}"},
    "POST /api/v1/agents:export": {"format": "jsonl", "columns": ["instance_uid"], "match_all": True},
    "POST /api/v1/agents:act": {"action": "resume", "match_all": True},
    "POST /api/v1/agents/labels": {"filter": {"label": "env=prod"}, "set": {"ring": "1"}},
    "POST /api/v1/agents/labels/preview": {"filter": {"label": "env=prod"}, "set": {"ring": "1"}},
    "POST /api/v1/agents/restart": {"match_all": True},
    "POST /api/v1/agents/approve": {"match_all": True},
    "POST /api/v1/agents/reject": {"match_all": True},
    "POST /api/v1/alert-rules": {"name": "made", "kind": "agents_gone"},
    "POST /api/v1/alert-rules/preview": {"kind": "agents_gone"},
    "PATCH /api/v1/alert-rules/{id}": {"dwell_seconds": 60},
    "POST /api/v1/alerts/{id}/acknowledge": {"note": "mine"},
    "POST /api/v1/receivers": {"name": "made", "kind": "webhook", "address": "https://hooks.example/x"},
    "PATCH /api/v1/receivers/{id}": {"is_default": True},
    "POST /api/v1/silences": {"note": "new switch", "selector": {"rack": "7"}, "expires_at": _NEXT_MONTH},
    "PUT /api/v1/agent-views/{id}": {"name": "kept", "query": "env=prod", "edition": 1},
    "PATCH /api/v1/agent-views/{id}": {"query": "env=prod", "edition": 1},
    "POST /api/v1/configurations": {"name": "made", "raw_config": "a: 1\n", "selector": {"env": "prod"}},
    "POST /api/v1/configurations/preview": {"raw_config": "a: 1\n", "selector": {"env": "prod"}},
    "PUT /api/v1/configurations/{name}": {"raw_config": "a: 1\n", "match_all": True, "priority": -1},
    "POST /api/v1/configurations/{name}/rollback": {"revision": 1},
    "POST /api/v1/configurations/{name}/drafts": {"raw_config": "a: 1\n"},
    "PUT /api/v1/drafts/{id}": {"raw_config": "a: 1\n", "edition": 1},
    "PATCH /api/v1/drafts/{id}": {"edition": 1},
    "POST /api/v1/drafts/{id}/publish": {"edition": 1},
    "POST /api/v1/drafts/{id}/rebase": {"edition": 1},
    "POST /api/v1/drafts": {"name": "made-later", "raw_config": "a: 1\n"},
    "POST /api/v1/deleted-configurations/{id}/restore": {},
    "POST /api/v1/tokens": {"name": "made", "expires": "30d"},
}
_WRITES = {"post", "put", "patch", "delete"}


@dataclass
class Findings:
    """What a round of calls met: the number of calls, the statuses by operation, and what broke the document's word."""

    calls: int = 0
    statuses: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    failures: list[str] = field(default_factory=list)


class LiveApi:
    """The API on a live server as its own document describes it; every call is made by an administrator."""

    def __init__(self, url: str, report: Any) -> None:
        self.url = url
        self.person = User.objects.create_superuser("schemathesis")
        row, token = issue_token(self.person, name="schemathesis", by=None)
        # Among those that a made-up id revokes it must not be.
        ApiToken.objects.filter(pk=row.pk).update(id=987_654_321_012_345)
        headers = {"Authorization": f"Bearer {token}"}
        self.schema = schemathesis.openapi.from_url(f"{url}/api/v1/schema?format=json", headers=headers)
        self.schema.config.update(headers=headers)
        self._report = report

    def operations(self) -> list[Any]:
        """Every operation of the document."""
        return [found.ok() for found in self.schema.get_all_operations()]

    def exercise(self, operation: Any, found: Findings, *, examples: int) -> None:
        """Call one operation with generated values: as they come, and with a path that leads to something."""
        existing = self._existing(operation.label)
        known = {parameter.name: existing[parameter.name] for parameter in operation.path_parameters}
        modes = [GenerationMode.POSITIVE]
        if operation.body or operation.query:
            modes.append(GenerationMode.NEGATIVE)
        for mode in modes:
            self._call(operation.as_strategy(mode, path_parameters=known or None), operation, found, examples)
        if operation.label in _BODIES:
            body = {
                key: value.format(**existing) if isinstance(value, str) else value
                for key, value in _BODIES[operation.label].items()
            }
            # Where a form may be sent as well, it is JSON that is meant.
            kind = {"media_type": "application/json"} if len(operation.body) > 1 else {}
            valid = operation.as_strategy(path_parameters=known or None, body=body, headers={}, **kind)
            self._call(valid, operation, found, 1)
        if operation.label in _QUERIES:
            query = {name: value.format(**existing) for name, value in _QUERIES[operation.label].items()}
            valid = operation.as_strategy(path_parameters=known or None, query=query, headers={})
            self._call(valid, operation, found, 1)
        if known:
            self._call(operation.as_strategy(), operation, found, examples // 2)

    def _existing(self, label: str) -> dict[str, Any]:
        # Only actions on agents choose by label: elsewhere each agent of an operation has its own configurations, or every
        # operation would have all agents given all configurations anew.
        env = "prod" if "/agents" in label else f"prod-{label}"
        agent = self._report("known", env=env)
        name = f"known-{agent.pk}"
        draft = publishing.Draft(selector={"env": env}, files={"": ConfigFile(b"a: 1\n", "text/yaml")})
        at = agent.first_seen_at
        publishing.create_configuration(name, draft, by=self.person, at=at)
        token, _text = issue_token(self.person, name=name, by=None)
        file_id = 1
        found = token.pk if "/tokens/" in label else self._job_or_entry(label, agent)
        if "/drafts/" in label:
            found = draft_saving.save_draft(name, draft, by=self.person, at=at).pk
        elif "/deleted-configurations/" in label:
            publishing.create_configuration(f"gone-{name}", draft, by=self.person, at=at)
            publishing.delete_configuration(f"gone-{name}", by=self.person, at=at)
            found = DeletedConfiguration.objects.latest("id").pk
        elif "/rollouts/" in label:
            publishing.create_configuration(
                f"staged-{name}", draft, by=self.person, at=at, plan=publishing.ReleasePlan(parse_policy("canary"))
            )
            found = Rollout.objects.latest("id").pk
        elif label.endswith(("/pin", "/pause")):
            self._hold(label, agent, draft)
        elif "/freezes/" in label:
            freeze = Freeze.objects.filter(ended_at=None, agent=None).first()
            found = (freeze or start_freeze(EVERYONE, reason="r", by=self.person, at=at)).pk
        elif "/enrolment-tokens/" in label:
            found = issue_enrolment_token(TokenWish(f"t{agent.pk}", {}), by=self.person, at=at)[0].pk
        elif "/certificates/" in label:
            revoked = label.endswith("/revoke")
            found = made(agent, State.ISSUED if revoked else State.PENDING).pk
        elif "/variables/" in label:
            found = Variable.objects.create(name=f"v{agent.pk}", value="x", match_all=True).pk
        elif "/packages/" in label:
            found, file_id = self._package(name, at)
        elif "connection-settings" in label:
            self._connect(agent, name, at)
        elif "/secrets/" in label:
            name = f"s{agent.pk}"
            Secret.objects.create(name=name, encrypted=encrypted("a-long-secret"))
        name = "gateway" if "/configuration-templates/" in label else name
        return {"instance_uid": str(agent.instance_uid), "name": name, "number": 1, "id": found, "file_id": file_id}

    def _hold(self, label: str, agent: Any, draft: publishing.Draft) -> None:
        """What calls about a pin or a pause are about."""
        held: dict[str, Any] = {"reason": "r", "by": self.person, "at": agent.first_seen_at}
        if label.endswith("/pin") and not Configuration.objects.filter(name="pinnable").exists():
            publishing.create_configuration("pinnable", draft, by=self.person, at=agent.first_seen_at)
        if label.endswith("/pin") and not label.startswith("POST"):
            pin_agent(agent.pk, configuration="pinnable", **held)
        elif label.endswith("/pause") and not label.startswith("POST"):
            pause_agent(agent, **held)

    def _package(self, name: str, at: datetime) -> tuple[int, int]:
        """The keys of a package and of a file of its first version."""
        package = create_package({"name": name}, by=self.person, at=at)
        version = add_version(package, "1.0", by=self.person, at=at)
        return package.pk, add_file(version, BytesIO(b"a"), FileFacts(os_type="plan9"), by=self.person, at=at).pk

    def _connect(self, agent: Any, name: str, at: datetime) -> None:
        """Settings of this name, and others that the agent failed at."""
        content = {"own_logs": {"endpoint": "https://h/v1/logs"}}
        create_settings({"name": name, "content": content, "selector": {"mine": name}}, by=self.person, at=at)
        if not AgentConnection.objects.filter(agent=agent).exists():
            failed = {"wanted": {"opamp": "x"}, "status": "failed", "assigned_at": at, "status_at": at}
            AgentConnection.objects.create(agent=agent, **failed)

    def _job_or_entry(self, label: str, agent: Any) -> int:
        if label.endswith("/jobs/{id}/file"):
            # Those that other operations have begun would be too many.
            Job.objects.exclude(file=None).update(state=JobState.DONE)
            job = start_export([agent.pk], columns_named(["hostname"]), "csv", by=self.person, query="")
            Job.objects.filter(pk=job.pk).update(state=JobState.DONE)
            return job.pk
        if "/jobs/" in label:
            return start_acting(actions.available_actions()[0], [agent.pk], by=self.person, parameters={}).pk
        if alerting := re.search("/(alert-rules|alerts|receivers|silences|alert-deliveries)/{id}", label):
            return int(alerting_things(f"r{agent.pk}")[alerting[1]])
        if "/agent-views/" in label:
            return create_view(ViewContent(f"view {agent.pk}"), by=self.person).pk
        return AuditEntry.objects.latest("id").pk

    def _call(self, strategy: Any, operation: Any, found: Findings, examples: int) -> None:
        checks = [check for check in CHECKS.get_all() if check.__name__ not in _LEFT_OUT]

        last: list[Any] = []

        @given(case=strategy)
        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def answers(case: Any) -> None:
            assume(not _is_valid_on_the_wire(case.query or {}))
            response = case.call()
            last[:] = [response.request.url]
            found.calls += 1
            found.statuses[operation.label].add(response.status_code)
            case.validate_response(response, checks=checks)

        try:
            answers()
        except (Failure, FailureGroup) as error:
            parts = error.exceptions if isinstance(error, FailureGroup) else [error]
            found.failures.extend(f"{operation.label}: {part} (the last call: {last[0]})" for part in parts)


def _is_valid_on_the_wire(query: dict[str, Any]) -> bool:
    """Whether "invalid" values became valid ones when written: ``false`` is a text there, and an empty filter is not set."""
    chosen = [query.get(name) for name in _CHOICES]
    return any(query.get(name) in ("true", "false", "unknown", "") for name in _FACTS) or any(
        values == "" or (isinstance(values, list) and "" in values) for values in chosen
    )


@pytest.fixture
def api(transactional_db: None, live_server, report) -> LiveApi:
    """The live API, with agents and configurations to find."""
    return LiveApi(live_server.url, report)


def test_the_schema_has_no_warnings(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_no_operation_answers_whom_it_does_not_know(api):
    for operation in api.operations():
        case = operation.Case(path_parameters=dict.fromkeys(("instance_uid", "name", "number", "id", "file_id"), "1"))
        for headers in ({}, {"Authorization": "Bearer opk_0123456789_wrong"}, {"Authorization": "Basic YTpi"}):
            url = f"{api.url}{case.formatted_path}"
            answer = requests.request(operation.method, url, headers=headers, timeout=10)
            assert answer.status_code == 401, operation.label
            assert answer.headers["Content-Type"] == "application/problem+json"


def test_every_operation_keeps_the_documents_word(api):
    found = Findings()
    begun = time.monotonic()
    operations = api.operations()
    for operation in operations:
        # A busy machine makes fewer calls instead of taking minutes.
        api.exercise(operation, found, examples=10 if time.monotonic() - begun < 40 else 2)
    assert not found.failures, "\n\n".join(found.failures)
    print(f"{found.calls} calls of {len(operations)} operations in {time.monotonic() - begun:.0f} s")
    assert len(operations) >= 29
    assert found.calls >= 4 * len(operations)
    never = []
    for operation in operations:
        statuses = found.statuses[operation.label]
        # Proof that calls are signed in and get past the entry point.
        assert not statuses & {401, 403}, operation.label
        through = {200, 201, 202, 204, 409} if operation.method in _WRITES else {200}
        if not statuses & through:
            never.append((operation.label, statuses))
    assert never == []


@pytest.mark.parametrize("bug", ["a crash", "another type than promised", "wrong values bent into right ones"])
def test_a_planted_bug_is_found(api, monkeypatch, bug):
    label = "POST /api/v1/configurations/preview"
    if bug == "a crash":
        monkeypatch.setattr("configurations.api.drafted", lambda values, _draft: values["no such field"])
    elif bug == "another type than promised":
        label, stock = "GET /api/v1/agents/summary", AgentViewSet.summary

        def wrong(self: Any, request: Any) -> Any:
            response = stock(self, request)
            response.data["total"] = "many"
            return response

        monkeypatch.setattr(AgentViewSet, "summary", wrong)
    else:
        label = "GET /api/v1/configurations"
        monkeypatch.setattr("opamp_platform.api.paging._number", lambda _request, _name, default, _most: default)
    found = Findings()
    for operation in api.operations():
        if operation.label == label:
            api.exercise(operation, found, examples=150)
    assert found.calls
    assert any(failure.startswith(label) for failure in found.failures), found
