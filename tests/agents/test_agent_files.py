"""All agents of a query as one file: what it says, that no cell is a formula and no secret leaves, and that it is streamed."""

from __future__ import annotations

import csv
import io
import json
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry
from agents import agent_files
from agents.agent_columns import EXPORTED, columns_named, known_columns
from agents.agent_files import CSV, export_pieces, guarded
from agents.models import Agent
from tests.agents.admin_pages import LIST

pytestmark = pytest.mark.django_db

URL = "/api/v1/agents:export"


@pytest.fixture
def fleet(report):
    return [report("a", env="prod"), report("b", env="dev"), report("c", env="prod", healthy=False)]


def content(answer):
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content).decode()


def rows(answer):
    text = content(answer)
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_a_spreadsheet_of_what_a_query_finds(api_of, bob, fleet):
    answer = api_of(bob).get(URL, {"q": "env=prod", "columns": "hostname,label:env,status,healthy,labels"})
    assert answer["content-type"] == "text/csv; charset=utf-8"
    assert answer["content-disposition"] == 'attachment; filename="agents.csv"'
    found = rows(answer)
    assert [(row["hostname"], row["label:env"], row["status"], row["healthy"]) for row in found] == [
        ("a", "prod", "connected", "true"),
        ("c", "prod", "error", "false"),
    ]
    assert json.loads(found[0]["labels"])["env"] == "prod"
    assert tuple(rows(api_of(bob).get(URL))[0]) == EXPORTED


def test_lines_of_json(api_of, bob, fleet):
    answer = api_of(bob).get(
        URL, {"format": "jsonl", "q": "host:b", "columns": "hostname,healthy,in_sync,labels,last_seen_at"}
    )
    assert answer["content-type"] == "application/jsonl; charset=utf-8"
    (line,) = content(answer).splitlines()
    found = json.loads(line)
    assert (found["hostname"], found["healthy"], found["in_sync"], found["labels"]["env"]) == ("b", True, None, "dev")
    assert found["last_seen_at"].startswith("20")


def test_filters_of_the_list_count_too(api_of, bob, fleet):
    assert [row["hostname"] for row in rows(api_of(bob).get(URL, {"status": "error"}))] == ["c"]


def test_it_is_audited(api_of, bob, fleet):
    content(api_of(bob).get(URL, {"q": "env=prod", "columns": "name"}))
    entry = AuditEntry.objects.get(verb="agent.export")
    assert (entry.actor, entry.data) == (bob, {"query": "q=env=prod", "format": "csv", "columns": ["name"]})


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"q": "statsu:x"}, "q"),
        ({"columns": "nope"}, "columns"),
        ({"columns": ",".join(f"label:{number}" for number in range(51))}, "columns"),
        ({"nonsense": "1"}, "nonsense"),
        ({"ordering": "name"}, "ordering"),
        ({"page": "1"}, "page"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(api_of, bob, query, field):
    answer = api_of(bob).get(URL, query)
    assert (answer.status_code, answer["content-type"]) == (400, "application/problem+json")
    assert list(answer.json()["errors"]) == [field]
    assert not AuditEntry.objects.filter(verb="agent.export").exists()
    assert api_of(bob).get(URL, {"format": "xlsx"}).status_code == 404


def test_rights(api_of, charlie, fleet):
    assert api_of(charlie).get(URL).status_code == 403
    assert api_of(None).get(URL).status_code == 401


@pytest.mark.parametrize("sign", list("=+-@＝＋－＠\t\r\n"))
def test_no_cell_is_a_formula(api_of, bob, report, sign):
    agent = report("a", env="prod")
    text = f"{sign}cmd|' /C calc'!A0"
    Agent.objects.filter(pk=agent.pk).update(name=text, labels={text: text, "env": text})
    (row,) = rows(api_of(bob).get(URL, {"columns": f"name,label:env,label:{text.strip()}"}))
    assert row["name"] == row["label:env"] == f"'{text}"
    assert all(name.startswith(("name", "label:")) for name in row)
    assert guarded(text) == f"'{text}"
    assert guarded("a=b") == "a=b"
    # Programs get the text as it is.
    (line,) = content(api_of(bob).get(URL, {"format": "jsonl", "columns": "name"})).splitlines()
    assert json.loads(line) == {"name": text}


def test_no_secret_leaves(api_of, alice, report):
    agent = report("a", password="hunter2-secret-value")
    Agent.objects.filter(pk=agent.pk).update(last_error="dial failed: password=hunter2-secret-value", healthy=False)
    for kind in ("csv", "jsonl"):
        columns = ",".join([*(column.name for column in known_columns()), "label:password"])
        text = content(api_of(alice).get(URL, {"format": kind, "columns": columns}))
        assert "hunter2-secret-value" not in text
        assert "[redacted]" in text


def test_it_is_read_slice_by_slice(report, monkeypatch):
    monkeypatch.setattr(agent_files, "SLICE", 2)
    for number in range(5):
        report(f"h{number}")
    pieces = export_pieces(Agent.objects.all(), columns_named(["hostname"]), CSV)
    assert "hostname" in next(pieces).decode()
    with CaptureQueriesContext(connection) as queries:
        assert next(pieces).decode().split() == ["h0", "h1"]
    assert len(queries) == 1
    # Who goes meanwhile moves nobody else.
    Agent.objects.filter(hostname__in=["h0", "h2"]).delete()
    assert "".join(piece.decode() for piece in pieces).split() == ["h3", "h4"]


def test_the_list_has_buttons_for_what_it_shows(client, bob, fleet):
    client.force_login(bob)
    page = client.get(LIST, {"q": "env=prod", "healthy": "false", "columns": "hostname,label:env"})
    exports = dict(page.context["cl"].views["exports"])
    found = rows(client.get(f"{LIST}export/?{exports['csv']}"))
    assert found == [{"hostname": "c", "label:env": "prod"}]
    assert [
        json.loads(line)["hostname"] for line in content(client.get(f"{LIST}export/?{exports['jsonl']}")).splitlines()
    ] == ["c"]
    assert client.get(f"{LIST}export/", {"format": "xlsx"}).status_code == 400
    assert client.get(f"{LIST}export/", {"columns": "nope"}).status_code == 400
    # What was typed stands in the list again, which says what is wrong with it.
    typed = {"q": "statsu:x", "columns": "hostname,label:env"}
    for answer in (client.get(f"{LIST}export/", typed), client.post(f"{LIST}export/?{urlencode(typed)}")):
        assert answer["location"] == f"{LIST}?{urlencode(typed)}"
        assert "There is no word statsu" in client.get(answer["location"]).context["cl"].search.problem
    assert client.get(LIST, {"reason": "broken"}).context["cl"].views["exports"] is None
    assert AuditEntry.objects.filter(verb="agent.export").count() == 2


def test_who_may_not_see_agents_exports_none(client, charlie):
    client.force_login(charlie)
    assert client.get(f"{LIST}export/").status_code == 403
