"""Lists of agents read what they show: their orders, filters and counts are answered by indexes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.admin.facets import groups
from agents.label_conditions import selector_condition
from agents.models import Agent, AgentPresence, ReportedState
from agents.selectors import parse_label_query
from tests.databases import ON_POSTGRESQL, on_postgresql

pytestmark = pytest.mark.django_db
LIST = "/admin/agents/agent/"
MOST_QUERIES = 15
NUMBER = 300


@pytest.fixture
def fleet() -> list[Agent]:
    """Agents that differ in little, as in a real fleet; the database knows how many there are."""
    seen = [timezone.now() - timedelta(seconds=number) for number in range(NUMBER)]
    agents = Agent.objects.bulk_create(
        Agent(
            instance_uid=uuid4(),
            name=f"host-{number % 7}",
            hostname=f"host-{number:04}",
            version=f"1.{number % 2}",
            os_type="linux",
            connected=number % 3 > 0,
            labels={"n": str(number), "env": "prod" if number % 2 else "dev"},
        )
        for number in range(NUMBER)
    )
    AgentPresence.objects.bulk_create(
        AgentPresence(agent=agent, last_seen_at=at) for agent, at in zip(agents, seen, strict=True)
    )
    ReportedState.objects.bulk_create(ReportedState(agent=agent) for agent in agents)
    with connection.cursor() as cursor:
        if ON_POSTGRESQL:
            cursor.execute("ANALYZE agents_agent")
            cursor.execute("ANALYZE agents_agentpresence")
    return agents


@pytest.fixture
def large_tables() -> None:
    """Few rows are read from end to end for good reason; many would not be. Sorting them all is as dear."""
    with connection.cursor() as cursor:
        if ON_POSTGRESQL:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_hashjoin = off")


def plan_of(rows: QuerySet[Any]) -> str:
    return str(rows.explain())


def covered_by(index: str) -> str:
    """A pattern: how the database says in its plan that it reads this index and no row."""
    return rf"Index Only Scan (Backward )?using {index}" if ON_POSTGRESQL else f"COVERING INDEX {index}"


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("name", "agent_name"),
        ("version", "agent_version"),
        ("os_type", "agent_os_type"),
        ("hostname", "agent_hostname"),
        ("configuration_name", "agent_configuration"),
        ("first_seen_at", "agent_first_seen"),
        ("connected_at", "agent_connected_at"),
        ("presence__last_seen_at", "presence_last_seen"),
    ],
)
@pytest.mark.parametrize("direction", ["", "-"])
def test_every_order_is_that_of_an_index(
    fleet: list[Agent], large_tables: None, name: str, index: str, direction: str
) -> None:
    plan = plan_of(Agent.objects.in_order(f"{direction}{name}").keys_in_order()[:5])
    assert index in plan
    assert "Sort" not in plan
    assert "B-TREE" not in plan


@pytest.mark.parametrize("direction", ["", "-"])
def test_a_deep_page_by_last_seen_reads_one_index_and_no_row(
    fleet: list[Agent], large_tables: None, direction: str
) -> None:
    with connection.cursor() as cursor:
        if ON_POSTGRESQL:
            # Three hundred rows are sorted faster.
            cursor.execute("SET LOCAL enable_bitmapscan = off")
    plan = plan_of(Agent.objects.in_order(f"{direction}presence__last_seen_at").keys_in_order()[200:250])
    assert "agents_agent " not in plan
    assert re.search(covered_by("presence_last_seen"), plan)


def test_agents_of_a_configuration_are_found_by_name_within_one_index(fleet: list[Agent], large_tables: None) -> None:
    plan = plan_of(Agent.objects.filter(configuration_name="edge").in_order("name").keys_in_order()[200:250])
    assert "agent_configuration" in plan
    assert "Sort" not in plan
    assert "B-TREE" not in plan


@on_postgresql
def test_an_architecture_nobody_has_is_looked_up(fleet: list[Agent], large_tables: None) -> None:
    rows = Agent.objects.filter(architecture="none")
    assert rows.count() == 0
    assert "agent_facts" in plan_of(rows.order_by())


@pytest.mark.parametrize("name", ["presence__last_seen_at", "-presence__last_seen_at"])
@pytest.mark.parametrize("then", [(), ("name",), ("-version", "name")])
@pytest.mark.parametrize("chosen", [{}, {"version": "1.1"}, {"version": "none"}])
def test_keys_are_those_of_the_rows_in_their_order(
    fleet: list[Agent], name: str, then: tuple[str, ...], chosen: dict[str, str]
) -> None:
    rows = Agent.objects.filter(**chosen).in_order(name, *then).select_related("presence")
    assert list(rows.keys_in_order()) == [agent.pk for agent in rows]
    assert list(rows.keys_in_order().reverse()) == [agent.pk for agent in rows.reverse()]
    assert list(rows.reverse().keys_in_order()[3:9]) == [agent.pk for agent in rows.reverse()[3:9]]


def test_none_are_asked_for_once(client: Any, alice: Any, fleet: list[Agent]) -> None:
    client.force_login(alice)
    client.get(LIST)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(LIST, {"q": "env!=prod,env!=dev"}).context["cl"].result_count == 0
    # One that finds none, for rows and filters together; one that tells why.
    assert len([query for query in queries if "labels" in query["sql"]]) == 2


@on_postgresql
def test_a_label_filter_asks_its_index(fleet: list[Agent], large_tables: None) -> None:
    rows = Agent.objects.filter(selector_condition(parse_label_query("n=17,env in (prod, test)"))).order_by()
    assert rows.count() == 1
    assert "Bitmap Index Scan on agent_labels" in plan_of(rows)


def test_facets_are_counted_within_an_index(fleet: list[Agent], large_tables: None) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert sum(group.number for group in groups()) == NUMBER
    (query,) = queries
    with connection.cursor() as cursor:
        explain = "EXPLAIN" if ON_POSTGRESQL else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{explain} {query['sql']}")
        plan = json.dumps(cursor.fetchall())
    assert re.search(covered_by("agent_facts"), plan)


@pytest.mark.usefixtures("counted_anew")
class TestAdminList:
    @pytest.fixture
    def queries(self, client: Any, alice: Any, fleet: list[Agent]) -> Iterator[Any]:
        client.force_login(alice)
        client.get(LIST)
        with CaptureQueriesContext(connection) as captured:
            yield captured

    @pytest.mark.parametrize(
        "query",
        [
            "", "p=6", "q=host", "q=h", "q=nothing-like-it", "q=env%3Dprod", "status=connected", "status=error",
            "status=configuring", "status=disconnected", "healthy=unknown", "healthy=true", "in_sync=false",
            "configuration=", "os_type=linux", "version=1.1", "transport=http", "o=1", "o=-3", "o=4", "o=5", "o=6",
            "o=-6&p=6", "o=6&status=connected&version=1.1&q=host",
        ],
    )  # fmt: skip
    def test_each_costs_few_queries(self, client: Any, queries: Any, query: str) -> None:
        answer = client.get(f"{LIST}?{query}")
        assert answer.status_code == 200
        # However many agents a page shows, none is asked for alone. Three are of freezes, pauses and pins, one of jobs, up to
        # three of saved views, two of labels.
        assert len(queries) <= MOST_QUERIES

    @pytest.mark.parametrize("order", ["1", "-1", "3", "-3", "4", "6", "-6", "1.-6"])
    def test_pages_show_every_agent_once_whatever_the_order(
        self, client: Any, queries: Any, fleet: list[Agent], order: str
    ) -> None:
        shown: list[int] = []
        for page in range(1, NUMBER // 50 + 1):
            answer = client.get(LIST, {"o": order, "p": page})
            shown += [agent.pk for agent in answer.context["cl"].result_list]
        assert sorted(shown) == sorted(agent.pk for agent in fleet)
