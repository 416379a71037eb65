"""Packages in the admin, without JavaScript: made, uploaded to, released, watched, deleted."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry
from packages.models import Installation, Package, PackageVersion
from packages.services import store
from rollouts.models import Rollout
from tests.packages.conftest import CONTENT
from tests.people import CAPABLE

pytestmark = pytest.mark.django_db
ACCEPTS = CAPABLE | 0x08 | 0x10
LIST = "/admin/packages/package/"


def typed(**values: Any) -> dict[str, Any]:
    return {
        "name": "agent",
        "kind": "top_level",
        "selector": '{"env": "prod"}',
        "priority": "0",
        "enabled": "on",
        **values,
    }


def test_from_the_empty_list_to_an_agent(signed_in: Client, report: Any) -> None:
    agent = report(env="prod", capabilities=ACCEPTS)
    assert signed_in.get(LIST).status_code == 200
    made = signed_in.post(f"{LIST}add/", typed())
    package = Package.objects.get()
    assert made.status_code == 302
    page = reverse("admin:packages_package_change", args=[package.pk])
    answer = signed_in.post(
        reverse("admin:package_add_version", args=[package.pk]), {"version": "1.0", "note": "first"}
    )
    upload = reverse("admin:package_upload", args=[package.pk, 1])
    assert answer["Location"] == upload
    assert 'enctype="multipart/form-data"' in signed_in.get(upload).content.decode()
    answer = signed_in.post(upload, {"file": SimpleUploadedFile("agent.zip", CONTENT), "os_type": "linux"})
    assert answer["Location"] == page
    release = reverse("admin:package_release", args=[package.pk, 1])
    assert "It concerns 1 agent." in signed_in.get(release).content.decode()
    assert signed_in.post(release, {"release-how": "at_once"}).status_code in (200, 302)
    if not Installation.objects.exists():
        assert signed_in.post(release, {"release-how": "as_set"}).status_code == 302
    shown = signed_in.get(page).content.decode()
    assert "linux/any" in shown
    assert "web-1" in shown
    of_agent = signed_in.get(reverse("admin:agents_agent_change", args=[agent.pk])).content.decode()
    assert "Packages it should have" in of_agent
    assert "Offer once more what is not installed" in of_agent
    again = signed_in.post(reverse("admin:package_install_again", args=[agent.pk]), follow=True)
    assert "Packages offered once more: 1." in again.content.decode()
    assert signed_in.get("/admin/agents/agent/?upgrade_available=true").status_code == 200
    assert "agent.zip" in signed_in.get(page).content.decode()
    refused = signed_in.post(f"{LIST}{package.pk}/delete/", {"post": "yes"}, follow=True)
    assert "1 agents should have agent" in refused.content.decode()


def test_what_is_wrong_stands_at_its_field(signed_in: Client, make: Any) -> None:
    version = make(released=False)
    upload = reverse("admin:package_upload", args=[version.package_id, 1])
    file = SimpleUploadedFile("agent.zip", CONTENT)
    answer = signed_in.post(upload, {"file": file, "os_type": "linux", "sha256": "0" * 64})
    assert "The file has SHA-256" in answer.content.decode()
    assert "Choose a file" in signed_in.post(upload, {}).content.decode()
    assert "https" in signed_in.post(upload, {"url": "http://x/y", "sha256": "0" * 64}).content.decode()
    assert len(store.files()) == 1
    assert "not valid" not in signed_in.post(f"{LIST}add/", typed(name="-")).content.decode()
    assert Package.objects.count() == 1
    assert signed_in.post(f"{LIST}add/", typed(selector="{")).status_code == 200
    add = reverse("admin:package_add_version", args=[version.package_id])
    assert "There is a version" in signed_in.post(add, {"version": "1.0.0"}).content.decode()


def test_a_script_gets_the_address_of_the_next_page(signed_in: Client, make: Any) -> None:
    version = make(released=False)
    upload = reverse("admin:package_upload", args=[version.package_id, 1])
    body = {"file": SimpleUploadedFile("agent.zip", CONTENT), "os_type": "linux"}
    answer = signed_in.post(upload, body, headers={"Accept": "application/json"})
    assert answer.json() == {"page": reverse("admin:packages_package_change", args=[version.package_id])}


def test_an_edit_that_came_late_is_refused(signed_in: Client, make: Any) -> None:
    package = make().package
    page = reverse("admin:packages_package_change", args=[package.pk])
    assert signed_in.post(page, typed(based_on=package.edition, priority="3")).status_code == 302
    assert (
        "Somebody else has changed"
        in signed_in.post(page, typed(based_on=package.edition, priority="4")).content.decode()
    )
    package.refresh_from_db()
    assert (package.priority, package.name) == (3, "agent")


def test_stages_are_shown_before_anything_is_released(signed_in: Client, make: Any, report: Any) -> None:
    version = make(released=False)
    report(env="prod", capabilities=ACCEPTS)
    url = reverse("admin:package_release", args=[version.package_id, 1])
    form = {"release-how": "staged", "release-stages": "1"}
    assert "Stage 1" in signed_in.post(url, {**form, "stage": "stages"}).content.decode()
    assert not Rollout.objects.exists()
    assert signed_in.post(url, form)["Location"] == reverse(
        "admin:rollouts_rollout_change", args=[Rollout.objects.get().pk]
    )
    watched = signed_in.get(reverse("admin:rollouts_rollout_change", args=[Rollout.objects.get().pk]))
    assert watched.status_code == 200


def test_versions_and_files_are_deleted_while_nobody_has_them(
    signed_in: Client, make: Any, django_capture_on_commit_callbacks: Any
) -> None:
    version = make(released=False)
    file = version.artefacts.get()
    url = reverse("admin:package_delete_file", args=[version.package_id, 1, file.pk])
    assert signed_in.get(url).status_code == 405
    with django_capture_on_commit_callbacks(execute=True):
        assert signed_in.post(url).status_code == 302
    assert store.files() == []
    delete = reverse("admin:package_delete_version", args=[version.package_id, 1])
    assert "Its files are deleted too." in signed_in.get(delete).content.decode()
    assert signed_in.post(delete).status_code == 302
    assert not PackageVersion.objects.exists()
    assert signed_in.get(delete).status_code == 404


def test_a_viewer_sees_and_changes_nothing(client: Client, bob: Any, charlie: Any, make: Any) -> None:
    version = make()
    client.force_login(bob)
    page = client.get(reverse("admin:packages_package_change", args=[version.package_id]))
    assert page.status_code == 200
    assert "Add a version" not in page.content.decode()
    for name, arguments in (
        ("package_add_version", [version.package_id]),
        ("package_upload", [version.package_id, 1]),
        ("package_release", [version.package_id, 1]),
        ("package_delete_version", [version.package_id, 1]),
    ):
        assert client.post(reverse(f"admin:{name}", args=arguments)).status_code == 403
    client.force_login(charlie)
    assert client.get(LIST).status_code == 403


class TestPolicy:
    """How later versions go out."""

    STAGED = {"release-how": "staged", "release-stages": "1\n50%", "release-applied_percent": "90"}

    def page_of(self, package: Package) -> str:
        return reverse("admin:packages_package_change", args=[package.pk])

    def url_of(self, package: Package) -> str:
        return reverse("admin:package_policy", args=[package.pk])

    def test_it_is_chosen_shown_and_followed(self, signed_in: Client, make: Any, report: Any) -> None:
        for name in ("web-1", "web-2"):
            report(name, env="prod", capabilities=ACCEPTS)
        version = make(released=False)
        package = version.package
        assert "as it is set for everything" in signed_in.get(self.page_of(package)).content.decode()
        edition = {"release-edition": str(package.edition)}
        shown = signed_in.post(self.url_of(package), {**self.STAGED, **edition, "stage": "stages"})
        assert "Stage 1" in shown.content.decode()
        package.refresh_from_db()
        assert package.rollout_policy is None
        saved = signed_in.post(self.url_of(package), {**self.STAGED, **edition})
        assert saved["Location"] == self.page_of(package)
        package.refresh_from_db()
        assert package.rollout_policy["stages"] == [{"count": 1}, {"percent": 50}, {"percent": 100}]
        assert package.rollout_policy["gate"]["applied_percent"] == 90
        page = signed_in.get(self.page_of(package)).content.decode()
        assert "1 agent → 50 % of the agents" in page
        assert "as it was chosen for this package" in page
        form = signed_in.get(self.url_of(package)).content.decode()
        assert "1\n50%\n100%" in form
        release = reverse("admin:package_release", args=[package.pk, 1])
        assert signed_in.post(release, {"release-how": "as_set"}).status_code == 302
        assert Rollout.objects.get().parsed_policy().stages[0].count == 1
        assert AuditEntry.objects.filter(verb="package.update").count() == 1

    def test_back_to_what_holds_for_everything(self, signed_in: Client, make: Any) -> None:
        package = make(released=False).package
        Package.objects.filter(pk=package.pk).update(rollout_policy="at_once")
        signed_in.post(self.url_of(package), {"release-how": "as_set"})
        package.refresh_from_db()
        assert package.rollout_policy is None
        signed_in.post(self.url_of(package), {"release-how": "at_once"})
        package.refresh_from_db()
        assert package.rollout_policy == "at_once"

    def test_what_is_no_policy_or_of_before_changes_nothing(self, signed_in: Client, make: Any) -> None:
        package = make(released=False).package
        for typed in (
            {**self.STAGED, "release-stages": "x y z"},
            {**self.STAGED, "release-applied_percent": "900"},
            {},
        ):
            answer = signed_in.post(self.url_of(package), typed)
            assert answer.status_code == 200, answer
        answer = signed_in.post(self.url_of(package), {**self.STAGED, "release-edition": str(package.edition + 1)})
        assert "Somebody else has changed the package" in answer.content.decode()
        package.refresh_from_db()
        assert package.rollout_policy is None
        assert signed_in.get(reverse("admin:package_policy", args=[999_999])).status_code == 404

    def test_the_way_of_a_release_may_be_that_of_later_ones(self, signed_in: Client, make: Any, report: Any) -> None:
        report(env="prod", capabilities=ACCEPTS)
        package = make(released=False).package
        release = reverse("admin:package_release", args=[package.pk, 1])
        assert "Let this be the way for later versions too" in signed_in.get(release).content.decode()
        assert signed_in.post(release, {**self.STAGED, "release-remember": "on"}).status_code == 302
        package.refresh_from_db()
        assert package.rollout_policy["stages"][0] == {"count": 1}
        assert Rollout.objects.count() == 1

    def test_a_release_that_is_refused_chooses_nothing(self, signed_in: Client, make: Any) -> None:
        package = make(released=True).package
        release = reverse("admin:package_release", args=[package.pk, 1])
        answer = signed_in.post(release, {**self.STAGED, "release-remember": "on"})
        assert "released to everybody already" in answer.content.decode()
        package.refresh_from_db()
        assert package.rollout_policy is None
