"""Pages of REST lists: exact where it is cheap, estimated where it is not, and every page can be reached."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent, AgentPresence, ReportedState
from opamp_platform.api import paging
from tests.databases import ON_POSTGRESQL, on_postgresql, on_sqlite

pytestmark = pytest.mark.django_db
URL = "/api/v1/agents"


def make_fleet(number: int, *, name: str = "twin") -> None:
    """Rows of agents that all share one name."""
    agents = Agent.objects.bulk_create(Agent(instance_uid=UUID(int=index + 1), name=name) for index in range(number))
    now = timezone.now()
    AgentPresence.objects.bulk_create(AgentPresence(agent=agent, last_seen_at=now) for agent in agents)
    ReportedState.objects.bulk_create(ReportedState(agent=agent) for agent in agents)


@pytest.fixture
def large_fleet(monkeypatch) -> int:
    """A fleet just above what is counted exactly, at a tenth of the real bound."""
    monkeypatch.setattr(paging, "EXACT", 1_000)
    make_fleet(1_234)
    if ON_POSTGRESQL:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE agents_agent")
    return 1_234


@pytest.mark.parametrize("ordering", [None, "name", "-name", "os_type", "-last_seen_at"])
def test_pages_of_equal_rows_neither_repeat_nor_skip_any(api_of, alice, ordering):
    make_fleet(53)
    query = {"page_size": 7} | ({"ordering": ordering} if ordering else {})
    client, seen, url = api_of(alice), [], URL
    while url:
        body = client.get(url, query if url == URL else None).json()
        seen += [row["instance_uid"] for row in body["results"]]
        url = body["next"]
    assert len(seen) == len(set(seen)) == 53
    assert (body["count"], body["count_is_estimate"]) == (53, False)


@on_postgresql
def test_a_large_fleet_is_not_counted_row_by_row(api_of, alice, large_fleet):
    client = api_of(alice)
    with CaptureQueriesContext(connection) as queries:
        body = client.get(URL, {"page_size": 100}).json()
    assert body["count_is_estimate"] is True
    assert 1_000 < body["count"] < 1_500
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"].upper()]
    assert counts
    assert all("LIMIT 1001" in sql for sql in counts)


@on_sqlite
def test_sqlite_which_estimates_nothing_counts_a_large_fleet(api_of, alice, large_fleet):
    body = api_of(alice).get(URL, {"page_size": 100}).json()
    assert (body["count"], body["count_is_estimate"]) == (large_fleet, False)


def test_pages_beyond_the_exact_count_can_be_reached(api_of, alice, large_fleet):
    client = api_of(alice)
    last = client.get(URL, {"page_size": 100, "page": 13}).json()
    assert len(last["results"]) == 34
    assert (last["count"], last["count_is_estimate"], last["next"]) == (large_fleet, False, None)
    assert "page=12" in last["previous"]
    assert client.get(URL, {"page_size": 100, "page": 14}).status_code == 404


def test_an_estimate_is_never_below_what_was_counted(monkeypatch):
    monkeypatch.setattr(paging, "EXACT", 10)
    make_fleet(30)  # without ANALYZE the planner may believe that the table is empty
    count, is_estimate = paging.count_of(Agent.objects.all())
    assert (count >= 11) if is_estimate else count == 30


def test_the_first_page_of_nothing_is_empty(api_of, alice):
    assert api_of(alice).get(URL).json() == {
        "count": 0, "count_is_estimate": False, "next": None, "previous": None, "results": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page", "0"), ("page", "-1"), ("page", "x"), ("page", "1.5"), ("page", ""), ("page", "٣"), ("page", "1" * 400),
        ("page_size", "0"), ("page_size", "501"), ("page_size", "all"), ("page_size", "1e2"), ("page_size", "\x00"),
    ],
)  # fmt: skip
def test_what_is_no_page_is_refused_by_name(api_of, alice, name, value):
    answer = api_of(alice).get(URL, {name: value})
    assert (answer.status_code, answer["content-type"]) == (400, "application/problem+json")
    assert list(answer.json()["errors"]) == [name]


@pytest.mark.parametrize("page", [2, 10**9, 10**17])
def test_a_page_beyond_the_last_is_not_there(api_of, alice, page):
    assert api_of(alice).get(URL, {"page": page}).status_code == 404


def test_500_rows_are_a_page(api_of, alice):
    make_fleet(501)
    body = api_of(alice).get(URL, {"page_size": 500}).json()
    assert (len(body["results"]), body["count"]) == (500, 501)
    assert len(api_of(alice).get(body["next"]).json()["results"]) == 1
