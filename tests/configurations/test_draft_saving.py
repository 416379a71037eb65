"""Drafts that are kept: what can be saved, and what becomes of two people's work."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEntry, User
from agents.models import Agent
from agents.remote_config import ConfigFile
from agents.shown import text_shown
from configurations.models import Configuration, ConfigurationDraft, Revision
from configurations.services import draft_saving, publishing
from configurations.services.draft_errors import DraftGone, DraftOutdated, StaleDraft, TooManyDrafts
from configurations.services.drafts import Draft, InvalidConfiguration
from configurations.services.edit_errors import NameTaken, StaleEdition
from configurations.services.publishing import BasedOn
from tests.configurations.drafts import WITH_SECRET, publish_again, published, wanted

pytestmark = pytest.mark.django_db
NOW = timezone.now


def saved(text: str = "a: 2\n", name: str = "prod", *, by: User | None = None, **options: Any) -> ConfigurationDraft:
    return draft_saving.save_draft(name, wanted(text), by=by, at=NOW(), **options)


def edited(row: ConfigurationDraft, text: str, *, editions: Any = None, by: User | None = None, **options: Any) -> Any:
    return draft_saving.edit_draft(row.pk, wanted(text), by=by, at=NOW(), editions=editions, **options)


def publish(row: ConfigurationDraft, *, editions: Any = None, **options: Any) -> Any:
    return draft_saving.publish_draft(row.pk, by=None, at=NOW(), editions=editions, **options)


def text_of(row: Configuration) -> Any:
    return Revision.objects.get(pk=Configuration.objects.get(pk=row.pk).current_id).files[""]["body"]


class TestSaving:
    def test_a_draft_reaches_nobody(self, alice, report):
        agent = report(env="prod")
        row = published()
        draft = saved(by=alice, note="try it")
        assert (draft.base_revision, draft.base_edition, draft.edition) == (1, 1, 1)
        assert (draft.author_name, draft.note, draft.is_outdated) == ("alice", "try it", False)
        assert text_of(row) == "a: 1\n"
        assert Agent.objects.get(pk=agent.pk).configuration_revision == 1
        assert list(AuditEntry.objects.values_list("verb", flat=True)[:1]) == ["draft.save"]

    @pytest.mark.parametrize("text", ["a: [1\n", "", "kind: ConfigMap\napiVersion: v1\ndata: {}\n"])
    def test_a_draft_may_be_what_cannot_be_published(self, text):
        row = published()
        draft = saved(text)
        assert draft.is_blocked
        with pytest.raises(InvalidConfiguration):
            publish(draft)
        assert ConfigurationDraft.objects.filter(pk=draft.pk).exists()
        assert text_of(row) == "a: 1\n"

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}, "selector"),
            ({"display_name": "a\nb"}, "display_name"),
            ({"priority": 2**40}, "priority"),
            ({"content_type": "no type"}, "content_type"),
            ({"files": {"../x": ConfigFile(b"a: 1\n")}, "config_key": "../x"}, "config_key"),
            ({"files": {"": ConfigFile(b"a" * (1024 * 1024 + 1))}}, "raw_config"),
            ({"files": {str(number): ConfigFile(b"a: 1\n") for number in range(65)}}, "files"),
            ({"files": {}}, "raw_config"),
        ],
    )
    def test_what_stands_around_the_texts_must_be_right(self, change, field):
        published()
        with pytest.raises(InvalidConfiguration) as refused:
            draft_saving.save_draft("prod", replace(wanted("a: [1\n"), **change), by=None, at=NOW())
        assert field in refused.value.errors
        assert not ConfigurationDraft.objects.exists()

    def test_so_many_are_kept_and_no_more(self):
        published()
        for _ in range(draft_saving.MOST_DRAFTS):
            saved()
        with pytest.raises(TooManyDrafts):
            saved()
        with pytest.raises(Configuration.DoesNotExist):
            saved(name="none")

    def test_findings_are_told_in_the_language_of_the_reader_and_without_secrets(self):
        published("prod", WITH_SECRET)
        draft = saved(WITH_SECRET + "api_key: [s3cr3t-value-of-prod\n")
        assert draft.found
        assert [item.blocks for item in draft.found] == [True]
        assert "s3cr3t" not in str(draft.findings)
        assert draft.found[0].message.template in str(draft.findings)

    def test_a_new_configuration_can_begin_as_a_draft(self, report):
        agent = report(env="prod")
        draft = draft_saving.save_new_draft("fresh", wanted(), by=None, at=NOW(), note="first")
        assert not Configuration.objects.exists()
        row, _findings = publish(draft)
        assert (row.name, row.current.number, row.current.note) == ("fresh", 1, "first")
        assert Agent.objects.get(pk=agent.pk).configuration_name == "fresh"
        assert not ConfigurationDraft.objects.exists()

    @pytest.mark.parametrize("name", ["-x", "", "a" * 101, "preview", "a/b", "a\x00"])
    def test_only_under_a_name_that_a_configuration_can_have(self, name):
        with pytest.raises(InvalidConfiguration):
            draft_saving.save_new_draft(name, wanted(), by=None, at=NOW())

    def test_a_taken_name_is_refused(self):
        published()
        with pytest.raises(NameTaken):
            draft_saving.save_new_draft("prod", wanted(), by=None, at=NOW())


class TestTwoPeople:
    def test_the_second_is_told_who_was_first(self, alice):
        published()
        draft = saved()
        edited(draft, "a: 3\n", editions=[1], by=alice)
        with pytest.raises(StaleDraft, match=r"alice saved this draft at .* UTC"):
            edited(draft, "a: 4\n", editions=[1])
        assert ConfigurationDraft.objects.get().state["files"][""]["body"] == "a: 3\n"

    def test_of_a_draft_that_was_saved_since_nothing_is_published_or_discarded(self):
        row = published()
        draft = saved()
        edited(draft, "a: 3\n")
        with pytest.raises(StaleDraft):
            publish(draft, editions=[1])
        with pytest.raises(StaleDraft):
            draft_saving.discard_draft(draft.pk, by=None, editions=[1])
        assert text_of(row) == "a: 1\n"

    def test_publishing_twice_publishes_once(self):
        row = published()
        draft = saved()
        publish(draft, editions=[1])
        with pytest.raises(DraftGone):
            publish(draft, editions=[1])
        assert text_of(row) == "a: 2\n"
        assert row.revisions.count() == 2

    def test_a_draft_is_not_published_over_a_revision_that_nobody_compared_it_with(self, alice):
        row = published()
        first, second = saved("a: 2\n"), saved("a: 3\n")
        draft_saving.publish_draft(first.pk, by=alice, at=NOW(), editions=[1])
        assert ConfigurationDraft.objects.with_present().get().is_outdated
        with pytest.raises(DraftOutdated, match="based on revision 1, but alice published revision 2"):
            publish(second)
        with pytest.raises(StaleEdition):
            draft_saving.rebase_draft(second.pk, by=None, at=NOW(), editions=[1], onto=BasedOn(editions=[1]))
        based = draft_saving.rebase_draft(second.pk, by=None, at=NOW(), editions=[1], onto=BasedOn(editions=[2]))
        assert (based.base_revision, based.edition) == (2, 2)
        publish(second, editions=[2])
        assert text_of(row) == "a: 3\n"
        assert list(AuditEntry.objects.order_by("id").values_list("verb", flat=True)) == [
            "configuration.create", "draft.save", "draft.save", "configuration.update", "draft.publish", "draft.rebase",
            "configuration.update", "draft.publish",
        ]  # fmt: skip

    def test_nor_over_another_state_than_the_one_it_was_compared_with(self):
        row = published()
        draft = saved()
        publish_again("prod", "a: 9\n")
        with pytest.raises(StaleEdition):
            publish(draft, over=BasedOn(editions=(1,)))
        assert text_of(row) == "a: 9\n"
        publish(draft, over=BasedOn(editions=(2,)))
        assert text_of(row) == "a: 2\n"

    def test_another_description_moves_the_base_too(self):
        published()
        draft = saved()
        publish_again("prod", "a: 1\n", description="new")
        with pytest.raises(DraftOutdated, match="name or description"):
            publish(draft)

    def test_a_base_that_never_was_is_the_present_one(self):
        published()
        draft = saved(base=draft_saving.Base(7, 7))
        assert (draft.base_revision, draft.base_edition) == (1, 1)

    def test_a_draft_can_be_saved_over_what_it_began_with(self):
        published()
        publish_again("prod", "a: 9\n")
        draft = saved(base=draft_saving.Base(1, 1))
        assert draft.is_outdated


class TestDeletedConfigurations:
    def test_its_draft_stays_and_says_so(self):
        published()
        draft = saved()
        publishing.delete_configuration("prod", by=None, at=NOW())
        row = ConfigurationDraft.objects.with_present().get()
        assert (row.is_of_deleted, row.is_outdated, row.present_revision) == (True, True, None)
        with pytest.raises(DraftOutdated, match="was deleted"):
            publish(draft)
        draft_saving.rebase_draft(draft.pk, by=None, at=NOW(), editions=None, onto=BasedOn(editions=[0]))
        made, _findings = publish(draft)
        assert (made.name, made.current.number) == ("prod", 1)

    def test_it_can_be_based_on_another_one_of_that_name(self):
        published()
        draft = saved()
        publishing.delete_configuration("prod", by=None, at=NOW())
        row = published("prod", "a: 9\n")
        assert ConfigurationDraft.objects.with_present().get().is_of_deleted
        draft_saving.rebase_draft(draft.pk, by=None, at=NOW(), editions=None)
        publish(draft)
        assert text_of(row) == "a: 2\n"

    def test_the_draft_of_a_new_one_whose_name_was_taken(self):
        draft = draft_saving.save_new_draft("prod", wanted("a: 2\n"), by=None, at=NOW())
        row = published()
        with pytest.raises(NameTaken):
            publish(draft)
        renamed = edited(draft, "a: 2\n", name="other")
        assert renamed.name == "other"
        edited(draft, "a: 2\n", name="other")
        with pytest.raises(NameTaken):
            edited(draft, "a: 2\n", name="prod")
        assert text_of(row) == "a: 1\n"

    def test_a_draft_keeps_the_name_of_its_configuration(self):
        published()
        with pytest.raises(InvalidConfiguration):
            edited(saved(), "a: 2\n", name="other")


class TestHiddenValues:
    def typed(self, text: str, *, over: Draft) -> Draft:
        return replace(over, files={"": ConfigFile(text.encode(), "text/yaml")}, selector={"env": "prod"})

    def test_they_stay_what_they_are(self):
        row = published("prod", WITH_SECRET)
        shown = text_shown(WITH_SECRET)
        first = self.typed(shown + "a: 1\n", over=publishing.draft_of(row))
        draft = draft_saving.save_draft("prod", first, by=None, at=NOW())
        again = self.typed(shown + "a: 2\n", over=draft_saving.draft_in(draft))
        draft_saving.edit_draft(draft.pk, again, by=None, at=NOW(), editions=[1])
        publish(draft)
        assert text_of(row) == WITH_SECRET + "a: 2\n"

    def test_they_do_not_go_elsewhere_by_way_of_a_draft(self):
        row = published("prod", WITH_SECRET)
        led = text_shown(WITH_SECRET).replace("a:4317", "evil:4317")
        with pytest.raises(InvalidConfiguration):
            draft_saving.save_draft("prod", self.typed(led, over=publishing.draft_of(row)), by=None, at=NOW())
        draft = saved(WITH_SECRET)
        again = self.typed(led, over=draft_saving.draft_in(draft))
        with pytest.raises(InvalidConfiguration):
            draft_saving.edit_draft(draft.pk, again, by=None, at=NOW(), editions=None)


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def run(self, *acts: Any) -> list[str]:
        """Each act in a thread of its own, all let go together; the names of what they raised, sorted."""
        barrier = threading.Barrier(len(acts))
        raised: list[str] = []

        def one(act: Any) -> None:
            try:
                barrier.wait(timeout=30)
                act()
            except Exception as error:  # noqa: BLE001  whatever it is, the test says it
                raised.append(type(error).__name__)
            finally:
                connection.close()

        threads = [threading.Thread(target=one, args=[act]) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert not any(thread.is_alive() for thread in threads)
        return sorted(raised)

    def test_of_two_that_save_one_is_told(self):
        published()
        draft = saved()
        texts = ["a: 3\n", "a: 4\n"]
        acts = [lambda text=text: edited(draft, text, editions=[1]) for text in texts]
        assert self.run(*acts) == ["StaleDraft"]
        assert ConfigurationDraft.objects.get().edition == 2

    def test_of_two_that_publish_one_is_told(self):
        row = published()
        draft = saved()
        assert self.run(*[lambda: publish(draft, editions=[1])] * 2) == ["DraftGone"]
        assert row.revisions.count() == 2

    def test_publishing_and_saving_and_deleting_end(self):
        published()
        draft = saved()
        acts = [
            lambda: publish(draft, editions=[1]),
            lambda: edited(draft, "a: 5\n", editions=[1]),
            lambda: publishing.delete_configuration("prod", by=None, at=NOW()),
            lambda: draft_saving.rebase_draft(draft.pk, by=None, at=NOW(), editions=[1]),
        ]
        raised = self.run(*acts)
        assert set(raised) <= {"StaleDraft", "DraftGone", "DraftOutdated", "DoesNotExist"}, raised
