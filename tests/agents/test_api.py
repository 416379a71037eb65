"""The REST endpoint to agents."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry
from agents.models import Agent, AgentCommand, ConnectionRecord
from agents.reports import AvailableComponents, EffectiveConfig
from agents.services import commands
from tests.databases import on_postgresql

pytestmark = pytest.mark.django_db
URL = "/api/v1/agents"


def test_people_see_what_they_may(api_of, alice, bob, charlie, report):
    agent = report()
    for url in (URL, f"{URL}/{agent.instance_uid}", f"{URL}/{agent.instance_uid}/timeline", f"{URL}/summary"):
        anonymous = api_of(None).get(url)
        assert (anonymous.status_code, anonymous["content-type"]) == (401, "application/problem+json")
        assert anonymous["www-authenticate"].startswith("Bearer")
        assert api_of(charlie).get(url).status_code == 403
        assert api_of(bob).get(url).status_code == 200
        assert api_of(bob).get(f"{url}/").status_code == 200


def test_a_viewer_changes_nothing(api_of, bob, report):
    url = f"{URL}/{report().instance_uid}"
    assert api_of(bob).patch(url, {"notes": "x"}).status_code == 403
    assert api_of(bob).delete(url).status_code == 403
    assert api_of(bob).post(f"{url}/restart").status_code == 403
    assert not AuditEntry.objects.exists()


def test_an_agent_is_shown_as_the_contract_says(api_of, alice, report):
    agent = report(env="prod")
    body = api_of(alice).get(f"{URL}/{agent.instance_uid}").json()
    assert body["instance_uid"] == str(agent.instance_uid)
    assert (body["status"], body["connected"], body["healthy"], body["in_sync"]) == ("connected", True, True, None)
    assert (body["hostname"], body["os_type"], body["architecture"]) == ("web-1", "linux", "amd64")
    assert "AcceptsRemoteConfig" in body["capabilities"]
    assert body["labels"]["env"] == "prod"
    assert body["remote_config_status"] == {"status": "unset", "config_hash": "", "error_message": ""}
    assert body["configuration"] is None
    assert body["effective_config"] == {"": {"body": "receivers: {}\n"}}
    assert "effective_config" not in api_of(alice).get(URL).json()["results"][0]


@pytest.mark.defect(15)
def test_statuses_pages_and_filters_agree_over_the_whole_list(api_of, alice, report):
    for number in range(7):
        report(f"host-{number}", healthy=number % 3 != 0, env="prod" if number % 2 else "dev")
    Agent.objects.filter(hostname="host-1").update(connected=False)
    client = api_of(alice)
    summary = client.get(f"{URL}/summary").json()
    assert summary["total"] == 7
    for status, number in summary["status"].items():
        assert client.get(URL, {"status": status}).json()["count"] == number
    assert summary["status"] == {"connected": 3, "disconnected": 1, "configuring": 0, "error": 3}
    page = client.get(URL, {"page": 2, "page_size": 3, "ordering": "hostname"}).json()
    assert [row["hostname"] for row in page["results"]] == ["host-3", "host-4", "host-5"]
    assert client.get(URL, {"label": "env=prod,os.type in (linux)"}).json()["count"] == 3
    assert client.get(URL, {"label": "env!=prod"}).json()["count"] == 4
    assert client.get(URL, {"label": "service.version>0.100,!gone"}).json()["count"] == 7
    assert client.get(URL, {"search": "host-4"}).json()["count"] == 1
    assert client.get(URL, {"healthy": "false"}).json()["count"] == 3


def test_wrong_questions_get_a_problem(api_of, alice):
    client = api_of(alice)
    for query in ({"label": "env in ("}, {"status": "online"}, {"healthy": "banana"}, {"ordering": "password"}):
        answer = client.get(URL, query)
        assert answer.status_code == 400, query
        assert answer.json()["errors"]
    for uid in ("no-uuid", uuid.uuid4()):
        answer = client.get(f"{URL}/{uid}")
        assert (answer.status_code, answer["content-type"]) == (404, "application/problem+json")


def test_the_list_costs_the_same_queries_whatever_its_length(api_of, alice, report):
    report("a")
    client = api_of(alice)
    with CaptureQueriesContext(connection) as one:
        client.get(URL)
    for number in range(12):
        report(f"b{number}")
    with CaptureQueriesContext(connection) as many:
        client.get(URL)
    assert len(one) == len(many) <= 3


def test_operators_edit_and_the_audit_trail_knows(api_of, alice, report):
    agent = report()
    client = api_of(alice)
    url = f"{URL}/{agent.instance_uid}"
    body = client.patch(url, {"name": "Edge 1", "operator_labels": {"env": "prod"}, "notes": "rack 4"}).json()
    assert (body["name"], body["labels"]["env"], body["notes"]) == ("Edge 1", "prod", "rack 4")
    bad = client.patch(url, {"operator_labels": {"": "x"}})
    assert bad.status_code == 400
    assert bad.json()["errors"]["operator_labels"]
    assert Agent.objects.get(pk=agent.pk).operator_labels == {"env": "prod"}
    assert AuditEntry.objects.filter(verb="agent.edit").count() == 1
    assert client.post(f"{url}/restart").status_code == 202
    assert client.post(f"{url}/restart").status_code == 202
    assert AuditEntry.objects.filter(verb="agent.restart").count() == 1
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404


def test_a_restart_needs_the_capability(api_of, alice, report):
    answer = api_of(alice).post(f"{URL}/{report(capabilities=1).instance_uid}/restart")
    assert answer.status_code == 409
    assert "AcceptsRestartCommand" in answer.json()["detail"]


# --- Filters and order ---------------------------------------------------------------------------------------------


def test_statuses_may_be_named_in_one_text(api_of, alice, report):
    report("well")
    report("ill", healthy=False)
    gone = report("gone")
    Agent.objects.filter(pk=gone.pk).update(connected=False)
    client = api_of(alice)

    def found(query: str) -> list[str]:
        return [row["hostname"] for row in client.get(f"{URL}?ordering=hostname&{query}").json()["results"]]

    assert found("status=connected,error") == ["ill", "well"]
    assert found("status=connected&status=error") == ["ill", "well"]
    assert found("status=connected,%20disconnected,&status=error") == ["gone", "ill", "well"]
    assert found("status=disconnected") == ["gone"]
    assert found("status=") == ["gone", "ill", "well"]
    assert client.get(f"{URL}?status=connected,online").status_code == 400


def test_every_filter_of_the_contract_chooses(api_of, alice, report):
    report("a", env="prod")
    other = report("b", healthy=False)
    Agent.objects.filter(pk=other.pk).update(
        os_type="windows", version="9.9", configuration_name="edge", in_sync=True, connected=False, architecture="arm64"
    )
    client = api_of(alice)
    for name, first, second in (
        ("healthy", "true", "false"),
        ("in_sync", "unknown", "true"),
        ("connected", "true", "false"),
        ("os_type", "linux", "windows"),
        ("version", "0.120.0", "9.9"),
        ("architecture", "amd64", "arm64"),
        ("hostname", "a", "b"),
        ("label", "env", "!env"),
        ("search", str(Agent.objects.get(hostname="a").instance_uid), "B"),
    ):
        for value, host in ((first, "a"), (second, "b")):
            rows = client.get(URL, {name: value}).json()["results"]
            assert [row["hostname"] for row in rows] == [host], (name, value)
    assert client.get(URL, {"configuration": "edge"}).json()["count"] == 1
    assert client.get(URL, {"service_name": "otelcol"}).json()["count"] == 2
    assert client.get(URL, {"healthy": ""}).json()["count"] == 2


@pytest.mark.parametrize(
    "query",
    [
        {"label": "env=\x00"}, {"search": "\x00"}, {"version": "a\x00"}, {"configuration": "\x00"}, {"label": "(" * 500},
        {"label": ",".join(["a=b"] * 5000)}, {"ordering": "name,,"}, {"ordering": "reported__health"}, {"status": "\x00"},
        {"label": "a in (" + ",".join(str(number) for number in range(300)) + ")"},
    ],
)  # fmt: skip
def test_odd_filters_are_refused_or_find_nothing(api_of, alice, report, query):
    report()
    answer = api_of(alice).get(URL, query)
    assert answer.status_code == 400 or answer.json()["count"] <= 1
    assert answer.status_code in {200, 400}


@pytest.mark.parametrize(
    "field", ["name", "first_seen_at", "last_seen_at", "version", "hostname", "os_type", "connected_at"]
)
def test_an_order_and_its_reverse_are_mirror_images(api_of, alice, report, field):
    for host in ("c", "a", "b"):
        report(host)
    client = api_of(alice)

    def order(ordering: str) -> list[str]:
        return [row["instance_uid"] for row in client.get(URL, {"ordering": ordering}).json()["results"]]

    assert order(field) == order(f"-{field}")[::-1]
    assert len(set(order(field))) == 3


# --- Below one agent -----------------------------------------------------------------------------------------------


def test_what_was_asked_of_an_agent_can_be_read(api_of, alice, bob, report):
    agent = report(custom_capabilities=("com.example.snapshot",))
    url = f"{URL}/{agent.instance_uid}"
    client = api_of(alice)
    assert client.get(url).json()["custom_capabilities"] == ["com.example.snapshot"]
    sent = client.post(f"{url}/custom-message", {"capability": "com.example.snapshot", "type": "ask", "data": "ä"})
    assert sent.status_code == 202
    assert client.post(f"{url}/restart").status_code == 202
    rows = api_of(bob).get(f"{url}/commands").json()["results"]
    assert [(row["kind"], row["outcome"], row["requested_by"]) for row in rows] == [
        ("restart", "pending", "alice"),
        ("custom_message", "pending", "alice"),
    ]
    assert (rows[0]["capability"], rows[1]["capability"], rows[1]["type"]) == (None, "com.example.snapshot", "ask")
    assert rows[1] == sent.json()
    stored = AgentCommand.objects.get(kind="custom_message")
    assert commands.custom_message_of(stored).data == "ä".encode()
    assert AuditEntry.objects.filter(verb="agent.custom_message").count() == 1


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"capability": "c", "data_base64": "AAEC/w=="}, 202, None),
        ({"capability": "c"}, 202, None),
        ({"capability": "other"}, 409, None),
        ({"capability": "c", "data": "x", "data_base64": "eA=="}, 400, "data_base64"),
        ({"capability": "c", "data_base64": "no base64!"}, 400, "data_base64"),
        ({"capability": "c", "data": "x" * (1024 * 1024 + 1)}, 400, "data"),
        ({"type": "t"}, 400, "capability"),
        ({"capability": "c", "type": 5}, 400, "type"),
        ({"capability": "c", "type": "\x00"}, 400, "type"),
    ],
)
def test_a_custom_message_is_judged_before_it_is_sent(api_of, alice, report, body, status, named):
    agent = report(custom_capabilities=("c",))
    answer = api_of(alice).post(f"{URL}/{agent.instance_uid}/custom-message", body)
    assert answer.status_code == status, answer.content
    assert AgentCommand.objects.count() == (status == 202)
    if named:
        assert list(answer.json()["errors"]) == [named]
    if status == 409:
        assert "it lists: c" in answer.json()["detail"]


def test_stays_components_and_packages_can_be_read(api_of, bob, report):
    agent = report(
        available_components=AvailableComponents(b"\x01\x02", {"receivers": {"components": {"otlp": {}}}}),
        package_statuses={"packages": {"agent": {"status": 1}}},
    )
    bare = report("bare")
    client = api_of(bob)
    url = f"{URL}/{agent.instance_uid}"
    (stay,) = client.get(f"{url}/connections").json()["results"]
    assert (stay["transport"], stay["remote_address"], stay["disconnected_at"]) == ("websocket", "127.0.0.1", None)
    assert client.get(f"{url}/components").json() == {
        "hash": "0102", "components": {"receivers": {"components": {"otlp": {}}}},
    }  # fmt: skip
    assert client.get(f"{url}/packages").json() == {"packages": {"agent": {"status": 1}}}
    assert client.get(f"{URL}/{bare.instance_uid}/components").json() == {"hash": "", "components": None}
    assert client.get(f"{URL}/{bare.instance_uid}/packages").json() == {}


def test_nothing_of_an_agent_that_is_not_there(api_of, alice):
    for name in ("timeline", "commands", "connections", "components", "packages", "effective-config", "configuration"):
        for uid in (uuid.uuid4(), "no-uuid", "0" * 400, "%00", "%ff"):
            answer = api_of(alice).get(f"{URL}/{uid}/{name}")
            assert (answer.status_code, answer["content-type"]) == (404, "application/problem+json"), (name, uid)


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("", 3), ("/timeline", 2), ("/commands", 3), ("/connections", 2), ("/components", 2), ("/packages", 1),
        ("/effective-config", 1), ("/configuration", 7),
    ],
)  # fmt: skip
def test_pages_of_one_agent_cost_a_fixed_number_of_queries(
    api_of, alice, report, django_assert_max_num_queries, path, most
):
    agent = report()
    client = api_of(alice)
    for number in range(5):
        client.patch(f"{URL}/{agent.instance_uid}", {"notes": str(number)})
        AgentCommand.objects.create(agent=agent, kind="custom_message", requested_by=alice, requested_at=timezone.now())
        ConnectionRecord.objects.create(agent=agent, lease_id="x", transport="http", connected_at=timezone.now())
    with django_assert_max_num_queries(most):
        answer = client.get(f"{URL}/{agent.instance_uid}{path}")
    assert answer.status_code == 200


def test_the_summary_costs_five_queries(api_of, alice, report, django_assert_num_queries):
    report()
    with django_assert_num_queries(5):
        api_of(alice).get(f"{URL}/summary")


class TestSecrets:
    """What an agent's configuration holds is not for everybody who may look (S-116)."""

    FILES = {"": {"body": "token: s3cret\nendpoint: https://user:pa55@example.org\n"}}

    @pytest.fixture
    def url(self, report):
        agent = report(effective_config=EffectiveConfig(self.FILES))
        return f"{URL}/{agent.instance_uid}"

    @pytest.mark.rule("S-116")
    def test_they_are_hidden_in_the_detail_and_in_the_files(self, api_of, alice, bob, url):
        for person in (alice, bob):
            for path in (url, f"{url}/effective-config", f"{url}/effective-config?secrets=hidden"):
                text = api_of(person).get(path).content.decode()
                assert "[redacted]" in text
                assert "s3cret" not in text
                assert "pa55" not in text

    @pytest.mark.rule("S-113", "S-116")
    def test_who_has_the_right_can_see_them_and_that_is_audited(self, api_of, alice, bob, url):
        assert api_of(bob).get(f"{url}/effective-config?secrets=shown").status_code == 403
        assert not AuditEntry.objects.exists()
        assert api_of(alice).get(f"{url}/effective-config?secrets=shown").json() == self.FILES
        assert AuditEntry.objects.get().verb == "agent.reveal_secrets"

    def test_another_word_is_an_error(self, api_of, alice, url):
        answer = api_of(alice).get(f"{url}/effective-config?secrets=yes")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["secrets"])


@on_postgresql
@pytest.mark.parametrize("many", [False, True])
def test_labels_lock_the_targeting_before_the_agents(api_of, alice, report, many):
    """The other way round a publish, which does it so, and an edit of labels could wait for each other."""
    agent = report()
    with CaptureQueriesContext(connection) as queries:
        if many:
            answer = api_of(alice).post(f"{URL}/labels", {"match_all": True, "set": {"a": "b"}})
        else:
            answer = api_of(alice).patch(f"{URL}/{agent.instance_uid}", {"operator_labels": {"a": "b"}})
    assert answer.status_code == 200
    statements = [query["sql"] for query in queries]
    assert any("labels" in sql and sql.startswith("UPDATE") for sql in statements)
    held = next(place for place, sql in enumerate(statements) if "pg_advisory_xact_lock_shared" in sql)
    locked = next(place for place, sql in enumerate(statements) if "FOR UPDATE" in sql)
    assert held < locked


class TestNewUid:
    """An operator can give an agent another uid."""

    def test_the_agent_is_told_and_its_history_goes_along(self, api_of, alice, report):
        agent = report()
        url = f"{URL}/{agent.instance_uid}/new-instance-uid"
        first, second = (api_of(alice).post(url) for _ in range(2))
        assert (first.status_code, second.json()) == (202, first.json())
        agent.refresh_from_db()
        assert str(agent.next_instance_uid) == first.json()["new_instance_uid"]
        assert AuditEntry.objects.get().verb == "agent.assign_uid"

    def test_a_viewer_may_not(self, api_of, bob, report):
        assert api_of(bob).post(f"{URL}/{report().instance_uid}/new-instance-uid").status_code == 403
