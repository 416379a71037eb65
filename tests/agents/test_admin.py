"""Agents in the admin: list, and one agent's page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry
from agents.models import Agent, AgentCommand, AgentEvent, ReportedState
from foundation.paging import WindowPaginator
from tests.agents.admin_pages import LIST, page_of, publish, shown

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counted_anew")]


# Session, user, and what a page itself asks; far from one per row.
MOST_QUERIES = 28


class TestRights:
    def test_people_see_what_they_may(self, client, alice, bob, charlie, report):
        agent = report(env="prod")
        for person, status in ((alice, 200), (bob, 200), (charlie, 403)):
            client.force_login(person)
            for url in (LIST, page_of(agent), f"{LIST}{agent.pk}/timeline/"):
                assert client.get(url).status_code == status

    def test_a_viewer_gets_no_form_and_no_action(self, client, bob, report):
        agent = report()
        client.force_login(bob)
        body = shown(client, page_of(agent))
        for mark in ('name="custom_name"', 'name="_save"', "/restart/", "/delete/", 'name="message-text"'):
            assert mark not in body
        assert 'value="restart"' not in shown(client, LIST)
        assert client.post(page_of(agent), {"custom_name": "x"}).status_code == 403
        assert client.get(f"{LIST}{agent.pk}/restart/").status_code == 403
        assert client.post(f"{LIST}{agent.pk}/message/", {}).status_code == 403
        client.post(LIST, {"action": "restart", "_selected_action": [agent.pk], "confirmed": "1"})
        assert not AgentCommand.objects.exists()


class TestList:
    @pytest.mark.usefixtures("lasting_bell")
    def test_it_costs_the_same_few_queries_whatever_it_shows(self, signed_in, report):
        report("a", healthy=False)
        publish()
        signed_in.get(LIST)
        with CaptureQueriesContext(connection) as one:
            assert "pill-error" in shown(signed_in, LIST)
        for number in range(15):
            report(f"b{number}", env="prod")
        with CaptureQueriesContext(connection) as many:
            signed_in.get(LIST)
        assert len(one) == len(many) <= MOST_QUERIES

    def test_no_query_counts_the_whole_table(self, signed_in, report):
        report()
        with CaptureQueriesContext(connection) as queries:
            signed_in.get(LIST)
        counts = [query["sql"] for query in queries if "COUNT(" in query["sql"].upper()]
        assert counts
        for sql in counts:
            assert "LIMIT" in sql.upper() or "GROUP BY" in sql.upper(), sql

    def test_filters_count_within_the_other_filters(self, signed_in, report):
        report("a", healthy=False)
        report("b")
        Agent.objects.filter(hostname="b").update(os_type="windows")
        body = shown(signed_in, LIST, {"status": "error"})
        assert "pill-connected" not in body
        for value, number in (("linux", 1), ("windows", 0)):
            assert f'>{value} <span class="count">{number}</span>' in body
        assert '>error <span class="count">1</span>' in body
        assert re.search(r'/change/[^"]*"><span data-topic="agent:[^"]*">a</span></a>', body)
        assert "Total: 0" in shown(signed_in, LIST, {"status": "nonsense"})

    def test_counts_that_are_expensive_are_kept_for_a_while(self, signed_in, report, monkeypatch):
        monkeypatch.setattr("agents.admin.facets._KEEP_FACTOR", 1e6)
        monkeypatch.setattr("agents.admin.facets._FREE_SECONDS", 0)
        report("a")
        signed_in.get(LIST)
        with CaptureQueriesContext(connection) as queries:
            assert '>linux <span class="count">1</span>' in shown(signed_in, LIST, {"os_type": "linux"})
        assert not any("GROUP BY" in query["sql"] for query in queries)

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("b-", ["b-1", "b-2"]),
            ("env=prod", ["a-1"]),
            ("env in (dev, test), os.type=linux", ["b-1", "b-2"]),
            ("service.version>0.119", ["a-1", "b-1", "b-2"]),
            ("no-such", []),
            ("env=prod)", []),
        ],
    )
    def test_search_takes_names_and_label_queries(self, signed_in, report, query, found):
        report("a-1", env="prod")
        report("b-1", env="dev")
        report("b-2", env="test")
        answer = signed_in.get(LIST, {"q": query})
        assert sorted(agent.hostname for agent in answer.context["cl"].result_list) == found

    def test_a_mistake_in_a_label_query_is_told_with_its_place(self, signed_in, report):
        report()
        assert "At character 9" in shown(signed_in, LIST, {"q": "env=prod)"})

    def test_a_whole_uid_finds_its_agent(self, signed_in, report):
        agent = report("a")
        report("b")
        answer = signed_in.get(LIST, {"q": str(agent.instance_uid)})
        assert [row.pk for row in answer.context["cl"].result_list] == [agent.pk]

    def test_pages_are_reached_beyond_the_window_that_is_counted(self, report, monkeypatch):
        monkeypatch.setattr("foundation.paging.WINDOW", 3)
        for number in range(8):
            report(f"a{number}")
        rows = Agent.objects.order_by("name", "id")
        assert WindowPaginator(rows, 2, page=1).count == 3
        assert WindowPaginator(rows, 2, page=3).count == 7
        assert WindowPaginator(rows, 2, page=4).count == 8

    def test_a_page_is_the_same_from_whichever_end_it_is_read(self, report):
        for number in range(7):
            report(f"a{number}")
        rows = Agent.objects.order_by("-hostname", "id")
        pages = [list(WindowPaginator(rows, 3, page=page).page(page)) for page in (1, 2, 3)]
        assert [[agent.hostname for agent in page] for page in pages] == [
            ["a6", "a5", "a4"],
            ["a3", "a2", "a1"],
            ["a0"],
        ]
        assert list(WindowPaginator(rows.none(), 3, page=1).page(1)) == []


class TestOneAgent:
    def test_the_page_costs_few_queries(self, signed_in, report):
        publish()
        agent = report(env="prod")
        signed_in.get(page_of(agent))
        with CaptureQueriesContext(connection) as queries:
            shown(signed_in, page_of(agent))
        assert len(queries) <= MOST_QUERIES

    def test_operator_labels_are_edited_as_lines_and_mistakes_are_named(self, signed_in, alice, report):
        agent = report()
        form = {"custom_name": "Edge", "notes": "", "label_lines": "env=prod\n\nteam=a"}
        assert signed_in.post(page_of(agent), form).status_code == 302
        agent.refresh_from_db()
        assert (agent.name, agent.operator_labels, agent.labels["team"]) == ("Edge", {"env": "prod", "team": "a"}, "a")
        assert AuditEntry.objects.get(verb="agent.edit").actor == alice
        bad = signed_in.post(page_of(agent), {**form, "label_lines": "no equals sign"})
        assert "no equals sign" in bad.content.decode()
        assert signed_in.get(LIST + "add/").status_code == 403

    def test_secrets_of_what_it_runs_are_hidden_until_asked_for(self, signed_in, bob, report):
        text = "exporters: {otlp: {headers: {authorization: Bearer hunter2}}}\n"
        publish(text=text)
        agent = report(env="prod")
        document = agent.reported.effective_config
        document.content = {"": {"body": text}}
        document.save()
        body = shown(signed_in, page_of(agent))
        assert "hunter2" not in body
        assert "[redacted]" in body
        url = f"{LIST}{agent.pk}/secrets/"
        assert signed_in.get(url).status_code == 405
        assert not AuditEntry.objects.filter(verb="agent.reveal_secrets").exists()
        assert "hunter2" not in signed_in.post(url).content.decode()
        assert not AuditEntry.objects.filter(verb="agent.reveal_secrets").exists()
        wrong = signed_in.post(url, {"confirm_password": "guessed"}).content.decode()
        assert "hunter2" not in wrong
        assert "That is not your password." in wrong
        assert "hunter2" in signed_in.post(url, {"confirm_password": "alice-password"}).content.decode()
        assert "hunter2" in signed_in.post(url).content.decode()  # lately confirmed
        assert {entry.object_id for entry in AuditEntry.objects.filter(verb="agent.reveal_secrets")} == {str(agent.pk)}
        signed_in.force_login(bob)
        assert url not in shown(signed_in, page_of(agent))
        assert signed_in.post(url).status_code == 403

    def test_the_difference_is_told_value_by_value(self, signed_in, report):
        publish(text="exporters: {debug: {verbosity: normal}}\nreceivers: {}\n")
        agent = report(env="prod")
        body = shown(signed_in, page_of(agent))
        assert "exporters.debug.verbosity" in body
        assert "Desired values that the agent does not run: 1; that it runs: 1." in body

    def test_the_health_tree_is_a_tree_and_opens_where_trouble_is(self, signed_in, report):
        agent = report()
        tree = {"healthy": True, "components": {
            "items": {"healthy": True, "components": {"receiver:a": {"healthy": False, "last_error": "port taken"}}},
            "fine": {"healthy": True, "components": {"b": {"healthy": True}}},
        }}  # fmt: skip
        ReportedState.objects.filter(agent=agent).update(health=tree)
        body = shown(signed_in, page_of(agent))
        assert "port taken" in body
        assert "<strong>items</strong>" in body
        section = body[body.index('id="health"') : body.index('id="effective"')]
        assert section.count("<details open>") == 2
        assert section.count("<details>") == 1

    def test_a_health_tree_as_deep_as_the_wire_allows_is_shown(self, signed_in, report):
        agent = report()
        tree: dict[str, Any] = {"healthy": True}
        for _level in range(60):
            tree = {"healthy": True, "components": {"deeper": tree}}
        ReportedState.objects.filter(agent=agent).update(health=tree)
        assert shown(signed_in, page_of(agent)).count("<strong>deeper</strong>") == 60

    def test_reported_strings_are_never_markup(self, signed_in, report):
        attack = "<script>alert(1)</script>"
        agent = report(attack, env=attack, **{attack: "x"})
        Agent.objects.filter(pk=agent.pk).update(last_error=attack, remote_config_error=attack, version=attack)
        ReportedState.objects.filter(agent=agent).update(
            health={"healthy": False, "components": {attack: {"healthy": False, "last_error": attack}}},
            custom_capabilities=[attack],
            package_statuses={"packages": {attack: {"status": attack}}, "error_message": attack},
        )
        AgentEvent.objects.create(agent=agent, at=timezone.now(), kind="failed", data={"error": attack})
        for url in (LIST, page_of(agent), f"{LIST}{agent.pk}/timeline/", f"{LIST}{agent.pk}/restart/", "/admin/"):
            body = shown(signed_in, url)
            assert attack not in body
        assert "&lt;script&gt;" in shown(signed_in, page_of(agent))

    def test_restart_asks_first(self, signed_in, report):
        agent = report()
        url = f"{LIST}{agent.pk}/restart/"
        assert url in shown(signed_in, page_of(agent))
        assert "Restart" in shown(signed_in, url)
        assert not AgentCommand.objects.exists()

    def test_a_new_uid_is_assigned_after_a_question(self, signed_in, bob, report):
        agent = report()
        url = f"{LIST}{agent.pk}/uid/"
        assert url in shown(signed_in, page_of(agent))
        assert "its history moves along" in shown(signed_in, url)
        agent.refresh_from_db()
        assert agent.next_instance_uid is None
        assert signed_in.post(url).status_code == 302
        agent.refresh_from_db()
        assert agent.next_instance_uid is not None
        assert "A new instance UID was assigned by alice" in shown(signed_in, page_of(agent))
        signed_in.force_login(bob)
        assert signed_in.post(url).status_code == 403

    @pytest.mark.django_db(transaction=True)
    def test_restart_and_custom_message_go_out_once_confirmed(self, signed_in, report):
        agent = report()
        ReportedState.objects.filter(agent=agent).update(custom_capabilities=["io.example.snapshot"])
        assert signed_in.post(f"{LIST}{agent.pk}/restart/").status_code == 302
        body = shown(signed_in, page_of(agent))
        assert "Restart asked for by alice" in body
        assert 'name="message-text"' in body
        form = {"message-capability": "io.example.snapshot", "message-message_type": "take", "message-text": "now"}
        signed_in.post(f"{LIST}{agent.pk}/message/", form)
        assert AgentCommand.objects.filter(kind="custom_message").get().payload["type"] == "take"
        assert "Custom message take asked for by alice" in shown(signed_in, page_of(agent))
        refused = signed_in.post(
            f"{LIST}{agent.pk}/message/", {**form, "message-capability": "io.example.other"}, follow=True
        )
        assert "io.example.other" in refused.content.decode()
        assert AgentCommand.objects.count() == 2

    def test_the_timeline_is_read_on_in_parts(self, signed_in, report):
        agent = report()
        AgentEvent.objects.bulk_create(
            AgentEvent(agent=agent, at=timezone.now(), kind="failed", data={"error": f"error-{number:03}"})
            for number in range(120)
        )
        body = shown(signed_in, page_of(agent))
        assert "error-119" in body
        assert "error-060" not in body
        start = body.index("?before=") + len("?before=")
        rest = shown(
            signed_in, f"{LIST}{agent.pk}/timeline/?before={body[start : body.index(chr(34), start)]}&fragment=1"
        )
        assert "error-069" in rest
        assert "error-070" not in rest
        assert "<html" not in rest
        assert shown(signed_in, f"{LIST}{agent.pk}/timeline/?before=99999999999999999999999").count("<li") > 1

    def test_forgetting_one_does_not_list_its_history(self, signed_in, report):
        agent = report()
        with CaptureQueriesContext(connection) as queries:
            shown(signed_in, f"{LIST}{agent.pk}/delete/")
        assert not any("agents_agentevent" in query["sql"] for query in queries)
        signed_in.post(f"{LIST}{agent.pk}/delete/", {"post": "yes"})
        assert not Agent.objects.exists()


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_pages_hold_no_inline_code(client, alice, report, language):
    agent = report(env="prod")
    client.force_login(alice)
    client.post("/i18n/setlang/", {"language": language})
    for url in ("/admin/", LIST, page_of(agent)):
        answer = client.get(url)
        assert answer.status_code == 200
        assert "script-src 'self'" in answer["content-security-policy"]
        body = answer.content.decode().split("<body")[1]
        assert " style=" not in body
        assert " onclick=" not in body


def test_the_portal_speaks_chinese(client, alice, report):
    publish()
    agent = report(env="prod")
    client.force_login(alice)
    client.post("/i18n/setlang/", {"language": "zh-hans"})
    body = client.get(page_of(agent)).content.decode()
    for word in ("已连接", "时间线", "运维标签", "首次出现", "为什么是这个配置？"):
        assert word in body
    assert "已断开" in client.get("/admin/").content.decode()
