"""Drafts in the admin: saved from the form, opened in it, and what two people see of each other."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry
from configurations.models import Configuration, ConfigurationDraft
from configurations.services import draft_saving, publishing
from configurations.services.edit_errors import StaleEdition
from configurations.services.publishing import BasedOn
from tests.configurations.drafts import WITH_SECRET, publish_again, published, wanted
from tests.html_forms import fields_of

pytestmark = pytest.mark.django_db
LIST = "/admin/configurations/configuration/"


@pytest.fixture
def portal_of_alice(client: Any, alice: Any) -> Any:
    client.force_login(alice)
    return client


def page_of(row: Configuration) -> str:
    return f"{LIST}{row.pk}/change/"


def draft_url(row: ConfigurationDraft) -> str:
    return reverse("admin:configuration_draft", args=[row.pk])


def typed(client: Any, url: str, **changes: str) -> dict[str, str]:
    """What a browser would send of the page, with these changes."""
    answer = client.get(url)
    assert answer.status_code == 200
    return {**fields_of(answer.content.decode()), **changes}


def save(client: Any, url: str, stage: str = "save_draft", **changes: str) -> Any:
    return client.post(url, typed(client, url, **changes) | {"stage": stage})


def kept(text: str = "a: 2\n", name: str = "prod", **options: Any) -> ConfigurationDraft:
    return draft_saving.save_draft(name, wanted(text), by=None, at=timezone.now(), **options)


def text_of(row: Configuration) -> str:
    current = Configuration.objects.select_related("current").get(pk=row.pk).current
    assert current is not None
    return str(current.files[""]["body"])


class TestSaving:
    def test_a_draft_is_saved_opened_changed_and_published(self, portal_of_alice):
        row = published()
        answer = save(portal_of_alice, page_of(row), raw_config="a: 2\r\n", note="try", priority="7")
        draft = ConfigurationDraft.objects.get()
        assert (answer.status_code, answer["Location"]) == (302, draft_url(draft))
        assert text_of(row) == "a: 1\n"
        assert (draft.author_name, draft.note, draft.state["priority"], draft.base_revision) == ("alice", "try", 7, 1)
        body = portal_of_alice.get(draft_url(draft)).content.decode()
        shown = fields_of(body)
        assert (shown["raw_config"], shown["note"], shown["priority"]) == ("a: 2\r\n", "try", "7")
        assert "alice’s draft, based on revision 1" in body
        assert "+a: 2" in body
        answer = save(portal_of_alice, draft_url(draft), raw_config="a: 3\r\n")
        assert (answer.status_code, ConfigurationDraft.objects.get().edition) == (302, 2)
        first = portal_of_alice.post(draft_url(draft), typed(portal_of_alice, draft_url(draft)))
        assert "Publish (0 agents)" in first.content.decode()
        assert ConfigurationDraft.objects.exists()
        again = {**fields_of(first.content.decode()), "stage": "publish"}
        answer = portal_of_alice.post(draft_url(draft), again)
        assert answer.status_code == 302, answer.content.decode()
        assert answer["Location"] == page_of(row) + "#progress"
        assert text_of(row) == "a: 3\n"
        assert Configuration.objects.get().current.note == "try"
        assert not ConfigurationDraft.objects.exists()
        assert AuditEntry.objects.filter(actor_name="alice").count() == 4

    def test_one_that_does_not_parse_is_kept_and_cannot_be_published(self, portal_of_alice):
        row = published()
        assert save(portal_of_alice, page_of(row), raw_config="a: [1\r\n").status_code == 302
        draft = ConfigurationDraft.objects.get()
        assert draft.is_blocked
        assert "✖ blocked" in portal_of_alice.get(page_of(row)).content.decode()
        answer = portal_of_alice.post(draft_url(draft), typed(portal_of_alice, draft_url(draft)) | {"stage": "publish"})
        assert answer.status_code == 200
        assert text_of(row) == "a: 1\n"

    def test_what_stands_around_the_text_must_be_right(self, portal_of_alice):
        row = published()
        answer = save(portal_of_alice, page_of(row), selector="a b c: [", raw_config="a: 9\r\n")
        assert answer.status_code == 200
        assert fields_of(answer.content.decode())["raw_config"] == "a: 9\r\n"
        assert not ConfigurationDraft.objects.exists()

    def test_the_21st_is_refused_and_what_was_typed_stays(self, portal_of_alice):
        row = published()
        for _ in range(20):
            kept()
        answer = save(portal_of_alice, page_of(row), raw_config="a: 9\r\n")
        body = answer.content.decode()
        assert "20 open drafts" in body
        assert fields_of(body)["raw_config"] == "a: 9\r\n"

    def test_a_new_configuration_begins_as_a_draft(self, portal_of_alice):
        change = {"name": "fresh", "raw_config": "a: 1\r\n", "selector": '{"env": "prod"}'}
        assert save(portal_of_alice, f"{LIST}add/", **change).status_code == 302
        draft = ConfigurationDraft.objects.get()
        assert not Configuration.objects.exists()
        assert "Drafts of new configurations" in portal_of_alice.get(LIST).content.decode()
        save(portal_of_alice, draft_url(draft), name="fresher")
        assert ConfigurationDraft.objects.get().name == "fresher"
        confirm = portal_of_alice.post(draft_url(draft), typed(portal_of_alice, draft_url(draft))).content.decode()
        answer = portal_of_alice.post(draft_url(draft), {**fields_of(confirm), "stage": "publish"})
        assert answer.status_code == 302, answer.content.decode()
        assert Configuration.objects.get().name == "fresher"
        assert not ConfigurationDraft.objects.exists()

    def test_secrets_stay_hidden_and_stay(self, portal_of_alice):
        row = published("prod", WITH_SECRET)
        save(portal_of_alice, page_of(row), note="same")
        draft = ConfigurationDraft.objects.get()
        body = portal_of_alice.get(draft_url(draft)).content.decode()
        assert "s3cr3t" not in body
        save(portal_of_alice, draft_url(draft), note="again")
        assert ConfigurationDraft.objects.get().state["files"][""]["body"] == WITH_SECRET

    def test_previews_while_typing_know_the_draft(self, portal_of_alice):
        published("prod", WITH_SECRET)
        draft = kept(WITH_SECRET + "b: 1\n")
        sent = typed(portal_of_alice, draft_url(draft))
        answer = portal_of_alice.post(f"{LIST}problems/", sent)
        assert answer.status_code == 200
        assert "hidden" not in answer.json()["html"]


class TestTwoPeople:
    def test_both_see_each_others_drafts(self, portal_of_alice):
        row = published()
        first, second = kept("a: 2\n", note="one way"), kept("a: 3\n", note="another way")
        body = portal_of_alice.get(page_of(row)).content.decode()
        assert "one way" in body
        assert "another way" in body
        body = portal_of_alice.get(draft_url(first)).content.decode()
        assert "Other drafts" in body
        assert draft_url(second) in body
        assert "2 drafts" in portal_of_alice.get(LIST).content.decode()

    @pytest.mark.parametrize(("stage", "count"), [("save_draft_over", 1), ("save_draft_other", 2)])
    def test_the_second_is_told_and_chooses(self, portal_of_alice, stage, count):
        published()
        draft = kept()
        mine = typed(portal_of_alice, draft_url(draft), raw_config="a: mine\r\n")
        draft_saving.edit_draft(draft.pk, wanted("a: theirs\n"), by=None, at=timezone.now(), editions=None)
        answer = portal_of_alice.post(draft_url(draft), mine | {"stage": "save_draft"})
        body = answer.content.decode()
        assert "system saved this draft at" in body
        assert ConfigurationDraft.objects.get().state["files"][""]["body"] == "a: theirs\n"
        again = fields_of(body)
        assert again["raw_config"] == "a: mine\r\n"
        answer = portal_of_alice.post(draft_url(draft), {**again, "stage": stage})
        assert answer.status_code == 302, answer.content.decode()
        assert ConfigurationDraft.objects.count() == count
        assert "a: mine\n" in {row.state["files"][""]["body"] for row in ConfigurationDraft.objects.all()}

    def test_nothing_is_published_of_a_draft_that_was_saved_since(self, portal_of_alice):
        row = published()
        draft = kept()
        mine = typed(portal_of_alice, draft_url(draft))
        draft_saving.edit_draft(draft.pk, wanted("a: theirs\n"), by=None, at=timezone.now(), editions=None)
        answer = portal_of_alice.post(draft_url(draft), mine | {"stage": "publish"})
        assert "system saved this draft at" in answer.content.decode()
        assert text_of(row) == "a: 1\n"

    def test_an_outdated_draft_says_so_and_takes_a_new_base(self, portal_of_alice):
        row = published()
        draft = kept()
        publish_again("prod", "a: 9\n")
        body = portal_of_alice.get(draft_url(draft)).content.decode()
        assert "Revision 2 of system is live now." in body
        assert "Take over revision 2 as the base" in body
        refused = portal_of_alice.post(draft_url(draft), fields_of(body) | {"stage": "publish"}).content.decode()
        assert "Publish mine over revision 2" in refused
        posted = {"draft_edition": "1", "present_edition": "2"}
        portal_of_alice.post(f"{draft_url(draft)}rebase/", posted)
        based = ConfigurationDraft.objects.get()
        assert (based.base_revision, based.edition) == (2, 2)
        twice = portal_of_alice.post(f"{draft_url(draft)}rebase/", posted, follow=True)
        assert "system" in twice.content.decode() or "alice saved this draft" in twice.content.decode()
        confirm = portal_of_alice.post(draft_url(draft), typed(portal_of_alice, draft_url(draft))).content.decode()
        answer = portal_of_alice.post(draft_url(draft), {**fields_of(confirm), "stage": "publish"})
        assert answer.status_code == 302
        assert text_of(row) == "a: 2\n"

    def test_a_base_that_moved_on_again_is_not_taken_unseen(self, portal_of_alice):
        published()
        draft = kept()
        publish_again("prod", "a: 8\n")
        publish_again("prod", "a: 9\n")
        posted = {"draft_edition": "1", "present_edition": "2"}
        answer = portal_of_alice.post(f"{draft_url(draft)}rebase/", posted, follow=True)
        assert "Somebody edited the configuration meanwhile" in answer.content.decode()
        assert ConfigurationDraft.objects.get().base_revision == 1

    def test_mine_can_be_published_over_theirs_from_the_form(self, portal_of_alice):
        row = published()
        draft = kept()
        mine = typed(portal_of_alice, draft_url(draft))
        publish_again("prod", "a: 9\n")
        told = fields_of(portal_of_alice.post(draft_url(draft), mine).content.decode())
        confirm = portal_of_alice.post(draft_url(draft), {**told, "rebase": "2"}).content.decode()
        answer = portal_of_alice.post(draft_url(draft), {**fields_of(confirm), "stage": "publish"})
        assert answer.status_code == 302, answer.content.decode()
        assert text_of(row) == "a: 2\n"

    def test_it_is_published_over_what_the_form_was_compared_with(self, portal_of_alice, monkeypatch):
        row = published()
        draft = kept()
        mine = typed(portal_of_alice, draft_url(draft)) | {"stage": "publish", "shown_count": "0"}
        publish = draft_saving.publish_draft
        given: list[Any] = []

        def noting(*args: Any, **options: Any) -> Any:
            given.append((options["over"], options["editions"]))
            return publish(*args, **options)

        monkeypatch.setattr(draft_saving, "publish_draft", noting)
        assert portal_of_alice.post(draft_url(draft), mine).status_code == 302
        assert given == [(BasedOn(1, (1,)), [1])]
        assert text_of(row) == "a: 2\n"

    def test_somebody_publishes_between_the_checks_and_the_saving(self, portal_of_alice, monkeypatch):
        row = published()
        draft = kept()
        mine = typed(portal_of_alice, draft_url(draft)) | {"stage": "publish", "shown_count": "0"}

        def overtaken(*_args: Any, **_options: Any) -> None:
            monkeypatch.undo()
            raise StaleEdition

        monkeypatch.setattr(draft_saving, "publish_draft", overtaken)
        assert portal_of_alice.post(draft_url(draft), mine).status_code == 302
        assert text_of(row) == "a: 2\n"

    def test_what_was_typed_over_a_draft_that_is_gone_is_not_lost(self, portal_of_alice):
        row = published()
        draft = kept()
        mine = typed(portal_of_alice, draft_url(draft), raw_config="a: mine\r\n")
        draft_saving.publish_draft(draft.pk, by=None, at=timezone.now(), editions=None)
        answer = portal_of_alice.post(draft_url(draft), mine | {"stage": "publish"})
        body = answer.content.decode()
        assert "somebody may have published or discarded it" in body
        assert fields_of(body)["raw_config"] == "a: mine\r\n"
        assert f'action="{page_of(row)}"' in body
        assert text_of(row) == "a: 2\n"
        assert portal_of_alice.get(draft_url(draft)).status_code == 404


class TestDiscarding:
    def test_it_is_asked_first(self, portal_of_alice):
        row = published()
        draft = kept()
        page = f"{draft_url(draft)}discard/"
        assert "Discard the draft of prod?" in portal_of_alice.get(page).content.decode()
        stale = portal_of_alice.post(page, {"draft_edition": "7"}, follow=True)
        assert "saved this draft at" in stale.content.decode()
        answer = portal_of_alice.post(page, {"draft_edition": "1"})
        assert answer["Location"] == page_of(row)
        assert not ConfigurationDraft.objects.exists()
        assert portal_of_alice.get(page).status_code == 404


class TestOfDeletedConfigurations:
    def test_it_becomes_the_draft_of_a_new_one(self, portal_of_alice):
        published()
        draft = kept()
        publishing.delete_configuration("prod", by=None, at=timezone.now())
        body = portal_of_alice.get(draft_url(draft)).content.decode()
        assert "The configuration was deleted since." in body
        refused = portal_of_alice.post(draft_url(draft), fields_of(body) | {"stage": "publish"}).content.decode()
        assert "was deleted after this draft began" in refused
        assert "of a deleted configuration" in portal_of_alice.get(LIST).content.decode()
        portal_of_alice.post(f"{draft_url(draft)}rebase/", {"draft_edition": "1", "present_edition": "0"})
        confirm = portal_of_alice.post(draft_url(draft), typed(portal_of_alice, draft_url(draft))).content.decode()
        answer = portal_of_alice.post(draft_url(draft), {**fields_of(confirm), "stage": "publish"})
        assert answer.status_code == 302, answer.content.decode()
        assert Configuration.objects.get().name == "prod"


class TestPeople:
    def test_a_viewer_reads_a_draft_and_changes_nothing(self, client, bob):
        row = published("prod", WITH_SECRET)
        draft = kept(WITH_SECRET + "b: 1\n", note="see here")
        client.force_login(bob)
        body = client.get(draft_url(draft)).content.decode()
        assert "+b: 1" in body
        assert "see here" in body
        assert "s3cr3t" not in body
        assert "<textarea" not in body
        assert draft_url(draft) in client.get(page_of(row)).content.decode()
        for url in (draft_url(draft), f"{draft_url(draft)}rebase/", f"{draft_url(draft)}discard/"):
            assert client.post(url, {"stage": "save_draft", "draft_edition": "1"}).status_code == 403
        assert client.post(page_of(row), {"stage": "save_draft"}).status_code == 403
        assert client.post(f"{LIST}add/", {"stage": "save_draft"}).status_code == 403
        assert client.get(f"{draft_url(draft)}discard/").status_code == 403

    def test_who_may_nothing_sees_nothing(self, client, charlie):
        published()
        client.force_login(charlie)
        assert client.get(draft_url(kept())).status_code == 403
