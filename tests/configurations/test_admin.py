"""Configurations in the admin: the editor, its live previews, and the confirmation before anything is published."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent
from agents.remote_config import ConfigFile
from agents.reports import AgentCapabilities
from configurations.models import Assignment, Configuration
from configurations.services import publishing
from configurations.services.edit_errors import StaleRevision
from configurations.services.pinning import pin_agent
from configurations.services.publishing import draft_of

pytestmark = pytest.mark.django_db
LIST = "/admin/configurations/configuration/"
FORM = {
    "name": "prod-config",
    "display_name": "",
    "description": "",
    "priority": "0",
    "enabled": "on",
    "selector": '{"env": "prod"}',
    "content_type": "yaml",
    "config_key": "",
    "raw_config": "a: 1\r\n",
    "note": "",
}
CONFIRMED = {**FORM, "stage": "publish", "shown_count": "0"}


@pytest.fixture
def published(signed_in: Any) -> Configuration:
    answer = signed_in.post(LIST + "add/", CONFIRMED)
    assert answer.status_code == 302, answer.content.decode()
    return Configuration.objects.get()


def page_of(row: Configuration) -> str:
    return f"{LIST}{row.pk}/change/"


def hidden_fields(body: str) -> dict[str, str]:
    """What the confirmation page would post again."""
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', body)
    return {name: html.unescape(value) for name, value in fields}


class TestPublishing:
    def test_a_configuration_is_published_after_a_page_that_says_what_changes(self, signed_in, report):
        agent = report(env="prod")
        report(env="dev")
        first = signed_in.post(LIST + "add/", FORM).content.decode()
        assert not Configuration.objects.exists()
        assert "Publish (1 agent)" in first
        assert "+a: 1" in first
        answer = signed_in.post(LIST + "add/", {**hidden_fields(first), "stage": "publish"})
        assert answer.status_code == 302, answer.content.decode()
        row = Configuration.objects.get()
        assert row.current.files[""]["body"] == "a: 1\n"
        assert answer["Location"] == page_of(row) + "#progress"
        assert Agent.objects.get(pk=agent.pk).configuration_name == "prod-config"
        page = signed_in.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
        assert "env=prod" in page
        assert "prod-config r1" in page
        assert signed_in.get(LIST).status_code == 200
        assert signed_in.get(page_of(row)).status_code == 200

    def test_the_confirmation_counts_gained_lost_offline_and_incapable(self, signed_in, published, report):
        report("keeps", env="prod", tier="a")
        report("loses", env="prod", tier="b")
        gains = report("gains", env="dev", tier="a", capabilities=int(AgentCapabilities.REPORTS_STATUS))
        Agent.objects.filter(pk=gains.pk).update(connected=False)
        edit = {**FORM, "expected_revision": "1", "selector": '{"tier": "a"}', "raw_config": "a: 2\n"}
        answer = signed_in.post(page_of(published), edit)
        found = answer.context["found"]
        assert (found.matched, found.gained, found.lost, found.offline, found.incapable) == (2, 1, 1, 1, 1)
        assert answer.context["changing"] == 3
        body = answer.content.decode()
        for text in ("-a: 1", "+a: 2", "env=prod", "tier=a", "keeps", "gains"):
            assert text in body
        only_targeting = signed_in.post(page_of(published), {**edit, "raw_config": "a: 1\n"})
        assert only_targeting.context["changing"] == 2

    def test_zero_agents_are_warned_of(self, signed_in):
        assert "No agent changes" in signed_in.post(LIST + "add/", FORM).content.decode()

    def test_an_edit_that_changes_nothing_is_said_to(self, signed_in, published):
        body = signed_in.post(page_of(published), {**FORM, "expected_revision": "1"}).content.decode()
        assert "Nothing differs from the present revision" in body

    def test_going_back_keeps_everything_typed_and_saves_nothing(self, signed_in):
        body = signed_in.post(LIST + "add/", {**FORM, "stage": "edit", "note": "why <not>"}).content.decode()
        assert 'value="why &lt;not&gt;"' in body
        assert "a: 1" in body
        assert "errornote" not in body
        assert not Configuration.objects.exists()

    def test_above_a_hundred_agents_the_number_is_typed(self, signed_in, report, monkeypatch):
        monkeypatch.setattr("agents.admin.typed_count.TYPE_ABOVE", 1)
        for number in range(2):
            report(f"a{number}", env="prod")
        page = signed_in.post(LIST + "add/", FORM).content.decode()
        assert 'name="typed_count"' in page
        again = {**hidden_fields(page), "stage": "publish"}
        refused = signed_in.post(LIST + "add/", {**again, "typed_count": "3"}).content.decode()
        assert "Type the number 2" in refused
        assert not Configuration.objects.exists()
        signed_in.post(LIST + "add/", {**again, "typed_count": "2"})
        assert Configuration.objects.exists()

    def test_a_selector_may_be_written_as_yaml_and_versions_stay_as_written(self, signed_in):
        text = "matchExpressions:\n- {key: service.version, operator: In, values: [0.100, 1.10]}\n"
        assert signed_in.post(LIST + "add/", {**CONFIRMED, "selector": text}).status_code == 302
        assert Configuration.objects.get().parsed_selector().requirements[0].values == ("0.100", "1.10")

    @pytest.mark.parametrize(
        ("field", "value", "said"),
        [
            ("raw_config", "a: 1\na: 2\n", "line 2"),
            ("selector", '{"matchExpressions": [{"key": "a", "operator": "Near"}]}', "operator"),
            ("selector", "{a: [", "look at line 1"),
            ("selector", "- a", "A selector is a JSON object"),
            ("content_type", "nonsense", "nonsense"),
            ("name", "no blanks", "letters, digits"),
            ("priority", "99999999999", ""),
        ],
    )
    def test_mistakes_are_named_and_nothing_is_saved(self, signed_in, field, value, said):
        body = signed_in.post(LIST + "add/", {**CONFIRMED, field: value}).content.decode()
        assert "errorlist" in body
        assert said in body
        assert html.escape(value) in body or field == "raw_config"
        assert not Configuration.objects.exists()

    def test_findings_that_do_not_stop_it_are_shown_before_and_after(self, signed_in):
        text = (
            "receivers: {nop: ,\n  nop/idle: }\nexporters: {nop: }\n"
            "service: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n"
        )
        page = signed_in.post(LIST + "add/", {**FORM, "raw_config": text}).content.decode()
        assert "Problems that do not stop it" in page
        after = signed_in.post(LIST + "add/", {**CONFIRMED, "raw_config": text}, follow=True).content.decode()
        assert "Line 2" in after


class TestConcurrentEdits:
    def test_the_later_editor_is_told_shown_the_change_and_loses_nothing(self, signed_in, published):
        edit = {**CONFIRMED, "expected_revision": "1", "raw_config": "b: 1\n"}
        assert signed_in.post(page_of(published), edit).status_code == 302
        late = signed_in.post(page_of(published), {**edit, "raw_config": "c: 1\n"}).content.decode()
        for text in ("published revision 2", "c: 1", "+b: 1", 'name="rebase" value="2"'):
            assert text in late
        assert Configuration.objects.get().current.number == 2

    def test_after_a_look_it_can_be_published_over_the_newer_one(self, signed_in, published):
        edit = {**CONFIRMED, "expected_revision": "1", "raw_config": "b: 1\n"}
        signed_in.post(page_of(published), edit)
        page = signed_in.post(page_of(published), {**edit, "raw_config": "c: 1\n", "stage": "", "rebase": "2"})
        body = page.content.decode()
        assert "-b: 1" in body
        signed_in.post(page_of(published), {**hidden_fields(body), "stage": "publish"})
        published.refresh_from_db()
        assert (published.current.number, published.current.files[""]["body"]) == (3, "c: 1\n")

    def test_a_publish_between_the_checks_and_the_saving_is_no_server_error(self, signed_in, published, monkeypatch):
        real = publishing.update_configuration
        raced = []

        def raced_update(name: str, draft: Any, **options: Any) -> Any:
            if not raced:
                raced.append(1)
                real(name, draft_of(published), by=None, at=timezone.now())
                files = {"": ConfigFile(b"raced: 1\n", "text/yaml")}
                other = publishing.Draft(selector=published.selector, files=files)
                real(name, other, by=None, at=timezone.now())
                raise StaleRevision(expected=1, current=2)
            return real(name, draft, **options)

        monkeypatch.setattr(publishing, "update_configuration", raced_update)
        answer = signed_in.post(page_of(published), {**CONFIRMED, "expected_revision": "1", "raw_config": "c: 1\n"})
        # The transaction of the first attempt, and the other's edit in it, is gone; the second attempt saves.
        assert answer.status_code == 302
        published.refresh_from_db()
        assert published.current.files[""]["body"] == "c: 1\n"


class TestLivePreview:
    def test_reach_is_counted_while_typing(self, signed_in, report):
        report("on", env="prod")
        off = report("off", env="prod", capabilities=int(AgentCapabilities.REPORTS_STATUS))
        Agent.objects.filter(pk=off.pk).update(connected=False)
        found = signed_in.post(LIST + "reach/", FORM).json()
        assert found["rows"] == [{"key": "env", "operator": "In", "values": ["prod"]}]
        assert found["changing"] == [2, 2]
        for text in (
            'id="matched">2<',
            "Offline, get it when they connect",
            "Do not accept remote configuration",
            " off\n",
        ):
            assert text in found["html"]

    def test_reach_of_an_edit_says_whom_it_gains_and_loses(self, signed_in, published, report):
        report("a", env="prod")
        report("b", env="dev")
        found = signed_in.post(
            LIST + "reach/", {**FORM, "configuration": published.pk, "selector": '{"env": "dev"}'}
        ).json()
        assert found["changing"] == [2, 2]
        assert "Lose it" in found["html"]
        assert "Get it newly" in found["html"]

    def test_half_a_selector_is_answered_with_what_is_wrong(self, signed_in):
        found = signed_in.post(LIST + "reach/", {**FORM, "selector": '{"env": '}).json()
        assert found["rows"] is None
        assert "Neither JSON nor YAML" in found["html"]

    def test_problems_have_lines_and_columns(self, signed_in, published):
        text = "receivers:\n  otlp: {}\n  otlp: {}\n"
        found = signed_in.post(LIST + "problems/", {**FORM, "raw_config": text, "configuration": published.pk}).json()
        assert found["lines"] == {"3": "error"}
        assert 'data-line="3" data-column="3"' in found["html"]
        assert found["new_files"]
        same = signed_in.post(LIST + "problems/", {**FORM, "configuration": published.pk}).json()
        assert not same["new_files"]
        assert "No problems found" in same["html"]

    def test_each_problem_is_told_once(self, signed_in):
        text = "receivers: {otlp: }\nservice: {pipelines: {traces: {receivers: [gone], exporters: [debug]}}}\n"
        html = signed_in.post(LIST + "problems/", {**FORM, "raw_config": text}).json()["html"]
        assert html.count("The receiver gone is not defined") == 1

    def test_previews_are_for_those_who_may_edit_and_for_their_own_pages(self, client, bob, charlie, published, alice):
        for person in (bob, charlie):
            client.force_login(person)
            for name in ("reach", "problems"):
                for extra in ({}, {"configuration": published.pk}):
                    assert client.post(f"{LIST}{name}/", {**FORM, **extra}).status_code == 403
        client.force_login(alice)
        assert client.get(LIST + "reach/").status_code == 405
        assert client.post(LIST + "reach/", {**FORM, "configuration": "99999999999999999999"}).status_code == 404
        client.handler.enforce_csrf_checks = True
        assert client.post(LIST + "reach/", FORM).status_code == 403

    def test_agents_are_not_named_to_people_who_may_not_see_them(self, client, charlie, report):
        from django.contrib.auth.models import Permission

        charlie.user_permissions.add(Permission.objects.get(codename="add_configuration"))
        report("secret-host", env="prod")
        Agent.objects.update(name="secret-name")
        client.force_login(charlie)
        found = client.post(LIST + "reach/", FORM).json()
        assert 'id="matched">1<' in found["html"]
        assert "secret" not in found["html"]
        assert "secret" not in client.post(LIST + "add/", FORM).content.decode()


class TestOtherEdits:
    def test_an_older_revision_comes_back_after_a_look(self, signed_in, bob, client, published):
        signed_in.post(page_of(published), {**CONFIRMED, "expected_revision": "1", "raw_config": "b: 1\n"})
        url = f"{LIST}{published.pk}/rollback/1/"
        page = signed_in.get(url).content.decode()
        assert "+a: 1" in page
        assert url in signed_in.get(page_of(published), {"tab": "revisions"}).content.decode()
        assert signed_in.post(url, hidden_fields(page)).status_code == 302
        published.refresh_from_db()
        assert (published.current.number, published.current.files[""]["body"]) == (3, "a: 1\n")
        stale = signed_in.post(url, hidden_fields(page))
        assert "another revision meanwhile" in stale.content.decode()
        client.force_login(bob)
        assert client.post(url).status_code == 403

    def test_disabling_says_what_its_agents_get_instead(self, signed_in, published, report):
        signed_in.post(LIST + "add/", {**CONFIRMED, "name": "fallback", "priority": "-1", "selector": '{"tier": "a"}'})
        report("one", env="prod", tier="a")
        report("two", env="prod")
        url = f"{LIST}{published.pk}/switch/"
        page = signed_in.get(url)
        assert page.context["successors"] == [("", 1), ("fallback", 1)]
        body = page.content.decode()
        assert "Disable (2 agents)" in body
        # What it holds does not matter any more.
        assert "Difference of the files" not in body
        signed_in.post(url, hidden_fields(body))
        published.refresh_from_db()
        assert not published.enabled
        assert sorted(Agent.objects.values_list("configuration_name", flat=True)) == ["", "fallback"]
        signed_in.post(url, hidden_fields(signed_in.get(url).content.decode()))
        assert Agent.objects.filter(configuration_name="prod-config").count() == 2

    def test_who_is_pinned_to_a_revision_is_no_successor_and_stops_deleting(self, signed_in, published, report):
        report("one", env="prod")
        kept = report("two", env="prod")
        pin_agent(kept.pk, configuration="prod-config", revision=1, reason="r", by=None, at=timezone.now())
        page = signed_in.get(f"{LIST}{published.pk}/switch/")
        assert page.context["successors"] == [("", 1)]
        assert page.context["changing"] == 1
        asked = signed_in.get(f"{LIST}{published.pk}/delete/").content.decode()
        assert "Agents are pinned to prod-config: two (otelcol). Unpin them first." in asked
        assert "Targeting" not in asked

    def test_deleting_leaves_agents_unassigned(self, signed_in, published, report, client, bob):
        agent = report(env="prod")
        url = f"{LIST}{published.pk}/delete/"
        page = signed_in.get(url).content.decode()
        assert "Delete (1 agent)" in page
        assert "they keep what they run" in page
        signed_in.post(url, hidden_fields(page))
        assert not Configuration.objects.exists()
        assert Agent.objects.get(pk=agent.pk).configuration_name == ""
        client.force_login(bob)
        assert client.get(url).status_code in {403, 404}

    def test_a_failed_configuration_is_offered_once_more_by_hand(self, signed_in, published, report):
        agent = report(env="prod")
        Agent.objects.filter(pk=agent.pk).update(
            remote_config_hash=Agent.objects.get(pk=agent.pk).configuration_hash,
            remote_config_status=3,
            config_failed=True,
        )
        Assignment.objects.update(status="failed")
        page = signed_in.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
        assert "/retry/" in page
        assert "healthy although it said that this configuration failed" in page
        assert signed_in.post(f"{LIST}retry/{agent.pk}/").status_code == 302
        assert Assignment.objects.get().retry_requested
        assert Agent.objects.get(pk=agent.pk).status == "configuring"
        assert signed_in.post(f"{LIST}retry/999999/").status_code == 404


class TestPages:
    def test_a_viewer_sees_the_files_and_no_form(self, client, bob, published, report):
        report(env="prod")
        client.force_login(bob)
        body = client.get(page_of(published)).content.decode()
        assert "a: 1" in body
        for mark in ("<textarea", "/rollback/", "/switch/", "/delete/", 'id="publish"'):
            assert mark not in body
        assert client.post(page_of(published), CONFIRMED).status_code == 403
        assert client.post(LIST + "add/", CONFIRMED).status_code == 403

    def test_other_files_of_a_configuration_are_shown_and_kept(self, signed_in, published):
        draft = draft_of(published)
        extra = ConfigFile(b"extra: 1\n", "text/yaml")
        wider = publishing.Draft(selector=draft.selector, files={**draft.files, "more.yaml": extra})
        publishing.update_configuration(published.name, wider, by=None, at=timezone.now())
        assert "extra: 1" in signed_in.get(page_of(published)).content.decode()
        signed_in.post(page_of(published), {**CONFIRMED, "expected_revision": "2", "raw_config": "a: 3\n"})
        published.refresh_from_db()
        assert set(published.current.files) == {"", "more.yaml"}

    def test_markup_in_a_configuration_is_shown_as_text(self, signed_in, report):
        attack = "<script>alert(1)</script>"
        text = f'a: "{attack}"\n'
        page = signed_in.post(
            LIST + "add/", {**FORM, "display_name": attack, "raw_config": text, "note": attack}
        ).content.decode()
        assert attack not in page
        signed_in.post(LIST + "add/", {**hidden_fields(page), "stage": "publish"})
        row = Configuration.objects.get()
        report(attack, env="prod")
        for url in (page_of(row), LIST, f"{LIST}{row.pk}/switch/", "/admin/"):
            assert attack not in signed_in.get(url).content.decode()
        reach = signed_in.post(LIST + "reach/", {**FORM, "selector": f'{{"{attack}": ["x"]}}'}).json()
        assert attack not in reach["html"]

    @pytest.mark.usefixtures("lasting_bell")
    def test_pages_cost_few_queries_whatever_they_show(self, signed_in, published, report):
        report("first", env="prod")
        for url in (LIST, page_of(published)):
            signed_in.get(url)
            with CaptureQueriesContext(connection) as few:
                signed_in.get(url)
            report(f"more-{len(url)}-1", env="prod")
            report(f"more-{len(url)}-2", env="prod")
            with CaptureQueriesContext(connection) as more:
                signed_in.get(url)
            assert len(few) == len(more) <= 15, [query["sql"][:200] for query in more]
