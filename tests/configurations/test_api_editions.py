"""Which state an edit is based on: ETags, revisions, PUT that makes a configuration, and rollbacks to what is not there."""

from __future__ import annotations

import importlib

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.utils import timezone

from accounts.models import AuditEntry
from agents.models import Agent
from configurations.models import Configuration
from configurations.services import publishing

pytestmark = pytest.mark.django_db
URL = "/api/v1/configurations"
ONE = f"{URL}/c"
BODY = {"raw_config": "a: 1\n", "selector": {"env": "prod"}}


@pytest.fixture
def client(api_of, alice):
    return api_of(alice)


@pytest.fixture
def made(client):
    answer = client.post(URL, {"name": "c", **BODY})
    assert (answer.status_code, answer["etag"]) == (201, '"1"')
    return answer.json()


class TestEditions:
    @pytest.mark.parametrize(
        "edit",
        [
            {"display_name": "Called"},
            {"description": "Described"},
            {"config_key": "x", "files": {"": {"body": "a: 1\n"}}},
        ],
    )
    def test_what_no_agent_sees_makes_no_revision_but_another_etag(self, client, made, report, edit):
        report(env="prod")
        before = Agent.objects.values().get()
        answer = client.patch(ONE, edit, HTTP_IF_MATCH='"1"')
        assert (answer.status_code, answer["etag"]) == (200, '"2"')
        assert (answer.json()["revision"], answer.json()["config_hash"]) == (1, made["config_hash"])
        assert answer.json()["updated_at"] > made["updated_at"]
        assert Agent.objects.values().get() == before
        assert client.get(ONE)["etag"] == '"2"'
        assert set(AuditEntry.objects.latest("id").data["changed"]) <= set(edit)

    def test_no_edit_of_a_description_is_lost(self, client, made):
        assert client.patch(ONE, {"description": "first"}, HTTP_IF_MATCH='"1"').status_code == 200
        late = client.patch(ONE, {"description": "second"}, HTTP_IF_MATCH='"1"')
        assert (late.status_code, late["content-type"]) == (412, "application/problem+json")
        assert client.delete(ONE, HTTP_IF_MATCH='"1"').status_code == 412
        assert client.get(ONE).json()["description"] == "first"

    def test_every_kind_of_edit_has_an_etag_of_its_own_and_none_for_nothing(self, client, made):
        edits = ({"priority": 1}, {"raw_config": "b: 1\n"}, {"description": "d"}, {"enabled": False})
        tags = ['"1"', *(client.patch(ONE, edit)["etag"] for edit in edits)]
        tags.append(client.post(f"{ONE}/rollback", {"revision": 1})["etag"])
        assert len(set(tags)) == len(tags)
        assert client.patch(ONE, {"description": "d"})["etag"] == tags[-1]

    def test_the_revision_in_the_body_means_the_revision(self, client, made):
        client.patch(ONE, {"description": "d"})
        assert client.patch(ONE, {"raw_config": "b: 1\n", "revision": 1}).json()["revision"] == 2
        stale = client.patch(ONE, {"raw_config": "c: 1\n", "revision": 1})
        assert (stale.status_code, list(stale.json()["errors"])) == (409, ["revision"])
        both = client.patch(ONE, {"raw_config": "c: 1\n", "revision": 1}, HTTP_IF_MATCH="*")
        assert both.status_code == 409

    def test_a_note_of_an_edit_without_revision_is_in_the_audit_trail(self, client, made):
        client.patch(ONE, {"description": "d", "note": "why"})
        assert AuditEntry.objects.latest("id").data["note"] == "why"

    def test_editions_begin_at_the_revision(self, client, made):
        client.patch(ONE, {"raw_config": "b: 1\n"})
        Configuration.objects.update(edition=1)
        migration = importlib.import_module("configurations.migrations.0003_count_editions")
        migration.begin_at_the_revision(apps, None)
        assert Configuration.objects.get().edition == 2


class TestPut:
    def test_a_missing_name_is_made(self, client):
        answer = client.put(ONE, BODY)
        assert (answer.status_code, answer["etag"], answer.json()["revision"]) == (201, '"1"', 1)
        assert answer.json()["warnings"]
        assert AuditEntry.objects.get().verb == "configuration.create"
        again = client.put(ONE, BODY)
        assert (again.status_code, again.json()["revision"]) == (200, 1)

    def test_as_apply_tools_do_it(self, client):
        for text in ("a: 1\n", "a: 1\n", "a: 2\n"):
            answer = client.put(ONE, {"name": "c", "raw_config": text, "match_all": True})
            assert answer.status_code in (200, 201)
        assert Configuration.objects.get().current.number == 2

    def test_if_none_match_makes_it_or_nothing(self, client):
        assert client.put(ONE, BODY, HTTP_IF_NONE_MATCH="*").status_code == 201
        there = client.put(ONE, {**BODY, "priority": 3}, HTTP_IF_NONE_MATCH="*")
        assert (there.status_code, there["content-type"]) == (412, "application/problem+json")
        assert client.put(ONE, {**BODY, "priority": 3}, HTTP_IF_NONE_MATCH='"1"').status_code == 412
        assert client.get(ONE).json()["priority"] == 0
        assert client.put(ONE, {**BODY, "priority": 3}, HTTP_IF_NONE_MATCH='"7"').status_code == 200

    @pytest.mark.parametrize("tag", ["*", '"1"', '"1", "2"'])
    def test_if_match_makes_nothing_new(self, client, tag):
        assert client.put(ONE, BODY, HTTP_IF_MATCH=tag).status_code == 412
        assert client.put(ONE, {**BODY, "revision": 3}).status_code == 409
        assert not Configuration.objects.exists()

    def test_what_cannot_be_made_says_why(self, client):
        for name in ("no%20blanks", "-x"):
            answer = client.put(f"{URL}/{name}", BODY)
            assert (answer.status_code, list(answer.json()["errors"])) == (400, ["name"]), answer.content
        assert client.put(ONE, {**BODY, "name": "other"}).status_code == 400
        assert client.put(ONE, {"raw_config": "a: ["}).status_code == 400
        assert client.put(f"{URL}/preview", BODY).status_code == 405
        assert client.patch(ONE, BODY).status_code == 404
        assert not Configuration.objects.exists()

    def test_making_needs_the_right_to_add(self, api_of, bob, charlie):
        charlie.user_permissions.add(
            *Permission.objects.filter(codename__in=["change_configuration", "view_configuration"])
        )
        assert api_of(charlie).put(ONE, BODY).status_code == 403
        assert api_of(bob).put(ONE, BODY).status_code == 403
        assert not Configuration.objects.exists()

    def test_somebody_who_makes_it_in_the_same_moment_loses_nothing(self, client, monkeypatch):
        real, raced = publishing.create_configuration, []

        def create(name, draft, **options):
            if not raced:
                raced.append(real(name, publishing.Draft(files=draft.files), by=None, at=timezone.now()))
            return real(name, draft, **options)

        monkeypatch.setattr(publishing, "create_configuration", create)
        answer = client.put(ONE, BODY)
        assert (answer.status_code, answer.json()["revision"]) == (200, 2)


class TestNames:
    def test_a_rollback_to_what_is_not_there_names_it(self, client, made):
        answer = client.post(f"{ONE}/rollback", {"revision": 99})
        assert answer.status_code == 404
        assert "revision 99" in answer.json()["detail"]

    def test_a_name_that_no_column_holds_is_not_there(self, client):
        for path in ("", "/revisions", "/agents", "/revisions/1"):
            assert client.get(f"{URL}/a%00b{path}").status_code == 404
