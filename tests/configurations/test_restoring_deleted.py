"""Deleted configurations: kept with their newest revisions, restored disabled, pruned in the end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import AuditEntry
from agents.models import Agent
from agents.services import retention
from configurations.models import Configuration, ConfigurationDraft, DeletedConfiguration
from configurations.services import draft_saving, keeping_deleted, publishing
from configurations.services.drafts import InvalidConfiguration
from configurations.services.edit_errors import NameTaken
from configurations.services.keeping_deleted import DeletedGone, delete_for_good
from configurations.services.restoring_deleted import restore_configuration
from tests.configurations.drafts import WITH_SECRET, publish_again, published, wanted

pytestmark = pytest.mark.django_db
NOW = timezone.now


def deleted(name: str = "prod") -> DeletedConfiguration:
    publishing.delete_configuration(name, by=None, at=NOW())
    return DeletedConfiguration.objects.get(name=name)


def test_it_comes_back_as_it_was_but_disabled(alice, report):
    agent = report(env="prod")
    row = published(description="of old", priority=3)
    publishing.update_configuration("prod", wanted("a: 2\n", priority=3), by=alice, at=NOW(), note="two")
    revisions = list(row.revisions.values("number", "files", "hash", "note", "author_name", "created_at", "priority"))
    kept = deleted()
    assert Agent.objects.get(pk=agent.pk).configuration_name == ""
    again = restore_configuration(kept.pk, by=alice, at=NOW())
    again.refresh_from_db()
    assert (again.name, again.enabled, again.priority, again.description) == ("prod", False, 3, "")
    assert again.current.number == 3
    assert again.current.files[""]["body"] == "a: 2\n"
    history = again.revisions.filter(number__lt=3)
    assert list(history.values(*revisions[0])) == revisions
    assert history.get(number=2).author == alice
    assert again.edition > 2
    assert Agent.objects.get(pk=agent.pk).configuration_name == ""
    assert not DeletedConfiguration.objects.exists()
    entry = AuditEntry.objects.get(verb="configuration.restore")
    assert (entry.actor_name, entry.data["revision"]) == ("alice", 3)
    publishing.update_configuration("prod", wanted("a: 2\n", priority=3), by=alice, at=NOW())
    assert Agent.objects.get(pk=agent.pk).configuration_name == "prod"


def test_once():
    published()
    kept = deleted()
    restore_configuration(kept.pk, by=None, at=NOW())
    with pytest.raises(DeletedGone):
        restore_configuration(kept.pk, by=None, at=NOW())


def test_under_another_name_when_its_own_is_taken():
    published()
    kept = deleted()
    published("prod", "a: 9\n")
    with pytest.raises(NameTaken) as refused:
        restore_configuration(kept.pk, by=None, at=NOW())
    assert "another name" in str(refused.value)
    assert DeletedConfiguration.objects.exists()
    assert restore_configuration(kept.pk, by=None, at=NOW(), name="prod-again").name == "prod-again"


@pytest.mark.parametrize("name", ["preview", "-", "a" * 101])
def test_not_under_a_name_that_none_can_have(name):
    published()
    with pytest.raises(InvalidConfiguration):
        restore_configuration(deleted().pk, by=None, at=NOW(), name=name)


def test_its_draft_finds_it_again():
    published()
    draft = draft_saving.save_draft("prod", wanted("a: 7\n"), by=None, at=NOW())
    restore_configuration(deleted().pk, by=None, at=NOW())
    assert ConfigurationDraft.objects.with_present().get().is_of_deleted
    draft_saving.rebase_draft(draft.pk, by=None, at=NOW(), editions=None)
    row, _findings = draft_saving.publish_draft(draft.pk, by=None, at=NOW(), editions=None)
    assert row.current.files[""]["body"] == "a: 7\n"


def test_so_many_revisions_are_kept_and_files_once(monkeypatch):
    published()
    for number in range(keeping_deleted.MOST_REVISIONS + 3):
        publish_again("prod", "a: 1\n", priority=number + 1)
    kept = deleted()
    assert len(kept.revisions) == keeping_deleted.MOST_REVISIONS
    assert len(kept.files) == 1
    row = restore_configuration(kept.pk, by=None, at=NOW())
    row.refresh_from_db()
    assert row.current.number == keeping_deleted.MOST_REVISIONS + 1


def test_large_files_leave_less_of_the_history(monkeypatch):
    monkeypatch.setattr(keeping_deleted, "_MOST_FORMER", 100)
    published()
    publish_again("prod", "a: 2\n")
    publish_again("prod", "a: " + "3" * 500 + "\n")
    publish_again("prod", "a: " + "4" * 500 + "\n")
    kept = deleted()
    assert [entry["number"] for entry in kept.revisions] == [4]
    assert kept.present_files[""]["body"].startswith("a: 4")


def test_deleted_for_good():
    published()
    kept = deleted()
    delete_for_good(kept.pk, by=None)
    with pytest.raises(DeletedGone):
        delete_for_good(kept.pk, by=None)
    assert AuditEntry.objects.filter(verb="configuration.delete_for_good").count() == 1
    assert not Configuration.objects.exists()


class TestPruning:
    @pytest.mark.parametrize(("days", "left"), [(10, 1), (0, 2)])
    def test_drafts_and_deleted_ones_go_when_nobody_wants_them(self, settings, days, left, capsys):
        settings.DRAFT_RETENTION_DAYS = settings.DELETED_CONFIGURATION_RETENTION_DAYS = days
        old = NOW() - timedelta(days=11)
        for name in ("one", "two"):
            published(name)
            deleted(name)
            draft_saving.save_new_draft(name, wanted(), by=None, at=NOW())
        DeletedConfiguration.objects.filter(name="one").update(deleted_at=old)
        ConfigurationDraft.objects.filter(name="one").update(updated_at=old)
        call_command("prune", "--dry-run")
        assert f"drafts: {2 - left} would be deleted" in capsys.readouterr().out
        call_command("prune")
        assert f"deleted configurations: {2 - left} deleted" in capsys.readouterr().out
        assert DeletedConfiguration.objects.count() == ConfigurationDraft.objects.count() == left

    def test_a_running_server_prunes_them_too(self):
        assert {kind.value for kind in retention.pruned_kinds()} >= {"events", "drafts", "deleted configurations"}


class TestPages:
    LIST = "/admin/configurations/deletedconfiguration/"

    def test_looked_at_and_restored(self, client, alice):
        client.force_login(alice)
        published("prod", WITH_SECRET, display_name="Production")
        publish_again("prod", WITH_SECRET + "a: 1\n", display_name="Production")
        kept = deleted()
        assert "Production" in client.get(self.LIST).content.decode()
        page = f"{self.LIST}{kept.pk}/change/"
        body = client.get(page).content.decode()
        assert "a: 1" in body
        assert "s3cr3t" not in body
        restore = f"{self.LIST}{kept.pk}/restore/"
        assert restore in body
        assert 'value="prod"' in client.get(restore).content.decode()
        answer = client.post(restore, {"name": "prod"}, follow=True)
        assert "restored, and disabled" in answer.content.decode()
        assert Configuration.objects.get().enabled is False
        assert client.get(page).status_code == client.get(restore).status_code == 404

    def test_a_taken_name_is_said_before_and_after(self, client, alice):
        client.force_login(alice)
        published()
        restore = f"{self.LIST}{deleted().pk}/restore/"
        published()
        assert "choose another one" in client.get(restore).content.decode()
        assert "under another name" in client.post(restore, {"name": "prod"}).content.decode()
        assert client.post(restore, {"name": "prod-2"}).status_code == 302

    def test_deleted_for_good(self, client, alice):
        client.force_login(alice)
        published()
        page = f"{self.LIST}{deleted().pk}/delete/"
        assert "Delete it for good?" in client.get(page).content.decode()
        assert client.post(page, {"post": "yes"}).status_code == 302
        assert not DeletedConfiguration.objects.exists()
        assert AuditEntry.objects.latest("id").verb == "configuration.delete_for_good"

    def test_a_viewer_looks_and_nobody_else_does(self, client, bob, charlie):
        published()
        kept = deleted()
        client.force_login(bob)
        body = client.get(f"{self.LIST}{kept.pk}/change/").content.decode()
        assert "Restore…" not in body
        assert client.get(f"{self.LIST}{kept.pk}/restore/").status_code == 403
        assert client.post(f"{self.LIST}{kept.pk}/restore/", {"name": "x"}).status_code == 403
        assert client.post(f"{self.LIST}{kept.pk}/delete/", {"post": "yes"}).status_code == 403
        client.force_login(charlie)
        assert client.get(self.LIST).status_code == 403


def test_what_was_live_comes_back_and_not_what_is_newest():
    row = published()
    publish_again("prod", "a: 2\n")
    # As after a rollout that was rolled back.
    Configuration.objects.update(current=row.revisions.get(number=1))
    kept = deleted()
    assert (kept.present["number"], [entry["number"] for entry in kept.revisions]) == (1, [2, 1])
    again = restore_configuration(kept.pk, by=None, at=NOW())
    again.refresh_from_db()
    assert (again.current.number, again.current.files[""]["body"]) == (3, "a: 1\n")
