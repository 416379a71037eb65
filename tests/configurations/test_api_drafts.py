"""The REST endpoints to drafts and to deleted configurations."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from accounts.models import AuditEntry
from configurations.models import Configuration, ConfigurationDraft, DeletedConfiguration
from configurations.services import publishing
from tests.configurations.drafts import WITH_SECRET, publish_again, published

pytestmark = pytest.mark.django_db
URL = "/api/v1/drafts"
OF_PROD = "/api/v1/configurations/prod/drafts"
DELETED = "/api/v1/deleted-configurations"


def made(api, body=None, url=OF_PROD):
    answer = api.post(url, body or {"raw_config": "a: 2\n"}, format="json")
    assert answer.status_code == 201, answer.json()
    return answer


class TestLife:
    def test_saved_looked_at_edited_and_published(self, api_of, alice):
        published(display_name="Production", priority=4)
        api = api_of(alice)
        answer = made(api, {"raw_config": "a: 2\n", "note": "try"})
        draft = answer.json()
        assert answer["ETag"] == '"1"'
        assert (draft["name"], draft["display_name"], draft["priority"]) == ("prod", "Production", 4)
        assert (draft["author"], draft["note"], draft["base_revision"], draft["outdated"]) == ("alice", "try", 1, False)
        assert draft["selector"] == {"matchLabels": {"env": "prod"}} or draft["selector"] == {"env": "prod"}
        for url in (URL, OF_PROD):
            listed = api.get(url).json()["results"]
            assert [item["id"] for item in listed] == [draft["id"]]
            assert "files" not in listed[0]
            assert api.get(f"{url}/{draft['id']}").json() == draft
        one = f"{URL}/{draft['id']}"
        changed = api.patch(one, {"raw_config": "a: 3\n"}, format="json", headers={"If-Match": '"1"'})
        assert (changed.status_code, changed["ETag"]) == (200, '"2"')
        assert (changed.json()["raw_config"], changed.json()["priority"]) == ("a: 3\n", 4)
        replaced = api.put(
            one, {"raw_config": "a: 4\n", "edition": 2, "selector": {"env": "prod"}}, format="json"
        ).json()
        assert (replaced["raw_config"], replaced["priority"], replaced["note"]) == ("a: 4\n", 0, "try")
        done = api.post(f"{one}/publish", {}, format="json", headers={"If-Match": '"3"'})
        assert done.status_code == 200, done.json()
        assert (done.json()["revision"], done.json()["raw_config"], done["ETag"]) == (2, "a: 4\n", '"2"')
        assert Configuration.objects.get().current.note == "try"
        assert api.get(one).status_code == 404
        assert api.get(one).json()["code"] == "draft-gone"

    def test_what_was_read_can_be_sent_back(self, api_of, alice):
        published()
        draft = made(api_of(alice)).json()
        answer = api_of(alice).put(f"{OF_PROD}/{draft['id']}", draft, format="json")
        assert answer.status_code == 200, answer.json()
        assert answer.json()["raw_config"] == "a: 2\n"

    def test_of_a_new_configuration(self, api_of, alice):
        api = api_of(alice)
        body = {"name": "fresh", "raw_config": "a: [1\n", "selector": {"env": "prod"}}
        draft = made(api, body, URL).json()
        assert (draft["blocked"], draft["base_revision"], draft["present_revision"]) == (True, None, None)
        assert draft["findings"][0]["line"]
        one = f"{URL}/{draft['id']}"
        refused = api.post(f"{one}/publish", {"edition": 1}, format="json")
        assert refused.status_code == 400
        assert refused.json()["findings"]
        api.patch(one, {"raw_config": "a: 1\n", "edition": 1, "name": "newer"}, format="json")
        done = api.post(f"{one}/publish", {"edition": 2, "note": "go"}, format="json")
        assert (done.status_code, done.json()["name"]) == (201, "newer")
        assert Configuration.objects.get().current.note == "go"
        taken = api.post(URL, {**body, "name": "newer"}, format="json")
        assert (taken.status_code, taken.json()["code"]) == (409, "name-taken")

    def test_discarded(self, api_of, alice):
        published()
        draft = made(api_of(alice)).json()
        one = f"{OF_PROD}/{draft['id']}"
        assert api_of(alice).delete(one, headers={"If-Match": '"7"'}).status_code == 412
        assert api_of(alice).delete(one).status_code == 204
        assert AuditEntry.objects.latest("id").verb == "draft.discard"
        assert api_of(alice).delete(one).status_code == 404

    def test_plain_edits_still_publish(self, api_of, alice):
        published()
        made(api_of(alice))
        answer = api_of(alice).patch("/api/v1/configurations/prod", {"raw_config": "a: 5\n"}, format="json")
        assert (answer.status_code, answer.json()["revision"]) == (200, 2)


class TestTwoPeople:
    def test_who_does_not_say_what_they_saw_is_asked(self, api_of, alice):
        published()
        one = f"{URL}/{made(api_of(alice)).json()['id']}"
        for answer in (
            api_of(alice).patch(one, {"note": "x"}, format="json"),
            api_of(alice).put(one, {"raw_config": "a: 1\n"}, format="json"),
            api_of(alice).post(f"{one}/publish", {}, format="json"),
            api_of(alice).post(f"{one}/rebase", {}, format="json"),
        ):
            assert answer.status_code == 400
            assert list(answer.json()["errors"]) == ["edition"]
        assert api_of(alice).patch(one, {"note": "x"}, format="json", headers={"If-Match": "*"}).status_code == 200

    @pytest.mark.parametrize(("how", "status"), [({"headers": {"If-Match": '"1"'}}, 412), ({"edition": 1}, 409)])
    def test_the_second_is_told_who_was_first(self, api_of, alice, how, status):
        published()
        api = api_of(alice)
        one = f"{URL}/{made(api).json()['id']}"
        api.patch(one, {"note": "first", "edition": 1}, format="json")
        edition = {"edition": 1} if "edition" in how else {}
        for method, url, body in (
            (api.patch, one, {"note": "second"}),
            (api.post, f"{one}/publish", {}),
            (api.post, f"{one}/rebase", {}),
        ):
            answer = method(url, {**body, **edition}, format="json", headers=how.get("headers", {}))
            assert (answer.status_code, answer.json()["code"]) == (status, "stale-draft")
            assert "alice saved this draft at" in answer.json()["detail"]
        assert ConfigurationDraft.objects.get().note == "first"

    def test_a_header_and_a_body_must_agree(self, api_of, alice):
        published()
        one = f"{URL}/{made(api_of(alice)).json()['id']}"
        answer = api_of(alice).patch(one, {"edition": 1}, format="json", headers={"If-Match": '"2"'})
        assert answer.status_code == 412

    def test_a_draft_of_an_older_state_needs_a_new_base(self, api_of, alice):
        published()
        api = api_of(alice)
        draft = made(api).json()
        publish_again("prod", "a: 9\n")
        one = f"{URL}/{draft['id']}"
        assert [api.get(one).json()[name] for name in ("base_revision", "present_revision", "outdated")] == [1, 2, True]
        refused = api.post(f"{one}/publish", {}, format="json", headers={"If-Match": '"1"'})
        assert (refused.status_code, refused.json()["code"]) == (409, "draft-outdated")
        assert api.post(f"{one}/rebase", {"edition": 1, "revision": 1}, format="json").status_code == 409
        based = api.post(f"{one}/rebase", {"edition": 1, "revision": 2}, format="json")
        assert (based.status_code, based.json()["outdated"], based.json()["raw_config"]) == (200, False, "a: 2\n")
        assert api.post(f"{one}/publish", {"edition": 2}, format="json").json()["revision"] == 3

    def test_it_may_say_what_it_was_written_over(self, api_of, alice):
        published()
        publish_again("prod", "a: 9\n")
        api = api_of(alice)
        assert made(api, {"raw_config": "a: 2\n", "base_revision": 1}).json()["outdated"] is True
        assert made(api, {"raw_config": "a: 2\n", "base_revision": 2}).json()["outdated"] is False
        assert api.post(OF_PROD, {"raw_config": "a: 2\n", "base_revision": 3}, format="json").status_code == 409


class TestPeople:
    def test_a_viewer_looks_and_saves_nothing(self, api_of, alice, bob, charlie):
        published()
        one = f"{URL}/{made(api_of(alice)).json()['id']}"
        assert api_of(bob).get(one).status_code == 200
        assert api_of(bob).get(OF_PROD).status_code == 200
        assert api_of(charlie).get(one).status_code == 403
        assert api_of(None).get(URL).status_code == 401
        for answer in (
            api_of(bob).post(OF_PROD, {}, format="json"),
            api_of(bob).post(URL, {"name": "x"}, format="json"),
            api_of(bob).patch(one, {"edition": 1}, format="json"),
            api_of(bob).delete(one),
            api_of(bob).post(f"{one}/publish", {"edition": 1}, format="json"),
            api_of(bob).post(f"{one}/rebase", {"edition": 1}, format="json"),
        ):
            assert answer.status_code == 403

    def test_what_is_new_needs_the_right_to_add(self, api_of, alice, bob):
        bob.user_permissions.add(Permission.objects.get(codename="change_configuration"))
        bob = type(bob).objects.get(pk=bob.pk)
        published()
        of_prod = made(api_of(bob)).json()["id"]
        fresh = made(api_of(alice), {"name": "fresh", "raw_config": "a: 1\n"}, URL).json()["id"]
        assert api_of(bob).post(URL, {"name": "other"}, format="json").status_code == 403
        assert api_of(bob).post(f"{URL}/{fresh}/publish", {"edition": 1}, format="json").status_code == 403
        assert api_of(bob).post(f"{URL}/{of_prod}/publish", {"edition": 1}, format="json").status_code == 200

    def test_forcing_needs_its_right_by_way_of_a_draft_too(self, api_of, alice, bob):
        bob.user_permissions.add(Permission.objects.get(codename="change_configuration"))
        bob = type(bob).objects.get(pk=bob.pk)
        published()
        draft = made(api_of(bob), {"raw_config": "# nothing\n"}).json()
        assert draft["blocked"] is True
        publish = f"{URL}/{draft['id']}/publish"
        assert api_of(bob).post(publish, {"edition": 1, "force": True}, format="json").status_code == 403
        assert api_of(alice).post(publish, {"edition": 1}, format="json").status_code in (400, 422)
        assert ConfigurationDraft.objects.exists()
        assert api_of(alice).post(publish, {"edition": 1, "force": True}, format="json").status_code == 200

    def test_secrets_are_hidden_until_they_are_asked_for(self, api_of, alice, bob):
        published("prod", WITH_SECRET)
        made(api_of(alice), {"note": "same"})
        one = f"{URL}/{ConfigurationDraft.objects.get().pk}"
        for url in (one, URL, OF_PROD):
            assert "s3cr3t" not in api_of(bob).get(url).content.decode()
        assert api_of(bob).get(f"{one}?secrets=shown").status_code == 403
        shown = api_of(alice).get(f"{one}?secrets=shown")
        assert "s3cr3t-value-of-prod" in shown.json()["raw_config"]
        assert AuditEntry.objects.latest("id").data["what"].startswith("draft ")
        hidden = api_of(alice).get(one).json()
        assert api_of(alice).put(one, hidden, format="json").status_code == 200
        assert "s3cr3t-value-of-prod" in ConfigurationDraft.objects.get().state["files"][""]["body"]


class TestStrangeRequests:
    @pytest.mark.parametrize("key", ["0", "999999999999999999", "abc", "-1", "1%00"])
    def test_there_is_no_such_draft(self, api_of, alice, key):
        assert api_of(alice).get(f"{URL}/{key}").status_code == 404
        assert api_of(alice).get(f"/api/v1/configurations/a%00b/drafts/{key}").status_code == 404

    def test_of_no_configuration(self, api_of, alice):
        assert api_of(alice).post(OF_PROD, {"raw_config": "a: 1\n"}, format="json").status_code == 404
        assert api_of(alice).post("/api/v1/configurations/a%00b/drafts", {}, format="json").status_code == 404

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"files": {str(number): {"body": ""} for number in range(65)}}, "files"),
            ({"raw_config": "a" * (1024 * 1024 + 1)}, "raw_config"),
            ({"note": "n" * 501}, "note"),
            ({"note": "a\nb"}, "note"),
            ({"selector": {"a": {"b": {}}}}, "selector"),
            ({"selector": "env=prod"}, "selector"),
            ({"display_name": "a\u0001b"}, "display_name"),
            ({"name": "other"}, "name"),
            ({"force": True}, "force"),
            ({"revision": 1}, "revision"),
            ({"base_revision": "1"}, "base_revision"),
        ],
    )
    def test_what_no_draft_can_be(self, api_of, alice, body, field):
        published()
        answer = api_of(alice).post(OF_PROD, body, format="json")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field]), answer.json()

    def test_one_more_than_are_kept(self, api_of, alice):
        published()
        for _ in range(20):
            made(api_of(alice))
        answer = api_of(alice).post(OF_PROD, {}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "too-many-drafts")

    def test_lists_do_not_ask_for_each_draft(self, api_of, alice, django_assert_max_num_queries):
        published()
        for _ in range(5):
            made(api_of(alice))
        with django_assert_max_num_queries(4):
            assert len(api_of(alice).get(URL).json()["results"]) == 5


class TestDeleted:
    def delete(self):
        publishing.delete_configuration("prod", by=None, at=timezone.now())
        return DeletedConfiguration.objects.get()

    def test_looked_at_and_restored(self, api_of, alice, bob):
        published("prod", WITH_SECRET)
        publish_again("prod", WITH_SECRET + "a: 1\n")
        row = self.delete()
        listed = api_of(bob).get(DELETED).json()["results"]
        assert [(item["name"], item["revision"], len(item["revisions"])) for item in listed] == [("prod", 2, 2)]
        one = f"{DELETED}/{row.pk}"
        assert "s3cr3t" not in api_of(bob).get(one).content.decode()
        assert api_of(bob).get(f"{one}?secrets=shown").status_code == 403
        assert "s3cr3t" in api_of(alice).get(f"{one}?secrets=shown").content.decode()
        assert api_of(bob).post(f"{one}/restore").status_code == 403
        assert api_of(bob).delete(one).status_code == 403
        answer = api_of(alice).post(f"{one}/restore", {}, format="json")
        assert (answer.status_code, answer.json()["enabled"], answer.json()["revision"]) == (201, False, 3)
        assert api_of(alice).get(one).json()["code"] == "deleted-configuration-gone"

    def test_a_taken_name_asks_for_another_one(self, api_of, alice):
        published()
        one = f"{DELETED}/{self.delete().pk}"
        published()
        refused = api_of(alice).post(f"{one}/restore", {}, format="json")
        assert refused.status_code == 409
        assert "another name" in refused.json()["errors"]["name"][0]
        answer = api_of(alice).post(f"{one}/restore", {"name": "prod-2"}, format="json")
        assert (answer.status_code, answer.json()["name"]) == (201, "prod-2")

    def test_deleted_for_good(self, api_of, alice):
        published()
        one = f"{DELETED}/{self.delete().pk}"
        assert api_of(alice).delete(one).status_code == 204
        assert api_of(alice).get(one).status_code == 404
