"""The search box of the list of agents takes queries; filters are text in it; it suggests what may stand there."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.admin.suggesting import suggested
from tests.agents.admin_pages import LIST

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counted_anew")]


@pytest.fixture
def fleet(report):
    return [report("a", env="prod"), report("b", env="dev"), report("c", env="prod", healthy=False)]


def rows(client, query):
    answer = client.get(LIST, query)
    assert answer.status_code == 200
    return "".join(sorted(agent.hostname for agent in answer.context["cl"].result_list)), answer


def facets_of(answer):
    """Choices by facet: display → (link's query, selected, count)."""
    body = answer.content.decode()
    found = {}
    for title, choices in re.findall(r'data-filter-title="([^"]*)".*?<ul>(.*?)</ul>', body, re.DOTALL):
        found[title] = {
            re.sub(r"<.*", "", html.unescape(text), flags=re.DOTALL).strip(): (
                {name: value[0] for name, value in parse_qs(urlsplit(html.unescape(href)).query).items()},
                "selected" in chosen,
                int(count[0]) if (count := re.findall(r'class="count">(\d+)', text)) else None,
            )
            for chosen, href, text in re.findall(
                r'<li( class="selected")?>\s*<a href="([^"]*)"[^>]*>(.*?)</a>', choices, re.DOTALL
            )
        }
    return found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("env=prod -health:bad", "a"),
        ("(env=dev or status:error)", "bc"),
        ("seen<1h host:a*", "a"),
    ],
)
def test_the_box_takes_the_language(signed_in, fleet, query, found):
    assert rows(signed_in, {"q": query})[0] == found


def test_a_mistake_stands_beside_the_box_with_its_place_marked(signed_in, fleet):
    found, answer = rows(signed_in, {"q": 'env=prod statsu:connected "<b>"'})
    assert found == ""
    body = answer.content.decode()
    assert 'id="query-problem"' in body
    assert "At character 10" in body
    assert "Did you mean status:connected?" in body
    assert "env=prod <mark>statsu:connected</mark> &quot;&lt;b&gt;&quot;" in body
    assert 'aria-invalid="true"' in body
    _none, answer = rows(signed_in, {"q": "env=prod or"})
    assert "<mark> </mark>" in answer.content.decode()


def test_a_choice_of_a_filter_is_text_in_the_box(signed_in, fleet):
    _all, answer = rows(signed_in, {"q": "env=prod"})
    link, selected, count = facets_of(answer)["status"]["connected"]
    assert (link, selected, count) == ({"q": "env=prod status:connected"}, False, 1)
    found, answer = rows(signed_in, link)
    assert found == "a"
    facets = facets_of(answer)
    assert facets["status"]["connected"] == ({"q": "env=prod"}, True, 1)
    # Its own counts go on, as if nothing of it were chosen; those of others are within it.
    assert facets["status"]["error"] == ({"q": "env=prod status:error"}, False, 1)
    assert facets["health"]["unhealthy"][2] == 0
    assert facets["status"]["All"][:2] == ({"q": "env=prod"}, False)
    assert facets["health"]["healthy"][0] == {"q": "env=prod status:connected health:good"}


def test_parameters_keep_working_and_become_text_with_the_next_choice(signed_in, fleet):
    found, answer = rows(signed_in, {"status": "error", "healthy": "false", "pinned": "false"})
    assert found == "c"
    facets = facets_of(answer)
    assert facets["status"]["error"][1]
    query = facets["status"]["connected"][0]["q"]
    assert sorted(query.split()) == ["health:bad", "pinned:no", "status:connected"]
    assert sorted(facets["status"]["error"][0]["q"].split()) == ["health:bad", "pinned:no"]
    assert rows(signed_in, {"status": "nonsense"})[0] == ""


def test_every_choice_leads_to_a_query_that_finds_as_many_as_it_says(signed_in, fleet):
    _all, answer = rows(signed_in, {"q": "a or env=prod"})
    for title, choices in facets_of(answer).items():
        for word, (link, _selected, count) in choices.items():
            found, page = rows(signed_in, link)
            assert page.context["cl"].search.problem == "", (title, word)
            assert count in (None, len(found)), (title, word, link)


def test_filters_of_other_kinds_are_text_too(signed_in, fleet):
    for name, value, text in [
        ("waits", "true", "rollout:waiting"),
        ("paused", "true", "paused:yes"),
        ("upgrade_available", "false", "upgrade:no"),
        ("approval", "approved", "approval:approved"),
    ]:
        _rows, answer = rows(signed_in, {name: value})
        assert facets_of(answer)["status"]["error"][0]["q"] == f"{text} status:error"
        assert answer.context["cl"].result_count == rows(signed_in, {"q": text})[1].context["cl"].result_count


def test_every_group_leads_to_its_agents_where_a_query_can_ask_for_them(signed_in, report):
    report("a", **{"-odd": "x", "long": "v" * 1_100})
    report("b")
    for key, links in {"-odd": [1, 1], "long": [1, None]}.items():
        _all, answer = rows(signed_in, {"q": "", "group": key})
        found = answer.context["cl"].groups["rows"]
        counts = [group["url"] and signed_in.get(LIST + group["url"]).context["cl"].result_count for group in found]
        assert counts == links, key
        assert [group["number"] for group in found] == [1, 1]
    assert f"{'v' * 119}…" in answer.content.decode()


def test_rows_lead_back_to_the_list_unless_the_search_is_very_long(signed_in, fleet):
    for query, leads_back in {"env=prod": True, f"-env={'边' * 200}": False}.items():
        _rows, answer = rows(signed_in, {"q": query})
        assert answer.context["cl"].result_count
        assert (b"/change/?_changelist_filters=" in answer.content) is leads_back, query


def test_a_page_asks_few_queries(signed_in, fleet):
    query = {"q": 'status:connected os.type=linux -env=dev version<1.0 health:good config:"" seen<1h "otel"'}
    signed_in.get(LIST, query)
    with CaptureQueriesContext(connection) as queries:
        assert rows(signed_in, query)[0] == "a"
    assert len(queries) <= 15, [each["sql"][:200] for each in queries]


@pytest.mark.parametrize(
    ("typed", "start", "texts"),
    [
        ("stat", 0, ["status:"]),
        ("env=prod -stat", 10, ["status:"]),
        ("(e", 1, ["env="]),
        ("se", 0, ["seen<", "service:", "service.name=", "service.version="]),
        ("status:", 0, ["status:connected", "status:configuring", "status:disconnected", "status:error"]),
        ("health:b", 0, ["health:bad"]),
        ("env=", 0, ["env=prod", "env=dev"]),
        ("not env!=p", 4, ["env!=prod"]),
        ("os:l", 0, ["os:linux"]),
        ('"sta', 4, []),
        ("nonsense:x", 0, []),
        ("version<0", 9, []),
        ("x\x00", 2, []),
        ("s" * 3000, 3000, []),
    ],
)
def test_what_may_stand_where_somebody_types(fleet, typed, start, texts):
    found = suggested(typed, None)
    assert (found[0], sorted(each.text for each in found[1])) == (start, sorted(texts))


def test_values_have_counts(fleet):
    counts = {
        each.text: each.number
        for each in suggested("env=", None)[1] + suggested("status:", None)[1] + suggested("os:", None)[1]
    }
    assert counts["env=prod"] == 2
    assert (counts["status:connected"], counts["status:error"], counts["status:disconnected"]) == (2, 1, 0)
    assert counts["os:linux"] == 3


def test_suggestions_are_for_those_who_see_agents_and_tell_no_secret(client, bob, charlie, report):
    report("a", password="hunter2-secret-value")
    client.force_login(bob)
    answer = client.get(f"{LIST}suggest/", {"q": "passw"})
    assert [each["text"] for each in answer.json()["suggestions"]] == ["password="]
    assert client.get(f"{LIST}suggest/", {"q": "password="}).json()["suggestions"] == []
    client.force_login(charlie)
    assert client.get(f"{LIST}suggest/", {"q": "s"}).status_code == 403
    assert suggested("pack", charlie)[1] == []
    assert [each.text for each in suggested("pack", bob)[1]] == ["package:"]
