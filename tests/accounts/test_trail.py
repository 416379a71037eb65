"""The audit trail as it is read: exact times, filters, one entry for a bulk action; on the page and over REST."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry, User
from accounts.services import one_entry, record, record_all

pytestmark = pytest.mark.django_db
PAGE, URL = "/admin/accounts/auditentry/", "/api/v1/audit"


@pytest.fixture
def trail(alice, bob) -> list[AuditEntry]:
    """Four entries, a day apart, of two people and the portal."""
    rows = [
        record(by=alice, verb="agent.restart", target=bob, name="edge-1 (host-7)"),
        record(by=bob, verb="agent.edit", target=bob, name="edge-2"),
        record(by=alice, verb="configuration.create", target=alice, name="prod"),
        record(by=None, verb="agent.forget", target=bob, name="edge-3"),
    ]
    for day, row in enumerate(rows, 1):
        AuditEntry.objects.filter(pk=row.pk).update(at=datetime(2030, 1, day, 10, 20, 30, tzinfo=UTC))
    return rows


def names(page: str) -> list[str]:
    """Of the objects that the list shows."""
    return re.findall(r'<td class="field-object">([^<]*)</td>', page)


class TestThePage:
    def test_times_are_exact_and_complete(self, signed_in, trail, settings):
        page = signed_in.get(PAGE).content.decode()
        assert '<time datetime="2030-01-04T10:20:30+00:00">2030-01-04 10:20:30 UTC</time>' in page
        settings.TIME_ZONE = "Asia/Shanghai"
        assert "2030-01-04 18:20:30 CST" in signed_in.get(PAGE).content.decode()
        assert "2030-01-01 18:20:30 CST" in signed_in.get(f"{PAGE}{trail[0].pk}/change/").content.decode()

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"actor": "alice"}, ["prod", "edge-1 (host-7)"]),
            ({"actor": "system"}, ["edge-3"]),
            ({"actor": "ali"}, []),
            ({"verb": "agent.edit"}, ["edge-2"]),
            ({"verb": "agent."}, ["edge-3", "edge-2", "edge-1 (host-7)"]),
            ({"since": "2030-01-02"}, ["edge-3", "prod", "edge-2"]),
            ({"until": "2030-01-02"}, ["edge-2", "edge-1 (host-7)"]),
            ({"since": "2030-01-02T10:20:31", "until": "2030-01-03T10:20:31"}, ["prod"]),
            ({"actor": "alice", "verb": "agent.", "q": "host-7"}, ["edge-1 (host-7)"]),
        ],
    )
    def test_it_is_filtered(self, signed_in, trail, query, found):
        assert names(signed_in.get(PAGE, query).content.decode()) == found

    def test_what_is_no_moment_finds_nothing_and_says_so(self, signed_in, trail):
        page = signed_in.get(PAGE, {"since": "yesterday"}).content.decode()
        assert names(page) == []
        assert "Write a day or a time" in page

    def test_a_filter_keeps_the_others(self, signed_in, trail):
        page = signed_in.get(PAGE, {"actor": "alice", "q": "prod", "object": "accounts.user"}).content.decode()
        form = page.split('name="verb"')[0].rsplit("<form", 1)[1]
        assert 'name="actor" value="alice"' in form
        assert '<input type="hidden" name="q" value="prod">' in form
        assert '<input type="hidden" name="object" value="accounts.user">' in form

    def test_it_is_read_in_a_few_queries(self, signed_in, trail):
        query = {"actor": "alice", "verb": "agent.", "since": "2030-01-01", "object": "accounts.user"}
        with CaptureQueriesContext(connection) as queries:
            signed_in.get(PAGE, query)
        assert len(queries) <= 12

    def test_a_nul_is_no_value_of_a_filter(self, signed_in, trail):
        for name in ("actor", "verb", "since", "until", "q"):
            assert signed_in.get(PAGE, {name: "\0"}).status_code == 400, name


class TestRest:
    def test_a_page_of_entries(self, api_of, alice, trail):
        body = api_of(alice).get(URL, {"page_size": 1}).json()
        assert body["count"] == 4
        assert "page=2" in body["next"]
        assert body["results"] == [
            {
                "id": trail[3].pk, "at": "2030-01-04T10:20:30Z", "actor": "system", "verb": "agent.forget",
                "object_type": "accounts.user", "object_id": trail[3].object_id, "object_name": "edge-3", "data": {},
            }
        ]  # fmt: skip
        assert api_of(alice).get(f"{URL}/{trail[0].pk}").json()["object_name"] == "edge-1 (host-7)"

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"actor": "bob"}, ["edge-2"]),
            ({"verb": "agent."}, ["edge-3", "edge-2", "edge-1 (host-7)"]),
            ({"since": "2030-01-03", "until": "2030-01-03T23:00:00+02:00"}, ["prod"]),
            ({"object_type": "agents.agent"}, []),
        ],
    )
    def test_it_is_filtered(self, api_of, alice, trail, query, found):
        body = api_of(alice).get(URL, query).json()
        assert [entry["object_name"] for entry in body["results"]] == found

    @pytest.mark.parametrize("query", [{"since": "soon"}, {"actors": "bob"}, {"verb": "a\0"}, {"until": "2030-13-01"}])
    def test_what_is_not_understood_is_refused_by_name(self, api_of, alice, query):
        answer = api_of(alice).get(URL, query)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, list(query))

    def test_it_is_read_alone(self, api_of, alice, bob, trail):
        for method in ("post", "put", "patch", "delete"):
            assert getattr(api_of(alice), method)(f"{URL}/{trail[0].pk}").status_code == 405
        assert api_of(bob).get(URL).status_code == 403
        assert api_of(None).get(URL).status_code == 401


class TestBulkActions:
    @pytest.fixture
    def people(self, db) -> list[User]:
        """Objects to do something to."""
        return User.objects.bulk_create(User(username=f"person-{number:04}") for number in range(1_200))

    def act(self, people, by, **data):
        """One batch, in its transaction."""
        with transaction.atomic():
            record_all([(one, one.username, {"asked": "x", **data}) for one in people], by=by, verb="agent.restart")

    def test_many_batches_are_one_entry_that_lists_them(self, people, alice):
        with one_entry():
            for start in range(0, 1_200, 400):
                self.act(people[start : start + 400], alice)
        entry = AuditEntry.objects.get()
        assert (entry.object_name, entry.object_id, entry.data["count"]) == ("1200 users", "", 1_200)
        assert entry.data["asked"] == "x"
        assert len(entry.data["objects"]) == 500
        assert entry.data["objects"][0] == {"id": str(people[0].pk), "name": "person-0000"}

    def test_it_says_no_more_than_was_done(self, people, alice):
        with one_entry():
            self.act(people[:3], alice)
            with contextlib.suppress(RuntimeError), transaction.atomic():
                self.act(people[3:6], alice)
                raise RuntimeError
        assert AuditEntry.objects.get().data["count"] == 3

    def test_one_object_is_named_as_ever(self, people, alice):
        with one_entry():
            self.act(people[:1], alice)
        entry = AuditEntry.objects.get()
        assert (entry.object_name, entry.object_id, entry.data) == ("person-0000", str(people[0].pk), {"asked": "x"})

    def test_what_differs_stands_with_each(self, people, alice):
        with one_entry():
            self.act(people[:1], alice, uid="a")
            self.act(people[1:2], alice, uid="b")
        entry = AuditEntry.objects.get()
        assert [(one["name"], one["uid"]) for one in entry.data["objects"]] == [
            ("person-0000", "a"),
            ("person-0001", "b"),
        ]
        assert "uid" not in entry.data

    def test_two_actions_are_two_entries(self, people, alice):
        for _number in range(2):
            with one_entry():
                self.act(people[:2], alice)
        assert AuditEntry.objects.count() == 2

    def test_names_and_hosts_are_on_the_page(self, signed_in, report):
        agents = [report(f"host-{number}", **{"service.name": "edge"}) for number in range(5)]
        form = {
            "action": "restart",
            "_selected_action": [agent.pk for agent in agents],
            "confirmed": "1",
            "shown_count": "5",
        }
        signed_in.post("/admin/agents/agent/", form)
        entry = AuditEntry.objects.get(verb="agent.restart")
        assert entry.data["count"] == 5
        shown = names(signed_in.get(PAGE).content.decode())[0]
        assert shown.startswith("5: ")
        assert shown.count("host-") == 3
        whole = signed_in.get(f"{PAGE}{entry.pk}/change/").content.decode()
        assert all(f"host-{number}" in whole for number in range(5))

    def test_a_single_agent_is_named_with_its_host(self, api_of, alice, report):
        agent = report("host-7")
        api_of(alice).patch(f"/api/v1/agents/{agent.instance_uid}", {"name": "edge-1"})
        assert AuditEntry.objects.get().object_name == "edge-1 (host-7)"


def test_a_time_zone_that_is_ahead_has_its_own_days(signed_in, trail, settings):
    settings.TIME_ZONE = "Asia/Shanghai"
    AuditEntry.objects.filter(pk=trail[0].pk).update(at=datetime(2030, 1, 1, 23, tzinfo=UTC) - timedelta(hours=0))
    assert "edge-1 (host-7)" in names(
        signed_in.get(PAGE, {"since": "2030-01-02", "until": "2030-01-02"}).content.decode()
    )
