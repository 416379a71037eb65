"""A page of the list asks each thing once: what filters counted is the number of agents, and what a condition asked is known."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.admin import facets
from agents.label_groups import label_groups
from agents.models import Agent
from foundation.bulk_sql import counted_alike
from foundation.paging import WindowPaginator
from tests.agents.admin_pages import LIST

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counted_anew")]


@pytest.fixture
def fleet(report: Any) -> list[Agent]:
    """Five agents, one of them in the lab."""
    said = {"os.type": "linux", "service.version": "1.2"}
    return [report(f"a{number}", env="prod" if number else "lab", rank=str(number), **said) for number in range(5)]


def asked(client: Any, **query: str) -> tuple[Any, list[str]]:
    """The list, and the statements that it took."""
    client.get(LIST, query)
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(LIST, query)
    return answer.context["cl"], [found["sql"] for found in queries]


def counting(statements: list[str]) -> list[str]:
    """Those that count rows of the list."""
    return [sql for sql in statements if sql.startswith("SELECT COUNT(*)") and "agents_agent" in sql]


@pytest.mark.parametrize(
    "query", ["env=prod", "env=prod status:connected", "status:error", "health:bad env=lab", "a1", "-env=prod"]
)
def test_the_filters_counts_are_the_number_of_agents(signed_in: Any, fleet: list[Agent], query: str) -> None:
    changelist, statements = asked(signed_in, q=query)
    assert changelist.result_count == len(list(changelist.queryset))
    counted = not facets.facet_query_of(changelist.request).within
    assert bool(counting(statements)) is counted, "only what was counted just now is not counted again"


@pytest.mark.parametrize(
    "query",
    [
        {"q": "status:error", "status": "connected"},
        {"q": "env=prod", "status": "connected"},
        {"q": "os:linux", "os_type": "windows"},
        {"q": "nonsense:x"},
        {"q": "env=prod os:linux os:windows"},
        {"q": "env=prod", "drifted": "true"},
    ],
)
def test_parameters_beside_the_search_are_counted_by_themselves(
    signed_in: Any, fleet: list[Agent], query: dict[str, str]
) -> None:
    changelist, _statements = asked(signed_in, **query)
    assert changelist.result_count == len(list(changelist.queryset))


def test_beyond_the_bound_the_list_counts(signed_in: Any, fleet: list[Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facets, "MOST_COUNTED", 2)
    changelist, statements = asked(signed_in, q="env=prod")
    assert changelist.result_count == 4
    assert counting(statements)


def test_a_full_window_is_known_without_counting(
    signed_in: Any, fleet: list[Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facets, "MOST_COUNTED", 2)
    monkeypatch.setattr("foundation.paging.WINDOW", 3)
    changelist, statements = asked(signed_in, q="env=prod")
    assert isinstance(changelist.paginator, WindowPaginator)
    assert changelist.result_count == 3, "at least so many, as the list says of many"
    assert counting(statements) == []


def test_versions_are_looked_up_once_for_rows_and_filters(signed_in: Any, fleet: list[Agent]) -> None:
    for query in ("version<9 status:connected", "rank<9 status:connected"):
        changelist, statements = asked(signed_in, q=query)
        assert changelist.result_count == 5
        assert len([sql for sql in statements if "DISTINCT" in sql]) == 1


def test_what_is_alike_is_counted_where_it_is_found(fleet: list[Agent]) -> None:
    with CaptureQueriesContext(connection) as queries:
        found = label_groups(Agent.objects.filter(connected=True), "env")
    assert [(group.value, group.number) for group in found.groups] == [("prod", 4), ("lab", 1)]
    (query,) = queries
    assert query["sql"].count('FROM "agents_agent"') == 1, "no second look at the table"


def test_groups_by_a_label_that_some_do_not_have(fleet: list[Agent], report: Any) -> None:
    report("b0")
    report("b1", env="edge")
    found = label_groups(Agent.objects.all(), "env")
    assert [(group.value, group.number) for group in found.groups] == [("prod", 4), (None, 1), ("edge", 1), ("lab", 1)]


def test_of_nobody_nothing_is_counted() -> None:
    assert counted_alike(Agent.objects.none(), ["name"], 10) == []
    assert counted_alike(Agent.objects.filter(pk__in=[]), ["name"], 10) == []
