"""Whom a configuration reaches, and what is told when that is nobody or only a name decides; and lists of them."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.django_db
URL = "/api/v1/configurations"
RUNS = "receivers: {nop: }\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}\n"


@pytest.fixture
def client(api_of, alice):
    return api_of(alice)


def body(**more):
    return {"raw_config": RUNS, "selector": {"env": "prod"}, **more}


def told(answer):
    assert answer.status_code in (200, 201), answer.content
    return [(item["path"], item["message"]) for item in answer.json()["warnings"] if item["kind"] == "targeting"]


class TestWarnings:
    def test_nobody_matches(self, client, report):
        ((path, message),) = told(client.post(URL, body(name="b")))
        assert path == "selector"
        assert "No agent that is known now matches" in message
        report(env="prod")
        assert told(client.patch(f"{URL}/b", {"description": "d"})) == []
        assert told(client.patch(f"{URL}/b", {"selector": {}})) != []
        assert told(client.patch(f"{URL}/b", {"enabled": False})) == []

    def test_all_is_lost_to_others(self, client, report):
        report(env="prod")
        report("two", env="prod", tier="a")
        client.post(URL, body(name="first", priority=5))
        client.post(URL, body(name="second", priority=9, selector={"tier": "a"}))
        ((path, message),) = told(client.put(f"{URL}/weak", body()))
        assert path == "priority"
        assert "2 match" in message
        assert "first" in message
        assert "second" in message

    @pytest.mark.parametrize(("name", "says"), [("a", "only the name decides"), ("z", "wins 1 agents by its name")])
    def test_a_tie_is_decided_by_name(self, client, report, name, says):
        report(env="prod")
        client.post(URL, body(name="m"))
        said = told(client.post(URL, body(name=name)))
        assert any("m has the same priority" in message and says in message for _path, message in said), said
        assert told(client.patch(f"{URL}/{name}", {"priority": 1})) == []


class TestPreview:
    def test_it_names_who_wins(self, client, report):
        for number in range(3):
            report(f"h{number}", env="prod", tier="a" if number else "b")
        client.post(URL, body(name="strong", priority=5, selector={"tier": "a"}))
        client.post(URL, body(name="alike"))
        found = client.post(f"{URL}/preview", body(name="new")).json()
        assert (found["matched"], found["assigned"]) == (3, 0)
        assert found["rivals"] == [
            {"name": "strong", "priority": 5, "agents": 2, "wins": True, "by_name": False},
            {"name": "alike", "priority": 0, "agents": 1, "wins": True, "by_name": True},
        ]
        assert {item["kind"] for item in found["findings"]} == {"targeting"}
        taken = client.post(f"{URL}/strong/preview", {"selector": {"env": "prod"}}).json()
        assert (taken["assigned"], taken["gained"]) == (3, 1)
        assert taken["rivals"] == [{"name": "alike", "priority": 0, "agents": 3, "wins": False, "by_name": False}]


class TestList:
    @pytest.fixture(autouse=True)
    def some(self, client):
        for name, more in {
            "one": {"display_name": "Linux hosts", "priority": 3},
            "two": {"description": "for linux too", "enabled": False},
            "three": {"match_all": True, "selector": {}, "priority": 1},
        }.items():
            assert client.post(URL, body(name=name, **more)).status_code == 201

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ({}, ["one", "three", "two"]),
            ({"search": "LINUX"}, ["one", "two"]),
            ({"search": "thr"}, ["three"]),
            ({"search": "nothing"}, []),
            ({"enabled": "false"}, ["two"]),
            ({"enabled": "true", "search": "linux"}, ["one"]),
            ({"match_all": "true"}, ["three"]),
            ({"ordering": "-priority"}, ["one", "three", "two"]),
            ({"ordering": "priority"}, ["two", "three", "one"]),
            ({"ordering": "-name", "page_size": 2}, ["two", "three"]),
        ],
    )
    def test_search_filters_and_order(self, client, query, names):
        assert [row["name"] for row in client.get(URL, query).json()["results"]] == names

    @pytest.mark.parametrize(
        "query", [{"enabled": "maybe"}, {"enabled": ""}, {"match_all": "1"}, {"ordering": "size"}, {"search": "\x00"}]
    )
    def test_values_that_mean_nothing(self, client, query):
        answer = client.get(URL, query)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, list(query))

    def test_the_agents_of_one(self, client, report):
        report("a", env="prod")
        report("b", env="prod", capabilities=1)
        url = f"{URL}/one/agents"
        assert client.get(url, {"status": "incapable"}).json()["count"] == 1
        assert client.get(url, {"status": "incapable,offered,pending"}).json()["count"] == 2
        assert client.get(url, {"connected": "true"}).json()["count"] == 2
        assert client.get(url, {"status": "odd"}).status_code == 400
