"""The contract with outside programs, URL by URL, over HTTP. JSON of agents and configurations: `test_contract_json`; commands and
environment: `test_contract_commands`. What other files hold the portal to is not said twice: OpAMP (`test_serve`), `/packages/…`
(`tests.packages.test_downloads`), `/ws/notifications` (`tests.notifications`), rollouts and pins (`tests.rollouts`), drafts.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator

import pytest
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from tests.fake_agent import FakeAgent
from tests.live_server import LiveServer
from tests.opamp_platform.contract import Said, ask, connected
from tests.telemetry.otlp_requests import Export

UNKNOWN = "00000000-0000-4000-8000-000000000000"
LISTS = [
    "agents", "configurations", "rollouts", "secrets", "variables", "packages", "enrolment-tokens", "connection-settings",
    "alert-rules", "alerts", "silences", "receivers", "jobs", "audit",
]  # fmt: skip
OTHERS = ["agents/summary", "configurations:export", "schema", "docs"]


@pytest.fixture(scope="module")
def agent(shared_portal: LiveServer) -> Iterator[FakeAgent]:
    """One that stays connected."""
    agent = FakeAgent(env="contract")
    with connected(shared_portal, agent):
        yield agent


def made(server: LiveServer, path: str, body: object) -> dict[str, object]:
    """What a POST has made."""
    said = ask(server, "POST", f"/api/v1/{path}", body)
    assert said.status == 201, said
    found: dict[str, object] = said.json
    return found


class TestEveryUrl:
    @pytest.mark.parametrize("slash", ["", "/"])
    @pytest.mark.parametrize("path", [*LISTS, *OTHERS])
    def test_with_and_without_a_slash_for_whoever_has_a_token(
        self, shared_portal: LiveServer, path: str, slash: str
    ) -> None:
        said = ask(shared_portal, "GET", f"/api/v1/{path}{slash}")
        assert said.status == 200
        if path in LISTS:
            assert {"count", "next", "previous", "results"} <= set(said.json)
        anonymous = ask(shared_portal, "GET", f"/api/v1/{path}{slash}", token="")
        assert (anonymous.status, anonymous.is_problem) == (401, True)
        assert "www-authenticate" in anonymous.headers

    def test_a_session_is_as_good_as_a_token(self, shared_portal: LiveServer) -> None:
        cookie = shared_portal.manage("shell", "--no-imports", "-c", SESSION).strip()
        said = ask(shared_portal, "GET", "/api/v1/agents", token="", headers={"Cookie": f"sessionid={cookie}"})
        assert said.status == 200

    @pytest.mark.parametrize(
        ("method", "path", "body", "headers", "status"),
        [
            ("GET", "/api/v1/agents?colour=red", None, {}, 400),
            ("POST", "/api/v1/configurations", b"{", {}, 400),
            ("POST", "/api/v1/configurations", {}, {}, 400),
            ("GET", "/api/v1/agents", None, {"Authorization": "Bearer opk_of_nobody"}, 401),
            ("GET", "/api/v1", None, {}, 404),
            ("GET", "/api/v1/nothing/of/that/name", None, {}, 404),
            ("GET", f"/api/v1/agents/{UNKNOWN}", None, {}, 404),
            ("GET", "/api/v1/agents/no-uid", None, {}, 404),
            ("GET", "/api/v1/agents?page=999", None, {}, 404),
            ("DELETE", "/api/v1/agents", None, {}, 405),
            ("GET", "/api/v1/agents", None, {"Accept": "image/png"}, 406),
            ("POST", "/api/v1/configurations", b" " * (8 * 1024**2 + 1), {}, 413),
            ("POST", "/api/v1/configurations", b"a", {"Content-Type": "text/csv"}, 415),
        ],
    )
    def test_whatever_goes_wrong_is_problem_json(
        self, shared_portal: LiveServer, method: str, path: str, body: object, headers: dict[str, str], status: int
    ) -> None:
        said = ask(shared_portal, method, path, body, headers=headers)
        assert (said.status, said.is_problem) == (status, True), said

    def test_errors_are_by_field(self, shared_portal: LiveServer) -> None:
        said = ask(shared_portal, "POST", "/api/v1/configurations", {"priority": "high", "colour": "red"})
        assert set(said.json["errors"]) >= {"name", "priority"} or set(said.json["errors"]) == {"colour"}
        assert all(isinstance(text, str) for texts in said.json["errors"].values() for text in texts)


SESSION = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from accounts.models import User
user = User.objects.get()
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(user.pk), settings.AUTHENTICATION_BACKENDS[0]
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.save()
print(session.session_key)
"""


class TestPortal:
    def test_the_root_leads_to_the_admin(self, shared_portal: LiveServer) -> None:
        said = ask(shared_portal, "GET", "/", token="")
        assert (said.status, said.headers["location"]) == (302, "/admin/")

    @pytest.mark.parametrize("path", ["/health", "/health/", "/health/ready"])
    def test_health_has_a_verdict_for_each_dependency(self, shared_portal: LiveServer, path: str) -> None:
        said = ask(shared_portal, "GET", path, token="").json
        assert said["status"] == "ok"
        assert {"database", "migrations", "storage"} <= set(said["checks"])
        assert ("redis" in said["checks"]) is bool(shared_portal.environment["REDIS_URL"])
        assert all(check["status"] == "ok" for check in said["checks"].values())

    def test_live(self, shared_portal: LiveServer) -> None:
        assert ask(shared_portal, "GET", "/health/live", token="").json == {"status": "ok"}

    def test_metrics_are_for_prometheus(self, shared_portal: LiveServer) -> None:
        said = ask(shared_portal, "GET", "/metrics", token="")
        assert (said.status, said.headers["content-type"].split(";")[0]) == (200, "text/plain")
        assert b"\n# TYPE opamp_agents gauge\n" in said.body

    def test_the_schema_is_openapi_3_and_has_a_page(self, shared_portal: LiveServer) -> None:
        assert ask(shared_portal, "GET", "/api/v1/schema?format=json").json["openapi"].startswith("3.")
        assert ask(shared_portal, "GET", "/api/v1/schema").body.startswith(b"openapi: 3.")
        page = ask(shared_portal, "GET", "/api/v1/docs", headers={"Accept": "text/html"})
        assert page.headers["content-type"].startswith("text/html")


class TestOwnMetrics:
    """OTLP/HTTP at ``/v1/metrics``, without any setting."""

    @pytest.mark.parametrize("kind", ["application/x-protobuf", "application/json"])
    @pytest.mark.parametrize("coding", ["", "gzip"])
    def test_they_are_taken(self, shared_portal: LiveServer, agent: FakeAgent, kind: str, coding: str) -> None:
        export = Export(agent.uid)
        export.collector(cpu=30, memory=5e7, accepted=60)
        body = MessageToJson(export.request).encode() if kind.endswith("json") else export.body
        headers = {"Content-Type": kind, **({"Content-Encoding": coding} if coding else {})}
        said = ask(
            shared_portal, "POST", "/v1/metrics", gzip.compress(body) if coding else body, headers=headers, token=""
        )
        assert (said.status, said.headers["content-type"]) == (200, kind), said
        if not kind.endswith("json"):
            answer = ExportMetricsServiceResponse.FromString(said.body)
            assert not answer.partial_success.rejected_data_points
        assert ask(shared_portal, "GET", f"/api/v1/agents/{agent.uid}/telemetry").json["latest"] is not None


class TestManifests:
    def test_what_is_exported_is_applied_without_a_change(self, shared_portal: LiveServer) -> None:
        made(
            shared_portal,
            "configurations",
            {"name": "exported", "raw_config": "a: 1\npassword: hunter2-hunter2\n", "selector": {"x": "exported"}},
        )
        said = ask(shared_portal, "GET", "/api/v1/configurations:export")
        assert said.status == 200
        assert b"hunter2" not in said.body
        listed = said.json["configurations"]
        assert "exported" in {item["name"] for item in listed}
        plan = self.applied(shared_portal, {**said.json, "prune": True})
        assert {(step["name"], step["action"]) for step in plan} == {(item["name"], "unchanged") for item in listed}

    def test_a_dry_run_changes_nothing_and_pruning_deletes_what_is_not_listed(self, shared_portal: LiveServer) -> None:
        first, second = ({"name": name, "raw_config": "a: 1\n", "selector": {"x": name}} for name in ("kept", "going"))
        assert [step["action"] for step in self.applied(shared_portal, {"configurations": [first, second]})] == [
            "create",
            "create",
        ]
        there = ask(shared_portal, "GET", "/api/v1/configurations:export").json["configurations"]
        rest = {"configurations": [item for item in there if item["name"] != "going"], "prune": True}
        for body in ({**rest, "dry_run": True}, rest):
            assert ask(shared_portal, "GET", "/api/v1/configurations/going").status == 200
            steps = self.applied(shared_portal, body)
            assert [step["name"] for step in steps if step["action"] == "delete"] == ["going"]
        assert ask(shared_portal, "GET", "/api/v1/configurations/going").status == 404
        assert ask(shared_portal, "GET", "/api/v1/configurations/kept").status == 200

    def applied(self, server: LiveServer, body: dict[str, object]) -> list[dict[str, str]]:
        """The plan."""
        said = ask(server, "POST", "/api/v1/configurations:apply", body)
        assert said.status == 200, said
        plan: list[dict[str, str]] = said.json["plan"]
        return plan


class TestByNameAndById:
    def test_secrets_by_name_and_their_values_are_never_read(self, shared_portal: LiveServer) -> None:
        secret = made(shared_portal, "secrets", {"name": "sealed", "value": "a-value-of-nobody"})
        url = "/api/v1/secrets/sealed"
        for said in (
            ask(shared_portal, "GET", url),
            ask(shared_portal, "PATCH", url, {"value": "another-value-of-nobody"}),
            ask(shared_portal, "GET", "/api/v1/secrets"),
        ):
            assert (said.status, b"-of-nobody" in said.body) == (200, False)
        assert "value" not in secret
        assert ask(shared_portal, "DELETE", url).status == 204
        assert ask(shared_portal, "GET", url).status == 404

    def test_variables_by_name(self, shared_portal: LiveServer) -> None:
        variable = made(shared_portal, "variables", {"name": "site", "value": "berlin"})
        url = "/api/v1/variables/site"
        assert (
            ask(shared_portal, "GET", url).json == ask(shared_portal, "GET", f"/api/v1/variables/{variable['id']}").json
        )
        assert ask(shared_portal, "PATCH", url, {"value": "paris"}).json["value"] == "paris"
        assert ask(shared_portal, "PUT", f"{url}/", {"name": "site", "value": "rome"}).json["id"] == variable["id"]
        other = made(shared_portal, "variables", {"name": "site", "value": "oslo", "selector": {"env": "x"}})
        for method, body in (("GET", None), ("PATCH", {"value": "x"}), ("DELETE", None)):
            shared = ask(shared_portal, method, url, body)
            assert (shared.status, shared.is_problem, shared.json["code"]) == (409, True, "variable-name-shared")
            assert f"{variable['id']}, {other['id']}" in shared.json["detail"]
        assert ask(shared_portal, "DELETE", f"/api/v1/variables/{other['id']}").status == 204
        assert ask(shared_portal, "DELETE", url).status == 204
        assert ask(shared_portal, "GET", url).status == 404

    def test_connection_settings_by_id_and_by_name(self, shared_portal: LiveServer) -> None:
        content = {"own_logs": {"endpoint": "https://otel.example:4318/v1/logs"}}
        settings = made(shared_portal, "connection-settings", {"name": "site", "content": content})
        by_id, by_name = (f"/api/v1/connection-settings/{key}" for key in (settings["id"], "site"))
        assert ask(shared_portal, "GET", by_id).json == ask(shared_portal, "GET", by_name).json
        assert ask(shared_portal, "GET", f"{by_id}/versions").json["count"] == 1
        assert ask(shared_portal, "PATCH", by_id, {"priority": 3}).json["priority"] == 3
        confusing = ask(shared_portal, "POST", "/api/v1/connection-settings", {"name": "12", "content": content})
        assert (confusing.status, list(confusing.json["errors"])) == (400, ["name"])
        assert ask(shared_portal, "DELETE", by_id).status == 204
        assert ask(shared_portal, "GET", by_name).status == ask(shared_portal, "GET", by_id).status == 404

    def test_enrolment_tokens_by_id_and_their_text_in_one_answer_alone(self, shared_portal: LiveServer) -> None:
        token = made(shared_portal, "enrolment-tokens", {"name": "rack"})
        text = str(token["token"]).encode()
        found = ask(shared_portal, "GET", f"/api/v1/enrolment-tokens/{token['id']}")
        assert (found.status, found.json["name"]) == (200, "rack")
        assert text not in found.body + ask(shared_portal, "GET", "/api/v1/enrolment-tokens").body


class TestPackages:
    def test_upload_list_download_delete(self, shared_portal: LiveServer) -> None:
        content = bytes(range(256)) * 40
        package = made(shared_portal, "packages", {"name": "exporter", "kind": "addon", "selector": {"x": "y"}})
        url = f"/api/v1/packages/{package['id']}"
        made(shared_portal, f"packages/{package['id']}/versions", {"version": "1.0.0"})
        raw = {"Content-Type": "application/octet-stream"}
        upload = ask(shared_portal, "PUT", f"{url}/versions/1/files?filename=exporter.bin", content, headers=raw)
        assert upload.status == 201, upload
        assert [item["name"] for item in ask(shared_portal, "GET", "/api/v1/packages").json["results"]] == ["exporter"]
        (version,) = ask(shared_portal, "GET", f"{url}/versions").json["results"]
        assert version["version"] == "1.0.0"
        whole = ask(shared_portal, "GET", f"{url}/download")
        assert (whole.status, whole.body) == (200, content)
        assert whole.headers["accept-ranges"] == "bytes"
        self.parts(shared_portal, f"{url}/download", whole)
        assert hashlib.sha256(content).hexdigest() in str(version)
        assert ask(shared_portal, "DELETE", url).status == 204
        assert ask(shared_portal, "GET", f"{url}/download").status == 404

    def parts(self, server: LiveServer, url: str, whole: Said) -> None:
        """Range and ETag."""
        part = ask(server, "GET", url, headers={"Range": "bytes=10-19"})
        assert (part.status, part.body) == (206, whole.body[10:20])
        assert part.headers["content-range"] == f"bytes 10-19/{len(whole.body)}"
        tag = whole.headers["etag"]
        assert ask(server, "GET", url, headers={"If-None-Match": tag}).status == 304
        assert ask(server, "GET", url, headers={"Range": "bytes=0-3", "If-Range": tag}).status == 206
        beyond = ask(server, "GET", url, headers={"Range": f"bytes={len(whole.body)}-"})
        assert beyond.status == 416
