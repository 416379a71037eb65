"""Rows that an open page of the list reads again alone: as the list draws them, at the cost of no count."""

from __future__ import annotations

import html
import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Agent
from tests.agents.admin_pages import LIST

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counted_anew")]
ROWS = f"{LIST}rows/"


@pytest.fixture
def fleet(report: Any) -> list[Agent]:
    return [report(f"a{number}", env="prod", team=str(number % 2)) for number in range(5)]


def rows_of(body: str) -> dict[str, str]:
    """The rows by what they listen to, without what only indents them."""
    rows = re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    found = {re.findall(r'data-topic="agent:([^"]+)"', row)[0]: row for row in rows if "data-topic" in row}
    return {uid: re.sub(r"\s+", "", row) for uid, row in found.items()}


def address(body: str) -> str:
    """Where the page says that its rows are."""
    return html.unescape(re.findall(r'data-rows="([^"]+)"', body)[0])


@pytest.mark.parametrize(
    "query",
    ["q=env%3Dprod", "q=team%3D1&columns=name,label:team,status,service_name", "status=connected&p=1", "o=-1&q="],
)
def test_they_are_those_of_the_list(signed_in: Any, fleet: list[Agent], query: str) -> None:
    page = signed_in.get(f"{LIST}?{query}").content.decode()
    listed = rows_of(page)
    assert listed
    for wanted in ([next(iter(listed))], list(listed)):
        answer = signed_in.get(address(page) + "".join(f"&row={uid}" for uid in wanted))
        assert rows_of(answer.content.decode()) == {uid: listed[uid] for uid in wanted}


def test_a_service_that_all_rows_have_is_left_out_of_each(signed_in: Any, fleet: list[Agent]) -> None:
    Agent.objects.filter(pk=fleet[0].pk).update(service_name="another")
    page = signed_in.get(LIST, {"q": ""}).content.decode()
    uid = str(fleet[1].instance_uid)
    assert "alike" not in address(page)
    answer = signed_in.get(f"{address(page)}&row={uid}").content.decode()
    assert rows_of(answer)[uid] == rows_of(page)[uid]
    assert fleet[1].service_name in answer


def test_who_is_gone_has_no_row(signed_in: Any, fleet: list[Agent]) -> None:
    answer = signed_in.get(ROWS, {"row": [str(uuid4()), str(fleet[0].instance_uid)]})
    assert list(rows_of(answer.content.decode())) == [str(fleet[0].instance_uid)]


def test_nothing_is_counted_however_many(signed_in: Any, fleet: list[Agent]) -> None:
    uids = [str(agent.instance_uid) for agent in fleet]
    costs = []
    for wanted in (uids[:1], uids):
        signed_in.get(ROWS, {"row": wanted})
        with CaptureQueriesContext(connection) as queries:
            signed_in.get(ROWS, {"row": wanted})
        assert not [query["sql"] for query in queries if "COUNT(" in query["sql"]]
        costs.append(len(queries))
    assert costs[0] == costs[1] <= 7


@pytest.mark.parametrize(
    "query",
    [
        "",
        "row=",
        "row=x",
        "row=1&row=",
        "&".join(["row=0198f3c2-0000-7000-8000-000000000000"] * 101),
        "columns=strange",
    ],
)
def test_strange_addresses(signed_in: Any, fleet: list[Agent], query: str) -> None:
    assert signed_in.get(f"{ROWS}?{query}").status_code == 400


def test_other_parameters_are_refused(signed_in: Any, fleet: list[Agent]) -> None:
    uid = str(fleet[0].instance_uid)
    assert signed_in.get(ROWS, {"row": uid, "bogus": "1"}).status_code == 400
    assert signed_in.get(LIST, {"row": uid}).status_code == 400, "the list itself has no such parameter"


def test_whoever_may_not_see_agents_sees_no_row(client: Any, django_user_model: Any, fleet: list[Agent]) -> None:
    user = django_user_model.objects.create_user("bob", password="x", is_staff=True)
    client.force_login(user)
    uid = str(fleet[0].instance_uid)
    assert client.get(ROWS, {"row": uid}).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_agent"))
    client.force_login(django_user_model.objects.get(pk=user.pk))
    assert uid in client.get(ROWS, {"row": uid}).content.decode()
    assert client.post(ROWS, {"row": uid}).status_code == 405
