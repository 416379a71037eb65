"""Query parameters that nobody reads are refused, by name, wherever REST answers."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.django_db
LISTS = [
    "agents",
    "agents/{uid}/timeline",
    "agents/{uid}/connections",
    "agents/{uid}/commands",
    "configurations",
    "configurations/c/revisions",
    "configurations/c/agents",
]
OTHERS = [
    "agents/{uid}",
    "agents/summary",
    "agents/{uid}/components",
    "agents/{uid}/packages",
    "agents/{uid}/configuration",
    "agents/{uid}/effective-config",
    "configurations/c",
    "configurations/c/revisions/1",
]


@pytest.fixture
def get(api_of, alice, report):
    uid = report(env="prod").instance_uid
    client = api_of(alice)
    client.post("/api/v1/configurations", {"name": "c", "raw_config": "a: 1\n", "selector": {"env": "prod"}})
    return lambda path, query=None: client.get(f"/api/v1/{path.format(uid=uid)}", query)


@pytest.mark.parametrize("path", [*LISTS, *OTHERS])
def test_an_unknown_one_is_named_and_so_is_what_there_is(get, path):
    answer = get(path, {"nonsense": "1", "format": "json"})
    assert (answer.status_code, answer["content-type"]) == (400, "application/problem+json")
    ((name, (said,)),) = answer.json()["errors"].items()
    assert name == "nonsense"
    assert ("page_size" in said) is (path in LISTS)
    assert get(path, {"format": "json"}).status_code == 200


@pytest.mark.parametrize("path", LISTS)
def test_every_list_has_pages(get, path):
    assert get(path, {"page": 1, "page_size": 1}).status_code == 200


@pytest.mark.parametrize("path", OTHERS)
def test_what_is_no_list_has_none(get, path):
    assert list(get(path, {"page": 1}).json()["errors"]) == ["page"]


def test_what_a_list_offers_is_what_it_takes(get):
    for path in ("agents", "configurations"):
        (said,) = get(path, {"nonsense": "1"}).json()["errors"]["nonsense"]
        names = said.partition("there are: ")[2].rstrip(".").split(", ")
        assert {"search", "ordering"} < set(names)
        for name in names:
            answer = get(path, {name: "1"})
            assert "nonsense" not in str(answer.json()), name
            assert "There is no such parameter" not in str(answer.json()), name


def test_secrets_may_be_asked_for_where_they_are_shown(get):
    assert get("agents/{uid}/effective-config", {"secrets": "hidden"}).status_code == 200
    assert get("agents/{uid}/effective-config", {"secrets": "perhaps"}).status_code == 400


def test_nobody_learns_them_who_may_not_look(api_of, charlie):
    assert api_of(None).get("/api/v1/agents?nonsense=1").status_code == 401
    assert api_of(charlie).get("/api/v1/agents?nonsense=1").status_code == 403
