"""What the list of agents says of a search, of filters and of errors; and that all of it is counted within a bound."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.admin import facets
from agents.models import Agent
from agents.remote_config import ConfigFile
from agents.reports import RemoteConfigStatus, RemoteConfigStatuses
from configurations.models import Assignment, Configuration
from configurations.services.publishing import Draft, create_configuration
from tests.agents.admin_pages import LIST

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counted_anew")]


def shown(client: Any, **query: str) -> str:
    answer = client.get(LIST, query)
    assert answer.status_code == 200
    return html.unescape(re.sub(r"\s+", " ", answer.content.decode()))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("evn=prod", ["No agent has a label evn.", "Did you mean env?"]),
        ("env=prdo", ["No agent has env=prdo.", "Did you mean env=prod?"]),
        ("env=x", ["No agent has env=x.", "Values of env: dev, prod."]),
        ("env=prod env=dev", ["Each of the conditions has agents, but no agent has them all."]),
        ("env in (q, r)", ["No agent has env in (q, r).", "Values of env"]),
        ("!env", ["No agent is without what !env excludes."]),
        ("env>1", ["No agent has a version as env>1 asks for."]),
        ("nothing-like-it", ["No agent's name, host or service contains “nothing-like-it”."]),
        ("zz", ["begins with “zz”", "longer text is found anywhere"]),
        ("env:prod", ["Did you mean env=prod?"]),
        ("00000000-0000-4000-8000-000000000000", ["No agent has the instance UID 00000000-"]),
        ("env==", ["The search is not understood", "Expected a value after ==", 'env="" asks for the empty value']),
        ("env=prod)", ["The search is not understood", "At character 9"]),
        ("w" * 300, ["The search is not understood", "at most 255 characters"]),
    ],
)
def test_a_search_that_finds_nothing_says_why(signed_in, report, query, said):
    report("a", env="prod")
    report("b", env="dev")
    body = shown(signed_in, q=query)
    for words in said:
        assert words in body
    assert "Total: 0" in body


@pytest.mark.parametrize("query", ["password=x", "password=hunter2-secret", "password=hunter2-secret os.type=linux"])
def test_why_nobody_is_found_tells_no_value_that_looks_like_a_secret(signed_in, report, query):
    report("a", password="hunter2-secret-value", env="prod")
    body = shown(signed_in, q=query)
    assert "No agent has password=" in body
    assert "hunter2-secret-value" not in body


def test_a_search_whose_agents_the_filters_hide_says_so(signed_in, report):
    report("a", env="prod")
    assert "none that the chosen filters let through" in shown(signed_in, q="env=prod", status="error")
    assert "let through by the chosen filters" in shown(signed_in, status="error")


def test_blanks_between_clauses_mean_and(signed_in, api_of, alice, report):
    report("a", env="prod")
    report("b", env="dev")
    for query in ("env=prod os.type=linux", "env in (prod) !team", "os.type=linux , env=prod", "!team env=prod"):
        assert [agent.hostname for agent in signed_in.get(LIST, {"q": query}).context["cl"].result_list] == ["a"], query
        assert api_of(alice).get("/api/v1/agents", {"label": query}).json()["count"] == 1, query
    refused = api_of(alice).get("/api/v1/agents", {"label": "region=="})
    assert refused.status_code == 400
    assert "Expected a value after ==" in str(refused.json()["errors"])
    assert api_of(alice).get("/api/v1/agents", {"search": "w" * 256}).status_code == 400


def test_counts_stay_with_a_search_and_filters_with_its_end(signed_in, report):
    report("a", env="prod")
    report("b", env="dev", healthy=False)
    body = shown(signed_in, q="env=prod", os_type="linux")
    assert '>linux <span class="count">1</span>' in body
    assert re.search(r'error <span class="count">0</span>', body)
    assert '<a href="?os_type=linux">Clear the search</a>' in body
    assert '<a href="?">Clear the search</a>' in shown(signed_in, q="env=prod", p="1")


def test_of_a_search_so_many_are_counted_and_no_more(signed_in, report, monkeypatch):
    monkeypatch.setattr(facets, "MOST_COUNTED", 2)
    for number in range(4):
        report(f"a{number}")
    assert re.search(r'connected <span class="count">3\+</span>', shown(signed_in, q="otelcol"))
    assert 'connected <span class="count">4</span>' in shown(signed_in)
    with CaptureQueriesContext(connection) as queries:
        shown(signed_in, q="otelcol")
    grouped = [query["sql"] for query in queries if "GROUP BY" in query["sql"].upper()]
    assert grouped
    assert all("LIMIT 3" in sql for sql in grouped)


def test_errors_are_grouped_by_reason_and_each_group_is_a_link(signed_in, report):
    files = {"": ConfigFile(b"receivers: {}\n", "text/yaml")}
    create_configuration("prod", Draft(selector={"env": "prod"}, files=files), by=None, at=timezone.now())
    wanted = bytes.fromhex(Configuration.objects.get().current.hash)
    for number in range(3):
        failed = RemoteConfigStatus(wanted, RemoteConfigStatuses.FAILED, "no such exporter: olpt & <b>")
        report(f"f{number}", env="prod", remote_config_status=failed)
    report("u", healthy=False)
    report("well")
    assert set(Assignment.objects.filter(status="failed").values_list("error_message", flat=True)) == {
        "no such exporter: olpt & <b>"
    }
    answer = signed_in.get(LIST, {"status": "error"})
    links = answer.context["cl"].error_links()
    assert [(link["number"], link["text"]) for link in links] == [(3, "no such exporter: olpt & <b>"), (1, "broken")]
    body = answer.content.decode()
    assert "3 agents</a>" in body
    assert "no such exporter: olpt &amp; &lt;b&gt;" in body
    for link in links:
        found = signed_in.get(LIST + link["url"])
        assert found.context["cl"].result_count == link["number"]
        assert all(agent.reason == link["text"] for agent in found.context["cl"].result_list)
    assert signed_in.get(LIST, {"reason": "nobody says that"}).context["cl"].result_count == 0
    # Beside the status of each, in whatever list it stands.
    assert (
        body.count('class="reason" title="broken"') == signed_in.get(LIST).content.decode().count('title="broken"') == 1
    )


def test_what_a_disconnected_agent_said_is_drawn_as_last_known(signed_in, report):
    files = {"": ConfigFile(b"receivers: {}\n", "text/yaml")}
    create_configuration("prod", Draft(selector={"env": "prod"}, files=files), by=None, at=timezone.now())
    wanted = bytes.fromhex(Configuration.objects.get().current.hash)
    applied = RemoteConfigStatus(wanted, RemoteConfigStatuses.APPLIED, "")
    agent = report("a", env="prod", remote_config_status=applied)
    page, configuration = (
        f"{LIST}{agent.pk}/change/",
        f"/admin/configurations/configuration/{Configuration.objects.get().pk}/change/",
    )
    assert "last known" not in shown(signed_in)
    for url in (page, configuration, "/admin/"):
        assert "last known" not in signed_in.get(url).content.decode()
    Agent.objects.update(connected=False)
    body = shown(signed_in)
    assert "last known" in body
    assert "sync-yes" not in body
    cards = signed_in.get(page).content.decode()
    assert cards.count("last-known") >= 3
    assert "sync-yes" not in cards
    assigned = signed_in.get(configuration).content.decode()
    assert "answer-applied" not in assigned
    for body in (
        assigned,
        signed_in.get("/admin/").content.decode(),
        signed_in.get("/admin/configurations/configuration/").content.decode(),
    ):
        assert "1 of them last known, not connected" in body
        assert 'value="0"' in body
    # The fact itself stays what was last known, for pages and programs.
    assert signed_in.get(LIST, {"healthy": "true"}).context["cl"].result_count == 1


def test_agents_of_one_name_are_in_the_order_of_their_hosts(signed_in, report):
    for name in ("c", "a", "b"):
        report(name)
    for query, order in (({}, "abc"), ({"o": "1"}, "abc"), ({"o": "-1"}, "cba")):
        rows = signed_in.get(LIST, query).context["cl"].result_list
        assert "".join(agent.hostname for agent in rows) == order, query
    assert [agent.headline for agent in Agent.objects.all()] == [(host, "otelcol") for host in "abc"]
    named = Agent(custom_name="edge", name="edge", hostname="h")
    assert named.headline == ("edge", "h")
    assert Agent(name="otelcol").headline == ("otelcol", "")


@pytest.mark.parametrize(
    ("agent", "short", "long"),
    [
        (Agent(name="otelcol", hostname="h"), "h", "h (otelcol)"),
        (Agent(custom_name="edge", name="edge", hostname="h"), "edge", "edge (h)"),
        (Agent(name="h", hostname="h"), "h", "h"),
        (Agent(name="otelcol"), "otelcol", "otelcol"),
    ],
)
def test_questions_and_the_trail_name_an_agent_as_the_list_does(agent, short, long):
    assert (str(agent), agent.name_and_host()) == (short, long)


def test_forgetting_one_says_what_goes_and_what_comes_back(signed_in, report):
    agent = report("a")
    url = f"{LIST}{agent.pk}/delete/"
    body = signed_in.get(url).content.decode()
    assert "timeline, connections, commands" in body
    assert "registers anew" in body
    assert Agent.objects.exists()
    assert signed_in.post(url)["location"] == LIST
    assert not Agent.objects.exists()
    assert signed_in.get(url).status_code == 404


@pytest.mark.parametrize(("language", "words"), [("en", ("Yes", "No")), ("zh-hans", ("是", "否"))])
def test_yes_and_no_are_words_of_the_readers_language(signed_in, bob, language, words):
    body = signed_in.get("/admin/accounts/user/", headers={"accept-language": language}).content.decode()
    column = re.findall(r'<td class="field-is_[a-z]+">(.*?)</td>', body)
    assert column
    assert 'alt="True"' not in body
    assert all(re.sub(r"<[^>]*>", "", cell).split()[-1] in words for cell in column)
    assert signed_in.get("/admin/accounts/user/?o=5").status_code == 200


class TestLabelPreviews:
    @pytest.fixture
    def two(self, report: Any) -> list[Agent]:
        for name in ("prod", "canary"):
            files = {"": ConfigFile(b"receivers: {}\n", "text/yaml")}
            create_configuration(name, Draft(selector={"env": name}, files=files), by=None, at=timezone.now())
        return [report("a", env="prod"), report("b", env="dev")]

    def test_one_agent_is_asked_about_when_its_configuration_changes(self, signed_in, two):
        url = f"{LIST}{two[0].pk}/change/"
        form = {"custom_name": "Edge", "notes": "", "label_lines": "env=canary"}
        page = signed_in.post(url, form)
        body = re.sub(r"\s+(?=<)|(?<=>)\s+", "", page.content.decode())
        assert "<td>1</td><td>prod</td><td>canary</td>" in body
        assert not Agent.objects.exclude(operator_labels={}).exists()
        assert 'name="custom_name" value="Edge"' in body
        back = signed_in.post(url, {**form, "confirmed": "1", "edit": "1"}).content.decode()
        assert "env=canary</textarea>" in back
        assert not Agent.objects.exclude(operator_labels={}).exists()
        assert signed_in.post(url, {**form, "confirmed": "1"}).status_code == 302
        two[0].refresh_from_db()
        assert (two[0].configuration_name, two[0].name) == ("canary", "Edge")
        # Nothing to ask about: no configuration changes.
        assert signed_in.post(url, {**form, "label_lines": "env=canary\nteam=x"}).status_code == 302
        losing = signed_in.post(url, {**form, "label_lines": "env=nowhere"}).content.decode()
        assert "nothing; they keep what they run" in losing

    def test_many_are_previewed_before_they_are_confirmed(self, signed_in, two):
        chosen = {"action": "relabel", "_selected_action": [agent.pk for agent in two]}
        assert 'name="preview"' in signed_in.post(LIST, chosen).content.decode()
        typed = {**chosen, "put": "env=canary\nteam=x", "remove": ""}
        body = re.sub(r"\s+(?=<)|(?<=>)\s+", "", signed_in.post(LIST, {**typed, "preview": "1"}).content.decode())
        for row in ("<td>1</td><td>prod</td><td>canary</td>", "<td>1</td><td>–</td><td>canary</td>"):
            assert row in body
        assert 'name="confirmed"' in body
        assert not Agent.objects.exclude(operator_labels={}).exists()
        back = signed_in.post(LIST, {**typed, "confirmed": "1", "edit": "1"}).content.decode()
        assert "env=canary" in back
        assert "<textarea" in back
        assert not Agent.objects.exclude(operator_labels={}).exists()
        signed_in.post(LIST, {**typed, "confirmed": "1", "shown_count": "2"})
        assert set(Agent.objects.values_list("configuration_name", flat=True)) == {"canary"}

    def test_programs_are_told_the_same(self, api_of, alice, bob, two):
        url, body = "/api/v1/agents/labels/preview", {"match_all": True, "set": {"env": "canary"}}
        answer = api_of(alice).post(url, body)
        assert answer.json() == {
            "changed": 2,
            "skipped": 0,
            "moves": [{"from": None, "to": "canary", "agents": 1}, {"from": "prod", "to": "canary", "agents": 1}],
            "fragments": [],
        }
        assert not Agent.objects.exclude(operator_labels={}).exists()
        api_of(alice).post("/api/v1/agents/labels", body)
        assert set(Agent.objects.values_list("configuration_name", flat=True)) == {"canary"}
        removed = api_of(alice).post(url, {"match_all": True, "remove": ["env"]}).json()["moves"]
        assert {"from": "canary", "to": "prod", "agents": 1} in removed
        assert api_of(alice).post(url, {"match_all": True, "set": {"a b": "x"}}).status_code == 400
        assert api_of(bob).post(url, body).status_code == 403
