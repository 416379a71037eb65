"""Adopting what an agent runs: what is taken out of it, what people without the right get, drafts, publishing, and races."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.models import AuditEntry, User
from agents.models import Agent, ReportedDocument
from agents.reports import EffectiveConfig
from configurations.models import Configuration, ConfigurationDraft
from configurations.services import adopting

URL = "/api/v1/configurations:adopt"
UID = "018f0000-0000-7000-8000-000000000001"
RUNS = """
receivers:
  otlp: {protocols: {grpc: {}}}
exporters:
  otlp/gateway:
    endpoint: gw.example:4317
    headers: {authorization: Bearer one-long-secret}
extensions:
  opamp: {server: {ws: {endpoint: "ws://127.0.0.1:1/v1/opamp"}}}
service:
  extensions: [opamp]
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp/gateway]}
"""
PLAIN = RUNS.replace("    headers: {authorization: Bearer one-long-secret}\n", "")


def runs(text: str, key: str = "", **more: str) -> EffectiveConfig:
    return EffectiveConfig({key: {"body": text, **more}})


@pytest.fixture
def editor(db) -> User:
    """May add configurations and see agents, and no secrets."""
    user = User.objects.create_user("dana", password="dana-password", is_staff=True)
    names = ("view_agent", "view_configuration", "add_configuration", "change_configuration", "publish_with_errors")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return user


@pytest.mark.django_db
class TestOverRest:
    def test_the_proposal(self, report, alice, api_of):
        agent = report("web-1", effective_config=runs(RUNS), env="prod")
        report("web-2", effective_config=runs(RUNS))
        found = api_of(alice).get(URL, {"agent": str(agent.instance_uid)}).json()
        assert found["name"] == "otelcol-web-1"
        assert found["selector"] == {"service.name": "otelcol", "host.name": "web-1"}
        assert found["matched_agents"] == 1
        assert {"file": "", "path": "extensions.opamp"} in found["taken_out"]
        assert found["hides"] is False
        assert "one-long-secret" not in json.dumps(found)
        assert [item["code"] for item in found["findings"]] == ["password-in-clear-text"]
        assert not ConfigurationDraft.objects.exists()

    def test_a_draft_reaches_nobody_and_is_published_like_any(self, report, alice, api_of):
        agent = report(effective_config=runs(RUNS))
        api = api_of(alice)
        made = api.post(URL, {"agent": str(agent.instance_uid)}, format="json")
        assert made.status_code == 201, made.content
        draft = made.json()["draft"]
        assert made.json()["configuration"] is None
        assert draft["adopted_from"] == str(agent.instance_uid)
        assert draft["blocked"] is False
        assert "one-long-secret" not in json.dumps(made.json())
        assert not Configuration.objects.exists()
        published = api.post(f"/api/v1/drafts/{draft['id']}/publish", {"edition": 1}, format="json")
        assert published.status_code == 201, published.content
        row = Configuration.objects.get()
        assert row.current is not None
        text = row.current.files[""]["body"]
        assert "one-long-secret" in text
        assert "opamp" not in text
        agent.refresh_from_db()
        assert agent.configuration_name == row.name
        (entry,) = AuditEntry.objects.filter(verb="agent.adopt")
        assert entry.data["with_secrets"] is True

    def test_published_at_once_with_the_selector_given(self, report, alice, api_of):
        agent = report(effective_config=runs(PLAIN), env="prod")
        asked = {
            "agent": str(agent.instance_uid),
            "name": "edge",
            "selector": {"env": "prod"},
            "publish": True,
            "priority": 3,
        }
        made = api_of(alice).post(URL, asked, format="json")
        assert made.status_code == 201, made.content
        found = made.json()["configuration"]
        assert (found["name"], found["selector"], found["priority"]) == ("edge", {"env": "prod"}, 3)
        assert found["matched_agents"] == 1

    def test_in_stages(self, report, alice, api_of):
        agents = [report(f"web-{number}", effective_config=runs(PLAIN), env="prod") for number in range(3)]
        asked = {
            "agent": str(agents[0].instance_uid), "selector": {"env": "prod"}, "publish": True,
            "release": {"stages": [{"count": 1}], "gate": {"timeout_seconds": 60}},
        }  # fmt: skip
        made = api_of(alice).post(URL, asked, format="json").json()["configuration"]
        assert made["rollout"]["stages"] == 2
        assert Agent.objects.filter(configuration_name=made["name"]).count() == 1

    @pytest.mark.parametrize("asked", [{}, {"agent": "nonsense"}, {"group": 5}, {"nonsense": 1}])
    def test_what_is_no_request(self, alice, api_of, asked):
        assert api_of(alice).post(URL, asked, format="json").status_code == 400

    def test_both_or_neither(self, report, alice, api_of):
        uid = str(report().instance_uid)
        assert api_of(alice).post(URL, {"agent": uid, "group": "x"}, format="json").status_code == 400
        assert api_of(alice).get(URL).status_code == 400

    def test_nobody_by_that_name(self, alice, api_of):
        api = api_of(alice)
        assert api.post(URL, {"agent": UID}, format="json").status_code == 404
        assert api.post(URL, {"group": "0" * 64}, format="json").status_code == 404

    @pytest.mark.parametrize(
        ("effective", "status", "code"),
        [
            (EffectiveConfig({}), 409, "no-effective-config"),
            (runs("  \n"), 409, "no-effective-config"),
            (EffectiveConfig({"": {"body_base64": "/w=="}}), 422, "effective-config-no-text"),
            (runs("a: " + "x" * (1024 * 1024)), 422, "effective-config-too-large"),
            (runs("a: " + "é" * (600 * 1024)), 422, "effective-config-too-large"),
        ],
    )
    def test_what_cannot_be_adopted(self, report, alice, api_of, effective, status, code):
        uid = str(report(effective_config=effective).instance_uid)
        for answer in (api_of(alice).get(URL, {"agent": uid}), api_of(alice).post(URL, {"agent": uid}, format="json")):
            assert (answer.status_code, answer.json()["code"]) == (status, code)

    def test_an_agent_that_never_said_what_it_runs(self, report, alice, api_of):
        uid = str(report(effective_config=None).instance_uid)
        assert api_of(alice).get(URL, {"agent": uid}).json()["code"] == "no-effective-config"

    def test_a_name_that_is_taken(self, report, alice, api_of):
        agent = report(effective_config=runs(PLAIN))
        api, asked = api_of(alice), {"agent": str(agent.instance_uid), "name": "edge"}
        assert api.post(URL, {**asked, "publish": True}, format="json").status_code == 201
        for publish in (True, False):
            again = api.post(URL, {**asked, "publish": publish}, format="json")
            assert (again.status_code, again.json()["code"]) == (409, "name-taken")
        assert api.get(URL, {"agent": asked["agent"]}).json()["name"] == "otelcol-web-1"
        assert api.post(URL, {"agent": asked["agent"], "publish": True}, format="json").status_code == 201
        assert api.get(URL, {"agent": asked["agent"]}).json()["name"] == "otelcol-web-1-2"

    def test_who_runs_something_else_by_now(self, report, alice, api_of):
        agent = report(effective_config=runs(PLAIN))
        asked = {"agent": str(agent.instance_uid), "document": "0" * 64}
        answer = api_of(alice).post(URL, asked, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "effective-config-changed")
        assert not ConfigurationDraft.objects.exists()

    @pytest.mark.parametrize(
        "wrong",
        [{"name": "a b"}, {"name": "preview"}, {"selector": {"env": {}}}, {"selector": {"": "x"}}, {"note": "a\nb"}],
    )
    def test_what_is_wrong_around_the_files(self, report, alice, api_of, wrong):
        agent = report(effective_config=runs(PLAIN))
        for publish in (True, False):
            asked = {"agent": str(agent.instance_uid), "publish": publish, **wrong}
            answer = api_of(alice).post(URL, asked, format="json")
            assert answer.status_code == 400, answer.content
        assert not Configuration.objects.exists()
        assert not ConfigurationDraft.objects.exists()

    def test_what_a_collector_refuses_can_be_kept_and_not_published(self, report, alice, api_of):
        agent = report(effective_config=runs(PLAIN.replace("exporters: [otlp/gateway]", "exporters: [missing]")))
        api, asked = api_of(alice), {"agent": str(agent.instance_uid)}
        assert api.post(URL, {**asked, "publish": True}, format="json").status_code == 422
        assert api.post(URL, asked, format="json").json()["draft"]["blocked"] is True

    def test_several_files_and_strange_types(self, report, alice, api_of):
        files = {"b.yaml": {"body": "b: 1\n", "content_type": "nonsense"}, "a.yaml": {"body": "a: 1\n", "role": "main"}}
        agent = report(effective_config=EffectiveConfig(files))
        draft = api_of(alice).post(URL, {"agent": str(agent.instance_uid)}, format="json").json()["draft"]
        assert draft["config_key"] == "a.yaml"
        assert draft["files"]["a.yaml"] == {"body": "a: 1\n", "content_type": "text/yaml", "role": "main"}
        assert draft["files"]["b.yaml"]["content_type"] == "text/yaml"
        other = report(effective_config=runs("[INPUT]\n  Name cpu\n", "fluent.conf"))
        draft = api_of(alice).post(URL, {"agent": str(other.instance_uid)}, format="json").json()["draft"]
        assert draft["files"]["fluent.conf"]["content_type"] == ""


@pytest.mark.django_db
class TestSecrets:
    """Somebody without the right gets placeholders, and cannot get the values out by publishing or editing."""

    def test_who_may_not_see_them_adopts_placeholders(self, report, editor, api_of):
        agent = report(effective_config=runs(RUNS))
        api = api_of(editor)
        found = api.get(URL, {"agent": str(agent.instance_uid)}).json()
        assert found["hides"] is True
        assert [item["code"] for item in found["findings"]] == ["masked-value"]
        draft = api.post(URL, {"agent": str(agent.instance_uid)}, format="json").json()["draft"]
        assert draft["blocked"] is True
        assert "one-long-secret" not in json.dumps(ConfigurationDraft.objects.get().state)
        (entry,) = AuditEntry.objects.filter(verb="agent.adopt")
        assert entry.data["with_secrets"] is False

    @pytest.mark.parametrize("force", [False, True])
    def test_publishing_sends_no_secret_anywhere(self, report, editor, api_of, force):
        source = report(effective_config=runs(RUNS))
        mine = report("mine", env="mine")
        api = api_of(editor)
        asked = {"agent": str(source.instance_uid), "selector": {"env": "mine"}, "publish": True, "force": force}
        answer = api.post(URL, asked, format="json")
        if not force:
            assert (answer.status_code, answer.json()["code"]) == (422, "values-are-masked")
            assert not Configuration.objects.exists()
            return
        # Whoever means the placeholder itself gets that, and nothing else.
        assert answer.status_code == 201, answer.content
        mine.refresh_from_db()
        assert mine.configuration_name
        row = Configuration.objects.get()
        assert row.current is not None
        assert "one-long-secret" not in json.dumps(row.current.files)

    def test_a_draft_is_published_once_the_value_is_typed(self, report, editor, api_of):
        agent = report(
            effective_config=runs(RUNS.replace("{authorization", "{x-api-key: second-long-secret, authorization"))
        )
        api = api_of(editor)
        draft = api.post(URL, {"agent": str(agent.instance_uid), "name": "edge"}, format="json").json()["draft"]
        url = f"/api/v1/drafts/{draft['id']}"
        refused = api.post(f"{url}/publish", {"edition": 1}, format="json")
        assert (refused.status_code, refused.json()["code"]) == (422, "values-are-masked")
        assert list(refused.json()["errors"]) == ["raw_config"]
        assert draft["raw_config"].count("[redacted]") == 2
        # One after the other, as people type.
        half = draft["raw_config"].replace("[redacted]", "${env:KEY}", 1)
        edited = api.patch(url, {"edition": 1, "raw_config": half}, format="json")
        assert edited.status_code == 200, edited.content
        assert edited.json()["blocked"] is True
        assert api.post(f"{url}/publish", {"edition": 2}, format="json").status_code == 422
        whole = edited.json()["raw_config"].replace("[redacted]", "Bearer ${env:TOKEN}")
        done = api.patch(url, {"edition": 2, "raw_config": whole}, format="json").json()
        assert done["blocked"] is False
        published = api.post(f"{url}/publish", {"edition": 3}, format="json")
        assert published.status_code == 201, published.content

    def test_what_the_agent_hides_itself_is_missing_for_everybody(self, report, alice, api_of):
        agent = report(effective_config=runs(RUNS.replace("Bearer one-long-secret", '"[REDACTED]"')))
        api, asked = api_of(alice), {"agent": str(agent.instance_uid)}
        assert api.post(URL, {**asked, "publish": True}, format="json").json()["code"] == "values-are-masked"
        assert api.post(URL, asked, format="json").json()["draft"]["blocked"] is True

    def test_who_may_not_force_does_not(self, report, editor, api_of):
        editor.user_permissions.remove(Permission.objects.get(codename="publish_with_errors"))
        agent = report(effective_config=runs(RUNS))
        asked = {"agent": str(agent.instance_uid), "publish": True, "force": True}
        assert api_of(User.objects.get(pk=editor.pk)).post(URL, asked, format="json").status_code == 403
        assert not Configuration.objects.exists()

    def test_nobody_without_the_rights(self, report, bob, charlie, api_of):
        agent = report(effective_config=runs(RUNS))
        asked = {"agent": str(agent.instance_uid)}
        assert api_of(bob).post(URL, asked, format="json").status_code == 403
        assert api_of(bob).get(URL, asked).status_code == 200
        assert api_of(charlie).get(URL, asked).status_code == 403


@pytest.mark.django_db
class TestPages:
    def test_from_the_agents_page_to_the_draft(self, report, signed_in):
        agent = report(effective_config=runs(RUNS))
        url = reverse("admin:agent_adopt", args=[agent.pk])
        assert f'href="{url}"' in signed_in.get(reverse("admin:agents_agent_change", args=[agent.pk])).content.decode()
        page = signed_in.get(url)
        body = page.content.decode()
        assert "extensions.opamp" in body
        assert "one-long-secret" not in body
        sent = {**page.context["form"].initial, "selector": '{"env": "prod"}', "note": ""}
        answer = signed_in.post(url, sent)
        row = ConfigurationDraft.objects.get()
        assert answer.url == reverse("admin:configuration_draft", args=[row.pk])
        assert row.state["selector"] == {"env": "prod"}
        assert f"made of what agent {agent.instance_uid} runs" in signed_in.get(answer.url).content.decode()

    def test_placeholders_block_in_the_form_too(self, report, editor, client):
        client.force_login(editor)
        agent = report(effective_config=runs(RUNS))
        url = reverse("admin:agent_adopt", args=[agent.pk])
        page = client.get(url)
        assert "You may not see its secrets" in page.content.decode()
        answer = client.post(url, {**page.context["form"].initial, "selector": "env: prod", "note": ""})
        draft = client.get(answer.url)
        form = draft.context["adminform"].form
        sent = {"name": "edge", "selector": '{"env": "prod"}', "priority": "0", "enabled": "on", "draft_edition": "1"}
        sent |= _files_of(form)
        again = client.post(answer.url, sent)
        assert "shown in place of a hidden value" in again.content.decode()
        assert not Configuration.objects.exists()

    def test_what_is_wrong_is_said_and_nothing_lost(self, report, signed_in):
        agent = report(effective_config=runs(PLAIN))
        url = reverse("admin:agent_adopt", args=[agent.pk])
        sent = {"name": "a b", "selector": "env: [", "document": signed_in.get(url).context["form"].initial["document"]}
        body = signed_in.post(url, sent).content.decode()
        assert 'value="a b"' in body
        assert "Neither JSON nor YAML" in body
        assert signed_in.post(url, {**sent, "selector": "", "name": "ok", "document": "0" * 64}).status_code == 200
        assert not ConfigurationDraft.objects.exists()

    def test_an_agent_that_said_nothing_is_sent_back(self, report, signed_in):
        agent = report(effective_config=None)
        answer = signed_in.get(reverse("admin:agent_adopt", args=[agent.pk]), follow=True)
        assert "nothing to adopt" in answer.content.decode()

    def test_rights(self, report, client, bob):
        client.force_login(bob)
        agent = report(effective_config=runs(PLAIN))
        url = reverse("admin:agent_adopt", args=[agent.pk])
        assert client.get(url).status_code == 403
        assert url not in client.get(reverse("admin:agents_agent_change", args=[agent.pk])).content.decode()
        assert client.get(reverse("admin:agent_adopt", args=[10**30])).status_code in (403, 404)


def _files_of(form) -> dict[str, str]:
    """What the browser sends of the files."""
    found = {}
    for each in form.file_forms:
        for bound in each:
            found[bound.html_name] = bound.value() or ""
    management = getattr(form.file_forms, "management_form", None)
    if management is not None:
        found |= {bound.html_name: bound.value() for bound in management}
    return found


@pytest.mark.django_db
def test_free_names(report):
    assert adopting.proposed_name("") == "adopted"
    assert adopting.proposed_name("preview") == "adopted-preview"
    assert adopting.proposed_name("a b/ü", "häst") == "a-b-h-st"
    assert len(adopting.proposed_name("x" * 255, "y" * 255)) <= 100


@pytest.mark.django_db
def test_labels_that_an_upgrade_changes_or_that_hide_something_are_not_proposed():
    labels = {
        "service.version": "1",
        "env": "prod",
        "api_key": "s3cr3t-value-of-prod",
        "bad key": "x",
        "a": "",
        "service.name": "s",
    }
    assert adopting.fitting_labels(labels) == {"service.name": "s", "env": "prod"}


@pytest.mark.django_db
def test_old_documents_without_a_size_are_bounded_too(report, alice, api_of):
    agent = report(effective_config=runs("a: " + "x" * (1024 * 1024)))
    ReportedDocument.objects.update(size=0)
    assert api_of(alice).get(URL, {"agent": str(agent.instance_uid)}).status_code == 422
