"""Filters of the list by labels: which labels, how many agents each value has, and where each leads."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.admin import facets
from tests.agents.admin_pages import LIST

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counted_anew")]


@pytest.fixture
def fleet(report: Any) -> None:
    """Three agents of two environments in three places, each with a serial number of its own."""
    report("a", env="prod", region="eu", serial="1")
    report("b", env="prod", region="us", serial="2")
    report("c", env="lab", region="cn", serial="3")


def labels_of(client: Any, **query: str) -> dict[str, list[tuple[str, str, str]]]:
    """The facets of labels: by key the display, the count and the address of each choice."""
    body = html.unescape(client.get(LIST, query).content.decode())
    found = {}
    for key, inside in re.findall(r'<details data-filter-title="([^"]+)" open>(.*?)</details>', body, re.DOTALL):
        rows = re.findall(
            r'<a href="([^"]*)"[^>]*>\s*(.*?)\s*(?:<span class="count">(.*?)</span>)?</a>', inside, re.DOTALL
        )
        found[key] = [(display.strip(), count, address) for address, display, count in rows]
    return {key: rows for key, rows in found.items() if key in {"env", "region", "serial", "host.name", "x"}}


def numbers(rows: list[tuple[str, str, str]]) -> dict[str, str]:
    return {display: count for display, count, _address in rows if count}


def test_labels_that_tell_agents_apart(signed_in, fleet):
    found = labels_of(signed_in, q="")
    assert set(found) == {"env", "region", "serial"}
    assert numbers(found["env"]) == {"prod": "2", "lab": "1"}
    assert numbers(found["region"]) == {"cn": "1", "eu": "1", "us": "1"}


def test_what_all_agents_have_alike_or_each_for_itself_is_no_filter(signed_in, report):
    for number in range(9):
        report(f"h{number}", env="prod", serial=str(number), ring=str(number % 2), x=str(number % 3))
    found = labels_of(signed_in, q="")
    assert list(found) == ["x"], "env is alike, serial has nine values, ring is no key this looks for"


def test_a_value_leads_to_its_agents_and_back(signed_in, fleet):
    rows = {display: address for display, _count, address in labels_of(signed_in, q="status:connected")["env"]}
    assert rows["prod"] == "?q=status%3Aconnected+env%3Dprod"
    chosen = labels_of(signed_in, q="status:connected env=prod")
    rows = {display: address for display, _count, address in chosen["env"]}
    assert rows["prod"] == rows["All"] == "?q=status%3Aconnected"
    assert numbers(chosen["env"]) == {"prod": "2"}
    assert numbers(chosen["region"]) == {"eu": "1", "us": "1"}, "counts stay with the search"


def test_nobody_has_no_labels(signed_in, report):
    report("a", env="prod")
    assert labels_of(signed_in, q="env=lab") == {}


def test_values_that_need_quotes(signed_in, report):
    report("a", env='a "b" <c>')
    report("b", env="")
    rows = {display: address for display, _count, address in labels_of(signed_in, q="")["env"]}
    assert set(rows) == {"All", 'a "b" <c>', "“”"}
    for display in ('a "b" <c>', "“”"):
        answer = signed_in.get(f"{LIST}{rows[display]}")
        assert answer.context["cl"].result_count == 1


def test_a_search_that_is_not_understood_has_none(signed_in, fleet):
    assert labels_of(signed_in, q="(env=prod") == {}


def test_beyond_the_bound_they_say_at_least(signed_in, fleet, monkeypatch):
    monkeypatch.setattr(facets, "MOST_COUNTED", 1)
    assert all(count.endswith("+") for count in numbers(labels_of(signed_in, q="")["env"]).values())


def test_secrets_are_no_values(signed_in, report):
    report("a", api_token="ghp_0123456789012345678901234567890123456789", env="prod")
    report("b", api_token="ghp_9876543210987654321098765432109876543210", env="lab")
    assert "ghp_" not in signed_in.get(LIST, {"q": ""}).content.decode()


def test_it_costs_two_queries(signed_in, fleet):
    signed_in.get(LIST, {"q": "env=prod"})
    with CaptureQueriesContext(connection) as queries:
        signed_in.get(LIST, {"q": "env=prod"})
    asked = [each["sql"] for each in queries if "facet_0" in each["sql"]]
    assert len(asked) == 1


def test_no_choice_leads_to_a_query_that_is_none(signed_in, report):
    for number, value in enumerate(["short", "v" * 1_100]):
        report(f"a{number}", long=value)
    for query in ("", "-env=" + "x" * 1_000 + " -env=" + "y" * 940):
        found = signed_in.get(LIST, {"q": query}).context["cl"]
        (facet,) = [each for each in found.filter_specs if getattr(each, "key", "") == "long"]
        for choice in facet.choices(found):
            page = signed_in.get(LIST + choice["query_string"]).context["cl"]
            assert page.search.problem == "", (query[:10], choice["display"][:10])
