"""Queries over REST: the list, the summary, and choosing many agents."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

pytestmark = pytest.mark.django_db

URL = "/api/v1/agents"


@pytest.fixture
def fleet(report):
    return [report("a", env="prod"), report("b", env="dev"), report("c", env="prod", healthy=False)]


def names(answer):
    assert answer.status_code == 200, answer.content
    return "".join(sorted(row["hostname"] for row in answer.json()["results"]))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "abc"),
        ("env=prod", "ac"),
        ("env=prod -status:error", "a"),
        ("health:bad or env=dev", "bc"),
        ("host:a*", "a"),
        ("env=x", ""),
        ("os:linux version>0.9 seen<1h", "abc"),
    ],
)
def test_the_list_takes_a_query(api_of, bob, fleet, query, found):
    assert names(api_of(bob).get(URL, {"q": query})) == found
    assert api_of(bob).get(f"{URL}/summary", {"q": query}).json()["total"] == len(found)


def test_it_is_one_condition_beside_the_filters(api_of, bob, fleet):
    assert names(api_of(bob).get(URL, {"q": "env=prod", "healthy": "true", "ordering": "-name"})) == "a"


@pytest.mark.parametrize("path", [URL, f"{URL}/summary"])
def test_a_mistake_is_told_with_its_place(api_of, bob, fleet, path):
    answer = api_of(bob).get(path, {"q": "env=prod statsu:connected"})
    assert (answer.status_code, answer["content-type"]) == (400, "application/problem+json")
    body = answer.json()
    assert body["code"] == "agent-query-unknown-word"
    (said,) = body["errors"]["q"]
    assert "At character 10" in said
    assert "Did you mean status:connected?" in said
    ((finding),) = body["findings"]
    assert (finding["path"], finding["line"], finding["column"]) == ("q", 1, 10)


def test_long_and_deep_ones_are_refused(api_of, bob):
    for query in ("x" * 2_001, "(" * 1_000, "-" * 1_999 + "a", "a " * 999):
        assert api_of(bob).get(URL, {"q": query}).status_code == 400


def test_many_are_chosen_by_a_query(api_of, alice, bob, fleet):
    body = {"filter": {"q": "env=prod -health:bad"}, "set": {"team": "x"}}
    answer = api_of(alice).post(f"{URL}/labels", body)
    assert answer.status_code == 200, answer.content
    assert names(api_of(bob).get(URL, {"q": "team=x"})) == "a"
    refused = api_of(alice).post(f"{URL}/labels", {**body, "filter": {"q": "nope:x"}})
    assert refused.status_code == 400
    assert "q" in refused.json()["errors"]
    assert api_of(alice).post(f"{URL}/labels", {**body, "filter": {"q": "  "}}).status_code == 400


@pytest.mark.parametrize("query", ["package:x", "certificate:issued"])
def test_words_that_need_a_right_are_the_same_mistake_everywhere(api_of, charlie, fleet, query):
    rights = Permission.objects.filter(codename__in=["view_agent", "change_agent"])
    charlie.user_permissions.add(*rights)
    api = api_of(charlie)
    chosen = {"filter": {"q": query}}
    answers = {
        "list": api.get(URL, {"q": query}),
        "groups": api.get(f"{URL}:groups", {"q": query, "label": "env"}),
        "export": api.get(f"{URL}:export", {"q": query}),
        "export as a job": api.post(f"{URL}:export", chosen),
        "act": api.post(f"{URL}:act", {**chosen, "action": "restart"}),
        "labels": api.post(f"{URL}/labels", {**chosen, "set": {"a": "b"}}),
        "restart": api.post(f"{URL}/restart", chosen),
        "view": api.post("/api/v1/agent-views", {"name": "v", "query": query}),
    }
    for name, answer in answers.items():
        assert answer.status_code == 400, name
        assert "You do not have the right" in str(answer.json()["errors"]), name


def test_every_group_leads_to_its_agents(api_of, bob, report):
    keys = ["-minus", 'quo"te:colon', "co,mma", "sp ace", "or", "not", "back\\slash", "环境："]
    report("a", **dict.fromkeys(keys, "x"), broken="two\nlines")
    report("b", broken="x" * 1_025)
    report("c")
    for key in [*keys, "broken"]:
        groups = api_of(bob).get(f"{URL}:groups", {"label": key}).json()["groups"]
        for group in groups:
            if group["query"] is not None:
                assert api_of(bob).get(URL, {"q": group["query"]}).json()["count"] == group["agents"], (key, group)
    # Nobody may ask for so long a value, and it is counted all the same.
    assert [(len(group["value"] or ""), group["query"] is None) for group in groups] == [
        (0, False),
        (9, False),
        (1025, True),
    ]


def test_rights(api_of, charlie, fleet):
    assert api_of(charlie).get(URL, {"q": "env=prod"}).status_code == 403
    assert api_of(None).get(URL, {"q": "env=prod"}).status_code == 401
    assert api_of(charlie).get(f"{URL}/summary", {"q": "env=prod"}).status_code == 403
