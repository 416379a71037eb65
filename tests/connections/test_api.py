"""Connection settings over REST: what is made, changed, released, moved, read and refused."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import AuditEntry
from connections.models import AgentConnection, ConnectionSettings, SettingsVersion
from connections.services.stored_contents import content_of
from rollouts.models import Release, Rollout
from tests.certificate_files import Authority, pem_of, pem_of_key
from tests.connections.conftest import TOKEN, content, telemetry
from tests.people import CAPABLE

pytestmark = pytest.mark.django_db
URL = "/api/v1/connection-settings"
OWN = 0x20 | 0x40 | 0x80
ACCEPTS = CAPABLE | OWN | 0x100 | 0x200 | 0x8000
STAGES = {"stages": [{"selector": {"ring": "0"}}]}


@pytest.fixture
def api(api_of: Any, alice: Any) -> Any:
    return api_of(alice)


def make(api: Any, name: str = "site", **more: Any) -> Any:
    return api.post(URL, {"name": name, "selector": {"env": "prod"}, "content": content(), **more})


def errors_of(answer: Any) -> set[str]:
    assert answer.status_code == 400, answer.json()
    return set(answer.json()["errors"])


def test_an_id_is_as_good_as_a_name_and_no_new_name_is_one(api):
    key = make(api).json()["id"]
    for below in ("", "/versions", "/versions/1", "/agents", "/move"):
        assert api.get(f"{URL}/{key}{below}").json() == api.get(f"{URL}/site{below}").json()
    assert errors_of(make(api, name="7")) == {"name"}
    assert api.get(f"{URL}/{key + 1}").status_code == api.get(f"{URL}/{'9' * 40}").status_code == 404
    # One that was named before that was refused.
    named = ConnectionSettings.objects.get(pk=make(api, name="other").json()["id"])
    ConnectionSettings.objects.filter(pk=named.pk).update(name=str(key))
    assert api.get(f"{URL}/{key}").json()["id"] == named.pk
    assert api.get(f"{URL}/{named.pk}").json()["name"] == str(key)


def test_the_whole_way(api, report):
    agent = report(env="prod", capabilities=ACCEPTS)
    made = make(api)
    assert made.status_code == 201, made.json()
    body = made.json()
    assert (body["name"], body["version"], body["agents"], body["rollout"]) == ("site", 1, 1, None)
    assert body["content"]["own_metrics"]["headers"] == {"Authorization": "[redacted]"}
    listed = api.get(f"{URL}/site/agents?status=pending").json()["results"]
    assert [row["instance_uid"] for row in listed] == [str(agent.instance_uid)]
    one = api.get(f"/api/v1/agents/{agent.instance_uid}/connection-settings").json()
    assert (one["settings"], one["version"], one["status"]) == ("site", 1, "pending")
    assert [(member["name"], member["taken"]) for member in one["members"]] == [
        ("own_metrics", True),
        ("own_traces", True),
    ]
    elsewhere = {**body["content"]["own_metrics"], "endpoint": "https://otel.example:4318/v1/m"}
    changed = api.patch(f"{URL}/site", {"content": {"own_metrics": elsewhere}})
    assert changed.status_code == 400, "the header would go elsewhere unless it is written anew"
    new = {"own_metrics": {"endpoint": "https://otel.example:4318/v1/m", "headers": {"Authorization": TOKEN}}}
    changed = api.patch(f"{URL}/site", {"content": new, "note": "shorter"})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    versions = api.get(f"{URL}/site/versions").json()["results"]
    assert [(row["number"], row["in_force"], row["note"]) for row in versions] == [(2, True, "shorter"), (1, False, "")]
    back = api.post(f"{URL}/site/versions/1/release", {})
    assert (back.status_code, back.json()["version"]["in_force"]) == (200, True)
    assert api.post(f"{URL}/site/versions/1/release", {}).status_code == 409
    assert api.get(f"{URL}/site/versions/3").status_code == 404
    assert api.delete(f"{URL}/site").status_code == 409
    assert api.patch(f"{URL}/site", {"enabled": False}).json()["agents"] == 0
    assert api.delete(f"{URL}/site").status_code == 204
    assert not Release.objects.live().exists()
    verbs = set(AuditEntry.objects.values_list("verb", flat=True))
    assert {f"connection_settings.{verb}" for verb in ("create", "add_version", "release", "update", "delete")} <= verbs
    assert TOKEN not in str(list(AuditEntry.objects.values_list("data", flat=True)))


def test_what_is_hidden_stays_as_long_as_it_leads_nowhere_else(api):
    make(api)
    shown = api.get(f"{URL}/site").json()["content"]
    shown["own_metrics"]["tls"] = {}
    same = api.patch(f"{URL}/site", {"content": shown})
    assert (same.status_code, same.json()["version"]) == (200, 1)
    shown["own_logs"] = {"endpoint": "https://otel.example/v1/logs"}
    assert api.patch(f"{URL}/site", {"content": shown}).json()["version"] == 2
    kept = content_of(SettingsVersion.objects.get(number=2))
    assert kept["own_metrics"]["headers"] == {"Authorization": f"Bearer {TOKEN}"}
    for member in (
        {**shown["own_metrics"], "endpoint": "https://evil.example/v1/metrics"},
        {**shown["own_metrics"], "proxy": {"url": "evil.example:3128"}},
        {**shown["own_metrics"], "tls": {"insecure_skip_verify": True}},
    ):
        answer = api.patch(f"{URL}/site", {"content": {"own_metrics": member}})
        assert errors_of(answer) == {"content.own_metrics.headers.Authorization"}
    nothing = api.patch(
        f"{URL}/site", {"content": {"own_logs": {"endpoint": "https://a/b", "headers": {"X": "[redacted]"}}}}
    )
    assert errors_of(nothing) == {"content.own_logs.headers.X"}


def test_other_settings_are_hidden_by_their_names(api):
    given = {"endpoint": "kafka:9092", "other_settings": {"password": "hunter2hunter2", "topic": "logs"}}
    made = make(api, content={"other_connections": {"kafka": given}})
    shown = made.json()["content"]["other_connections"]["kafka"]["other_settings"]
    assert shown == {"password": "[redacted]", "topic": "logs"}
    given["other_settings"] = {**shown, "topic": "metrics"}
    assert api.patch(f"{URL}/site", {"content": {"other_connections": {"kafka": given}}}).status_code == 200
    stored = content_of(SettingsVersion.objects.get(number=2))["other_connections"]["kafka"]["other_settings"]
    assert stored == {"password": "hunter2hunter2", "topic": "metrics"}


HTTPS = "https://h/v1/m"
BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "content"),
    ({"unknown": {}}, "content.unknown"),
    ({"opamp": "ws://h"}, "content.opamp"),
    ({"opamp": {}}, "content.opamp.endpoint"),
    ({"opamp": {"endpoint": ""}}, "content.opamp.endpoint"),
    ({"opamp": {"endpoint": "host:4320"}}, "content.opamp.endpoint"),
    ({"opamp": {"endpoint": "ws://"}}, "content.opamp.endpoint"),
    ({"opamp": {"endpoint": "ws://h:99999"}}, "content.opamp.endpoint"),
    ({"opamp": {"endpoint": "ws://h:0"}}, "content.opamp.endpoint"),
    ({"opamp": {"endpoint": "ws://u:p@h/x"}}, "content.opamp.endpoint"),
    ({"opamp": {"endpoint": "ws://h/a b"}}, "content.opamp.endpoint"),
    ({"opamp": {"endpoint": "ws://h/\r\nX: 1"}}, "content.opamp.endpoint"),
    ({"opamp": {"endpoint": "ws://h/#x"}}, "content.opamp.endpoint"),
    ({"opamp": {"endpoint": "javascript:alert(1)"}}, "content.opamp.endpoint"),
    ({"opamp": {"endpoint": "file:///etc/passwd"}}, "content.opamp.endpoint"),
    ({"opamp": {"endpoint": f"ws://h/{'x' * 2_001}"}}, "content.opamp.endpoint"),
    ({"opamp": {"endpoint": "ws://h", "heartbeat_seconds": 0}}, "content.opamp.heartbeat_seconds"),
    ({"opamp": {"endpoint": "ws://h", "heartbeat_seconds": -5}}, "content.opamp.heartbeat_seconds"),
    ({"opamp": {"endpoint": "ws://h", "heartbeat_seconds": 86_401}}, "content.opamp.heartbeat_seconds"),
    ({"opamp": {"endpoint": "ws://h", "heartbeat_seconds": 1e300}}, "content.opamp.heartbeat_seconds"),
    ({"opamp": {"endpoint": "ws://h", "heartbeat_seconds": True}}, "content.opamp.heartbeat_seconds"),
    ({"opamp": {"endpoint": "ws://h", "heartbeat": 30}}, "content.opamp.heartbeat"),
    ({"opamp": {"endpoint": "ws://h", "keep_credentials": "no"}}, "content.opamp.keep_credentials"),
    ({"opamp": {"endpoint": "wss://h/v1"}}, "content.opamp.tls"),
    ({"own_metrics": {"endpoint": "http://h:4318"}}, "content.own_metrics.endpoint"),
    ({"own_metrics": {"endpoint": "https://h/"}}, "content.own_metrics.endpoint"),
    ({"own_metrics": {"endpoint": "ws://h/v1/metrics"}}, "content.own_metrics.endpoint"),
    ({"own_logs": {"endpoint": HTTPS, "headers": {"A\r\nB": "x"}}}, "content.own_logs.headers.A\r\nB"),
    ({"own_logs": {"endpoint": HTTPS, "headers": {"A": "x\r\nB: y"}}}, "content.own_logs.headers.A"),
    ({"own_logs": {"endpoint": HTTPS, "headers": {"A": "a\x00b"}}}, "content.own_logs.headers.A"),
    ({"own_logs": {"endpoint": HTTPS, "headers": {"A": "ä"}}}, "content.own_logs.headers.A"),
    ({"own_logs": {"endpoint": HTTPS, "headers": {"A": ""}}}, "content.own_logs.headers.A"),
    ({"own_logs": {"endpoint": HTTPS, "headers": {"A": "x" * 8_193}}}, "content.own_logs.headers.A"),
    ({"own_logs": {"endpoint": HTTPS, "headers": {"A": "x", "a": "y"}}}, "content.own_logs.headers.a"),
    ({"own_logs": {"endpoint": HTTPS, "headers": {"Host": "x"}}}, "content.own_logs.headers.Host"),
    ({"own_logs": {"endpoint": HTTPS, "headers": {"A": 5}}}, "content.own_logs.headers.A"),
    ({"own_logs": {"endpoint": HTTPS, "headers": [["A", "b"]]}}, "content.own_logs.headers"),
    ({"own_logs": {"endpoint": HTTPS, "headers": {f"h{n}": "x" for n in range(65)}}}, "content.own_logs.headers"),
    ({"own_logs": {"endpoint": HTTPS, "proxy": {}}}, "content.own_logs.proxy.url"),
    ({"own_logs": {"endpoint": HTTPS, "proxy": {"url": "ftp://p"}}}, "content.own_logs.proxy.url"),
    ({"own_logs": {"endpoint": HTTPS, "tls": {"min_version": "SSLv3"}}}, "content.own_logs.tls.min_version"),
    (
        {"own_logs": {"endpoint": HTTPS, "tls": {"min_version": "1.3", "max_version": "1.2"}}},
        "content.own_logs.tls.max_version",
    ),
    ({"own_logs": {"endpoint": HTTPS, "tls": {"ca_pem_contents": "nonsense"}}}, "content.own_logs.tls.ca_pem_contents"),
    ({"own_logs": {"endpoint": HTTPS, "tls": {"cipher_suites": ["aes; rm"]}}}, "content.own_logs.tls.cipher_suites"),
    ({"own_logs": {"endpoint": HTTPS, "certificate": {"cert": "x"}}}, "content.own_logs.certificate.cert"),
    ({"other_connections": {"a\nb": {"endpoint": "x:1"}}}, "content.other_connections.a\nb"),
    ({"other_connections": {"a": {"endpoint": "javascript:x"}}}, "content.other_connections.a.endpoint"),
    ({"other_connections": {"a": {"endpoint": "http://u:p@h"}}}, "content.other_connections.a.endpoint"),
    ({"other_connections": {f"c{n}": {"endpoint": "x:1"} for n in range(51)}}, "content.other_connections"),
    (
        {"other_connections": {"a": {"endpoint": "x:1", "other_settings": {"a b": "c"}}}},
        "content.other_connections.a.other_settings.a b",
    ),
    (
        {"other_connections": {f"c{n}": {"endpoint": "x:1", "other_settings": {"k": "v" * 8_000}} for n in range(40)}},
        "content",
    ),
]


@pytest.mark.rule("S-75", "S-79")
@pytest.mark.parametrize(("bad", "field"), BAD)
def test_what_cannot_be_meant_is_refused_at_its_place(api, bad, field):
    answer = make(api, content=bad)
    assert field in errors_of(answer)
    assert not ConnectionSettings.objects.exists()


@pytest.mark.parametrize("bad", [None, [], "x", 5, True])
def test_content_is_an_object(api, bad):
    assert make(api, content=bad).status_code == 400


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"priority": 2**40}, "priority"),
        ({"selector": {"env": {"a": 1}}}, "selector"),
        ({"selector": {}, "match_all": False, "rollout_policy": {"stages": 5}}, "rollout_policy"),
        ({"release": "soon"}, "release"),
        ({"certificate": {}}, "certificate"),
    ],
)
def test_what_else_cannot_be_meant(api, values, field):
    assert field in errors_of(make(api, **values))


def test_one_name_once_and_unknown_names(api):
    make(api)
    assert errors_of(make(api)) == {"name"}
    for path in ("nobody", "nobody/agents", "nobody/versions", "nobody/move"):
        assert api.get(f"{URL}/{path}").status_code == 404
    assert api.get(f"{URL}/site/agents?move=flying").status_code == 400


def test_certificates_with_their_keys(api):
    pair, other = Authority.made(), Authority.made()
    cert = pem_of(pair.certificate).decode()
    given = telemetry(certificate={"cert": cert, "private_key": pem_of_key(pair.key).decode()})
    made = make(api, content={"own_metrics": given})
    assert made.status_code == 201, made.json()
    assert made.json()["content"]["own_metrics"]["certificate"]["private_key"] == "[redacted]"
    foreign = {**given, "certificate": {"cert": cert, "private_key": pem_of_key(other.key).decode()}}
    assert errors_of(make(api, "b", content={"own_metrics": foreign})) == {
        "content.own_metrics.certificate.private_key"
    }


def test_two_edits_at_once_and_neither_is_lost(api):
    made = make(api)
    tag = made.headers["ETag"]
    first = api.patch(f"{URL}/site", {"priority": 1}, headers={"If-Match": tag})
    assert first.status_code == 200
    second = api.patch(f"{URL}/site", {"priority": 2}, headers={"If-Match": tag})
    assert second.status_code == 412
    assert api.patch(f"{URL}/site", {"priority": 2}, headers={"If-Match": first.headers["ETag"]}).status_code == 200
    assert api.patch(f"{URL}/site", {"priority": 2}, headers={"If-Match": "nonsense"}).status_code == 412


def test_put_replaces_all(api):
    make(api, description="words", priority=5)
    whole = api.put(f"{URL}/site", {"content": {"own_logs": {"endpoint": "http://h/v1/logs"}}, "match_all": True})
    body = whole.json()
    assert (body["description"], body["priority"], body["selector"], body["match_all"]) == ("", 0, {}, True)
    assert [warning["code"] for warning in body["warnings"]] == ["telemetry-unencrypted"]


def test_in_stages_with_a_gate_and_back(api, report):
    canary = report(env="prod", ring="0", capabilities=ACCEPTS)
    other = report("web-2", env="prod", capabilities=ACCEPTS)
    made = make(api, release=STAGES)
    rollout = made.json()["rollout"]
    assert rollout["state"] == "running"

    def numbers() -> dict[Any, Any]:
        rows = AgentConnection.objects.values_list("agent__instance_uid", "version__number")
        return dict(rows)

    assert numbers() == {canary.instance_uid: 1}
    shown = api.get(f"/api/v1/rollouts/{rollout['id']}").json()
    assert (shown["subject"], shown["name"]) == ("connection_settings", "site"), shown
    again = api.patch(f"{URL}/site", {"content": {"own_logs": {"endpoint": HTTPS}}, "release": STAGES})
    assert again.status_code == 409
    assert ConnectionSettings.objects.get().versions.count() == 1
    back = api.post(f"/api/v1/rollouts/{rollout['id']}/roll_back")
    assert back.status_code == 200, back.json()
    assert numbers() == {canary.instance_uid: None}
    assert Rollout.objects.get().subject == "connection_settings"
    assert str(other.instance_uid) not in str(numbers())


def test_a_preview_counts_and_changes_nothing(api, report):
    report(env="prod", capabilities=ACCEPTS)
    report("web-2", env="prod")
    report("web-3", env="test", capabilities=ACCEPTS & ~0x100)
    make(api)
    strong = make(api, "strong", priority=9, selector={"host.name": "web-1"})
    assert strong.json()["agents"] == 1
    moved = {**content(), "opamp": {"endpoint": "ws://new.example/v1/opamp"}}
    answer = api.post(f"{URL}/site/preview", {"selector": {}, "match_all": True, "content": moved})
    assert answer.status_code == 200, answer.json()
    body = answer.json()
    assert (body["agents"], body["incapable"], body["partly"], body["stronger"]) == (2, 1, 1, 1)
    assert (body["without_opamp"], body["incapable_names"]) == (2, ["web-2"])
    assert SettingsVersion.objects.count() == 2
    assert "content.opamp.endpoint" in errors_of(api.post(f"{URL}/site/preview", {"content": {"opamp": {}}}))


def test_agents_with_client_certificates_are_named_before_a_move_and_counted_once_they_are_there(api, report):
    report(env="prod", capabilities=ACCEPTS)
    report("web-2", env="prod", capabilities=ACCEPTS)
    make(api)
    shown = AgentConnection.objects.order_by("pk").first()
    AgentConnection.objects.filter(pk=shown.pk).update(by_certificate=True)
    where = {"endpoint": "ws://new.example/v1/opamp"}
    body = api.post(f"{URL}/site/preview", {"content": {**content(), "opamp": where}}).json()
    assert (body["agents"], body["without_opamp"], body["by_certificate"]) == (2, 0, 1)
    assert body["by_certificate_names"] == [shown.agent.hostname]
    plain = api.post(f"{URL}/site/preview", {"content": content()}).json()
    assert plain["by_certificate"] == 0, "nobody is led anywhere"
    assert api.post(f"{URL}/site/move", {"opamp": where}).status_code == 200

    def counts():
        return {name: number for name, number in api.get(f"{URL}/site/move").json()["counts"].items() if number}

    assert counts() == {"here": 1, "incapable": 1}
    AgentConnection.objects.filter(pk=shown.pk).update(reached="http://new.example:80")
    assert counts() == {"here": 1, "moved": 1}


@pytest.mark.rule("S-82")
def test_a_move_is_a_version_with_another_place(api, report):
    report(env="prod", capabilities=ACCEPTS)
    report("web-2", env="prod", capabilities=ACCEPTS & ~0x100)
    make(api)
    where = {"endpoint": "ws://new.example/v1/opamp", "headers": {"Authorization": "Bearer there-there"}}
    started = api.post(f"{URL}/site/move", {"opamp": where, "note": "to the new site"})
    assert started.status_code == 200, started.json()
    body = started.json()
    assert (body["version"], set(body["content"])) == (2, {"opamp", "own_metrics", "own_traces"})
    assert [warning["code"] for warning in body["warnings"]] == ["headers-unencrypted"]
    progress = api.get(f"{URL}/site/move").json()
    assert progress["endpoint"] == where["endpoint"]
    assert {name: number for name, number in progress["counts"].items() if number} == {"here": 1, "incapable": 1}
    here = api.get(f"{URL}/site/agents?move=here").json()["results"]
    assert [(row["agent_name"], row["move"]) for row in here] == [("otelcol", "here")]
    assert api.post(f"{URL}/site/move", {"opamp": where}).status_code == 409
    assert api.post(f"{URL}/site/move", {"opamp": {"endpoint": "x"}}).status_code == 400
    assert AuditEntry.objects.filter(verb="connection_settings.move").count() == 1
    assert "there-there" not in str(list(AuditEntry.objects.values_list("data", flat=True)))


def test_who_may_look_may_not_change(api, api_of, bob, charlie, report):
    agent = report(env="prod", capabilities=ACCEPTS)
    make(api)
    viewer, nobody = api_of(bob), api_of(charlie)
    assert viewer.get(f"{URL}/site").status_code == 200
    assert viewer.post(f"{URL}/site/preview", {}).status_code == 200
    assert viewer.patch(f"{URL}/site", {"priority": 1}).status_code == 403
    assert viewer.post(f"{URL}/site/move", {"opamp": {}}).status_code == 403
    assert viewer.post(f"{URL}/site/versions/1/release", {}).status_code == 403
    assert viewer.post(f"/api/v1/agents/{agent.instance_uid}/connection-settings/retry").status_code == 403
    for path in (URL, f"{URL}/site", f"{URL}/site/agents", f"{URL}/site/move"):
        assert nobody.get(path).status_code == 403
        assert api_of(None).get(path).status_code == 401


def test_secrets_are_hidden_wherever_they_turn_up_and_rotated(api, settings):
    from agents.redaction import known
    from variables.services.known_values import know_stored_secrets
    from variables.services.value_edits import rotate

    make(api)
    know_stored_secrets()
    assert known.has_known(f"refused: Bearer {TOKEN}")
    before = SettingsVersion.objects.get().encrypted
    settings.SECRETS_KEYS = ("another-key-" * 4,)
    from django.utils import timezone

    count, lost = rotate(at=timezone.now())
    assert (count, lost) == (1, [])
    after = SettingsVersion.objects.get()
    assert after.encrypted != before
    assert content_of(after)["own_metrics"]["headers"]["Authorization"] == f"Bearer {TOKEN}"
