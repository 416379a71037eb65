"""Views that people keep of the list: on pages and over REST, their own, shared, and which opens first."""

from __future__ import annotations

import pytest

from accounts.models import AuditEntry, User
from agents.models import DefaultView, SavedView
from agents.queries import InvalidQuery
from agents.query_conditions import agents_matching
from agents.services import saved_views as views
from agents.services.saved_views import InvalidView, NotYourView, ViewContent
from tests.agents.admin_pages import LIST

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counted_anew")]

URL = "/api/v1/agent-views"
ILL = ViewContent(
    "Ill", query="health:bad", columns=("name", "label:env", "version"), ordering="-version", group_by="env"
)


@pytest.fixture
def fleet(report):
    return [report("a", env="prod"), report("b", env="dev"), report("c", env="prod", healthy=False)]


@pytest.fixture
def carol(bob):
    """Another viewer."""
    user = User.objects.create_user("carol", password="carol-password", is_staff=True)
    user.groups.set(bob.groups.all())
    return user


class TestService:
    def test_what_is_kept_is_what_was_said(self, bob):
        view = views.create_view(ILL, by=bob)
        assert views.view_content(SavedView.objects.get(pk=view.pk)) == ILL
        entry = AuditEntry.objects.get(verb="view.create")
        assert (entry.actor, entry.object_name, entry.data["query"]) == (bob, "Ill", "health:bad")

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"name": " "}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"query": "statsu:x"}, "query"),
            ({"query": "x" * 2_001}, "query"),
            ({"columns": ("nope",)}, "columns"),
            ({"columns": ("label:",)}, "columns"),
            # In addresses commas are between columns, so that no list could show it.
            ({"columns": ("label:a,b",)}, "columns"),
            ({"columns": tuple(f"label:{n}" for n in range(51))}, "columns"),
            ({"columns": ("name",), "ordering": "version"}, "ordering"),
            ({"ordering": "label:env"}, "ordering"),
            ({"group_by": "k" * 256}, "group_by"),
        ],
    )
    def test_what_no_view_can_be_is_refused_by_field(self, bob, change, field):
        with pytest.raises(InvalidView) as caught:
            views.create_view(ViewContent(**{"name": "v", **change}), by=bob)
        assert list(caught.value.errors) == [field]
        assert not SavedView.objects.exists()
        assert not AuditEntry.objects.filter(verb="view.create").exists()

    def test_a_name_is_free_once_for_each_person_and_their_number_is_bounded(self, bob, alice, monkeypatch):
        views.create_view(ILL, by=bob)
        views.create_view(ILL, by=alice)
        with pytest.raises(InvalidView, match="not valid"):
            views.create_view(ILL, by=bob)
        monkeypatch.setattr(views, "MOST_VIEWS", 1)
        with pytest.raises(InvalidView):
            views.create_view(ViewContent("second"), by=bob)

    def test_sharing_needs_a_right_and_only_the_owner_edits(self, bob, alice):
        with pytest.raises(NotYourView):
            views.create_view(ViewContent("v", shared=True), by=bob)
        view = views.create_view(ViewContent("v", shared=True), by=alice)
        for act in (lambda: views.edit_view(view.pk, ILL, by=bob), lambda: views.delete_view(view.pk, by=bob)):
            with pytest.raises(NotYourView):
                act()
        views.open_first(view.pk, by=bob)
        assert views.first_view_of(bob) == view
        # Not shared any more, it opens for nobody else, and is there for nobody else.
        views.edit_view(view.pk, ViewContent("v"), by=alice)
        assert views.first_view_of(bob) is None
        assert not DefaultView.objects.exists()
        with pytest.raises(SavedView.DoesNotExist):
            views.open_first(view.pk, by=bob)

    def test_who_may_not_see_agents_has_no_views(self, charlie, alice):
        views.create_view(ViewContent("v", shared=True), by=alice)
        assert not SavedView.objects.visible_to(charlie).exists()
        assert views.first_view_of(charlie) is None


class TestRest:
    def test_views_are_made_read_changed_and_deleted(self, api_of, bob, carol):
        api = api_of(bob)
        body = {"name": "Ill", "query": "health:bad", "columns": ["name", "label:env", "cpu"], "opens_first": True}
        assert "cpu" in str(api.post(URL, body, format="json").json()["errors"]["columns"])
        body["columns"] = ["name", "label:env"]
        made = api.post(URL, body, format="json")
        assert made.status_code == 201, made.content
        assert made.json() == {
            "id": made.json()["id"], "owner": "bob", "shared": False, "group_by": "", "ordering": "", "edition": 1, **body,
        }  # fmt: skip
        one = f"{URL}/{made.json()['id']}"
        assert api.get(URL).json()["results"] == [api.get(one).json()]
        changed = api.patch(one, {"query": "health:good", "edition": 1}, format="json")
        assert (changed.json()["query"], changed.json()["edition"], changed.json()["opens_first"]) == (
            "health:good",
            2,
            True,
        )
        assert api.patch(one, {"query": "", "edition": 1}, format="json").status_code == 409
        assert api.put(one, {"name": "All", "opens_first": False}, format="json").json()["columns"] == []
        assert not DefaultView.objects.exists()
        assert api_of(carol).get(one).status_code == 404
        assert api_of(carol).delete(one).status_code == 404
        assert api.delete(one).status_code == 204
        assert api.get(one).status_code == 404

    def test_an_etag_keeps_two_people_from_each_other_s_edits(self, api_of, bob):
        api = api_of(bob)
        made = api.post(URL, {"name": "Ill"}, format="json")
        one = f"{URL}/{made.json()['id']}"
        assert made["ETag"] == api.get(one)["ETag"] == '"1"'
        edited = api.patch(one, {"query": "health:bad"}, format="json", headers={"If-Match": '"1"'})
        assert (edited.status_code, edited["ETag"]) == (200, '"2"')
        for method, body in (
            (api.patch, {"query": ""}),
            (api.put, {"name": "All"}),
            (api.patch, {"opens_first": True}),
        ):
            for tag in ('"1"', '"1", "7"', "nonsense", '"x"'):
                assert method(one, body, format="json", headers={"If-Match": tag}).status_code == 412, (body, tag)
        assert api.delete(one, headers={"If-Match": '"1"'}).status_code == 412
        assert api.get(one).json()["query"] == "health:bad"
        assert not DefaultView.objects.exists()
        # Both ways of saying it have to be true.
        both = {"query": "health:good", "edition": 1}
        assert api.patch(one, both, format="json", headers={"If-Match": '"2"'}).status_code == 412
        assert api.put(one, {"name": "All"}, format="json", headers={"If-Match": '"1", W/"2"'})["ETag"] == '"3"'
        assert api.patch(one, {"name": "Any"}, format="json", headers={"If-Match": "*"}).status_code == 200
        assert api.delete(one, headers={"If-Match": '"4"'}).status_code == 204

    def test_shared_ones_are_seen_and_may_open_first(self, api_of, alice, bob):
        made = api_of(alice).post(URL, {"name": "Ours", "shared": True}, format="json").json()
        one = f"{URL}/{made['id']}"
        assert api_of(bob).get(one).json()["owner"] == "alice"
        assert api_of(bob).patch(one, {"opens_first": True}, format="json").json()["opens_first"] is True
        assert api_of(alice).get(one).json()["opens_first"] is False
        refused = api_of(bob).patch(one, {"name": "Mine"}, format="json")
        assert (refused.status_code, refused.json()["code"]) == (403, "not-your-view")
        assert api_of(bob).delete(one).status_code == 403
        assert api_of(bob).post(URL, {"name": "x", "shared": True}, format="json").status_code == 403

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"name": 1}, "name"),
            ({}, "name"),
            ({"name": "v", "query": "statsu:x"}, "query"),
            ({"name": "v", "columns": "name"}, "columns"),
            ({"name": "v", "nonsense": 1}, "nonsense"),
            ({"name": "v", "shared": "yes"}, "shared"),
            ({"name": "v\x00"}, "name"),
        ],
    )
    def test_mistakes_are_told_by_field(self, api_of, bob, body, field):
        answer = api_of(bob).post(URL, body, format="json")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])

    def test_nobody_without_the_right(self, api_of, charlie):
        assert api_of(charlie).get(URL).status_code == 403
        assert api_of(charlie).post(URL, {"name": "v"}, format="json").status_code == 403
        assert api_of(None).get(URL).status_code == 401


class TestPages:
    def test_the_list_is_saved_as_a_view_and_opened_again(self, client, bob, fleet):
        client.force_login(bob)
        add = client.get(f"{LIST}views/add/", {"query": "env=prod", "columns": "name,label:env"})
        assert "env=prod" in add.content.decode()
        form = {
            "name": "Prod",
            "query": "env=prod",
            "columns": "name, label:env\nversion",
            "order": "-version",
            "first": "on",
        }
        saved = client.post(f"{LIST}views/add/", form)
        view = SavedView.objects.get(owner=bob)
        assert view.columns == ["name", "label:env", "version"]
        assert saved.status_code == 302, saved.content
        page = client.get(saved["location"])
        assert [agent.hostname for agent in page.context["cl"].result_list] == ["c", "a"]
        assert page.context["cl"].list_display[-2].short_description == "env"
        body = page.content.decode()
        assert 'aria-current="page">Prod</a>' in body
        assert "Edit the view" in body
        # It opens first; the whole list is asked for by name.
        first = client.get(LIST)
        assert (first.status_code, first["location"]) == (302, saved["location"])
        assert 'href="?q=">Clear the search' in client.get(LIST, {"q": "env=prod"}).content.decode()
        everybody = client.get(LIST, {"q": ""})
        assert everybody.context["cl"].result_count == 3
        assert client.get(LIST, {"status": "connected"}).status_code == 200

    def test_a_view_is_edited_and_deleted_by_its_owner_alone(self, client, alice, bob, carol):
        view = views.create_view(ViewContent("Ours", shared=True), by=alice)
        mine = views.create_view(ViewContent("Mine"), by=bob)
        client.force_login(carol)
        for page in ("", "delete/"):
            assert client.get(f"{LIST}views/{view.pk}/{page}").status_code == 403
            assert client.post(f"{LIST}views/{view.pk}/{page}", {"name": "x"}).status_code == 403
            assert client.get(f"{LIST}views/{mine.pk}/{page}").status_code == 404
        client.force_login(bob)
        assert client.post(f"{LIST}views/{mine.pk}/", {"name": "Yours", "edition": "1"}).status_code == 302
        stale = client.post(f"{LIST}views/{mine.pk}/", {"name": "Theirs", "edition": "1"})
        assert "edited meanwhile" in stale.content.decode()
        assert "Yours" in client.get(f"{LIST}views/{mine.pk}/delete/").content.decode()
        assert client.post(f"{LIST}views/{mine.pk}/delete/").status_code == 302
        assert [each.name for each in SavedView.objects.all()] == ["Ours"]

    def test_the_page_of_views_says_which_opens_first(self, client, alice, bob):
        view = views.create_view(ViewContent("Ours", shared=True, query='host:"<b>"'), by=alice)
        client.force_login(bob)
        body = client.get(f"{LIST}views/").content.decode()
        assert "Ours" in body
        assert "host:&quot;&lt;b&gt;&quot;" in body
        assert f"views/{view.pk}/delete/" not in body
        client.post(f"{LIST}views/", {"first": str(view.pk)})
        assert views.first_view_of(bob) == view
        client.post(f"{LIST}views/", {"first": ""})
        assert views.first_view_of(bob) is None
        assert client.post(f"{LIST}views/", {"first": "99999"}).status_code == 404

    def test_mistakes_stand_at_their_fields(self, client, bob):
        client.force_login(bob)
        answer = client.post(
            f"{LIST}views/add/", {"name": "v", "query": "statsu:x", "order": "nope", "columns": "what"}
        )
        errors = answer.context["form"].errors
        assert set(errors) == {"query", "columns"}
        assert "Did you mean status:x?" in str(errors["query"])

    def test_columns_and_groups_of_the_address(self, signed_in, fleet):
        page = signed_in.get(LIST, {"columns": "hostname,label:env,last_error,first_seen_at", "order": "-hostname"})
        assert [agent.hostname for agent in page.context["cl"].result_list] == ["c", "b", "a"]
        assert "prod" in page.content.decode()
        for query in (
            {"columns": "nope"},
            {"order": "nope"},
            {"group": "k" * 300},
            {"columns": "name", "order": "version"},
        ):
            assert signed_in.get(LIST, query).status_code == 400, query
        grouped = signed_in.get(LIST, {"group": "env", "q": "os:linux"})
        rows = grouped.context["cl"].groups["rows"]
        assert [(row["value"], row["number"]) for row in rows] == [("prod", 2), ("dev", 1)]
        for row in rows:
            assert signed_in.get(LIST + row["url"]).context["cl"].result_count == row["number"]

    def test_a_column_hides_secrets(self, signed_in, report):
        report("a", password="hunter2-secret-value", healthy=False)
        body = signed_in.get(LIST, {"columns": "name,label:password,labels", "group": "password"}).content.decode()
        assert "hunter2-secret-value" not in body
        assert "1 agent with another value" in body


def test_agents_without_the_label_are_a_group(signed_in, report):
    report("a", env="prod")
    report("b")
    rows = signed_in.get(LIST, {"group": "env"}).context["cl"].groups["rows"]
    assert [(row["value"], row["number"]) for row in rows] == [(None, 1), ("prod", 1)]
    for row in rows:
        assert signed_in.get(LIST + row["url"]).context["cl"].result_count == 1


def test_programs_group_too(api_of, bob, charlie, report):
    report("a", env="prod")
    report("b", env="dev", healthy=False)
    url = "/api/v1/agents:groups"
    found = api_of(bob).get(url, {"label": "env", "q": "health:good"})
    assert found.json() == {
        "groups": [{"value": "prod", "agents": 1, "query": "env=prod"}], "others": 0, "is_partial": False,
    }  # fmt: skip
    for query, field in (({}, "label"), ({"label": "k" * 256}, "label"), ({"label": "env", "q": "statsu:x"}, "q")):
        answer = api_of(bob).get(url, query)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert api_of(charlie).get(url, {"label": "env"}).status_code == 403


def test_a_stored_view_with_words_that_are_gone_is_an_error_and_not_everybody(bob):
    with pytest.raises(InvalidQuery):
        agents_matching("gone:x", bob)
