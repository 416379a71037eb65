"""Export and import of all configurations in the admin."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry
from agents.remote_config import ConfigFile
from configurations.admin import archive_pages
from configurations.models import Configuration, Revision
from configurations.services.drafts import Draft
from configurations.services.publishing import create_configuration

pytestmark = pytest.mark.django_db
SECRET = "exporters:\n  otlp:\n    endpoint: a:4317\n    headers:\n      authorization: Bearer abcdefgh12345678\n"


def make(name, text=SECRET, **fields):
    draft = Draft(files={"": ConfigFile(text.encode(), "text/yaml")}, selector={"env": name}, **fields)
    return create_configuration(name, draft, by=None, at=timezone.now())[0]


@pytest.fixture
def pages(client, alice):
    client.force_login(alice)
    return client


def exported(client):
    answer = client.get(reverse("admin:configurations_export"))
    assert (answer.status_code, answer["content-type"]) == (200, "application/zip")
    return answer.content


def changed(body, old, new, *, without=""):
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as former, zipfile.ZipFile(made, "w") as archive:
        for name in former.namelist():
            if not without or not name.startswith(without):
                archive.writestr(name, former.read(name).decode().replace(old, new))
    return made.getvalue()


def upload(client, body, **fields):
    archive = SimpleUploadedFile("c.zip", body, content_type="application/zip")
    return client.post(reverse("admin:configurations_import"), {"archive": archive, **fields})


def confirm(client, page):
    text = page.content.decode()
    fields = dict(re.findall(r'<input type="hidden" name="(carried|shown|prune)" value="([^"]*)"', text))
    return client.post(reverse("admin:configurations_import"), fields)


def test_what_is_exported_has_no_secrets_and_changes_nothing(pages):
    make("web")
    make("db", priority=3)
    body = exported(pages)
    assert exported(pages) == body
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert set(archive.namelist()) == {
            f"{name}/{file}" for name in ("web", "db") for file in ("configuration.yaml", "main.yaml")
        }
        assert b"abcdefgh" not in b"".join(archive.read(name) for name in archive.namelist())
    page = upload(pages, body, prune="on")
    assert "Everything is as the archive says already." in page.content.decode()


def test_an_import_is_shown_and_then_published(pages):
    make("web")
    make("gone")
    body = changed(exported(pages), "a:4317", "a:4317\n    timeout: 5s", without="gone/")
    body = changed(body, "priority: 0", "priority: 8")
    before = Revision.objects.count(), AuditEntry.objects.count()
    page = upload(pages, body, prune="on")
    text = page.content.decode()
    assert "timeout: 5s" in text
    assert "Publish (2 configurations)" in text
    assert "abcdefgh" not in text
    assert (Revision.objects.count(), AuditEntry.objects.count()) == before
    answer = confirm(pages, page)
    assert answer.status_code == 302
    row = Configuration.objects.get()
    assert (row.name, row.priority, row.current.author_name) == ("web", 8, "alice")
    stored = row.current.files[""]["body"]
    assert ("timeout: 5s" in stored, "Bearer abcdefgh12345678" in stored) == (True, True)


def test_another_plan_than_the_one_shown_is_not_carried_out(pages):
    row = make("web")
    page = upload(pages, changed(exported(pages), "priority: 0", "priority: 8"))
    Configuration.objects.filter(pk=row.pk).update(edition=2)
    answer = confirm(pages, page)
    assert "Somebody edited configurations meanwhile" in answer.content.decode()
    assert Configuration.objects.get().priority == 0


def test_what_is_wrong_is_said(pages, monkeypatch):
    make("web")
    body = exported(pages)
    for broken, said in [
        (b"no zip", "This is no zip archive."),
        (b"", "The submitted file is empty."),
        (changed(body, "name: web", "nmae: web"), "nmae: There is no such field"),
        (changed(body, "match_all: false", "match_all: ["), "web/configuration.yaml, line"),
        (changed(body, "exporters:", "exporters: ["), "web: raw_config: "),
    ]:
        page = upload(pages, broken)
        assert (page.status_code, said in page.content.decode()) == (200, True), (said, page.content.decode()[-3000:])
    monkeypatch.setattr(archive_pages, "_MOST_BYTES", 10)
    assert "more than 10 bytes" in upload(pages, body).content.decode()
    answer = pages.post(reverse("admin:configurations_import"), {"carried": "%%%", "shown": "x"})
    assert "Choose an archive." in answer.content.decode()


def test_rights(client, alice, bob, charlie):
    make("web", "receivers:\n  otlp: {}\n")
    client.force_login(alice)
    body = exported(client)
    client.force_login(bob)
    assert exported(client) == body
    listed = client.get(reverse("admin:configurations_configuration_changelist")).content.decode()
    assert (">Export<" in listed, ">Import<" in listed) == (True, False)
    assert upload(client, body).status_code == 403
    bob.user_permissions.add(Permission.objects.get(codename="change_configuration"))
    assert ">Import<" in client.get(reverse("admin:configurations_configuration_changelist")).content.decode()
    page = upload(client, changed(body, "name: web", "name: new"))
    assert "configurations.add_configuration" in page.content.decode()
    client.force_login(charlie)
    assert client.get(reverse("admin:configurations_export")).status_code == 403
