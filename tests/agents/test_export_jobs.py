"""The list of agents as a file that a job makes: the same file as is sent at once, whole or not at all, and for whom it is."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.test import Client
from moto.server import ThreadedMotoServer

from accounts.models import AuditEntry, User
from agents.agent_columns import columns_named
from agents.models import Agent
from agents.services import export_jobs
from agents.services.export_jobs import start_export
from foundation.clock import clock
from jobs.errors import TooManyFiles
from jobs.models import Job, JobFile, JobFilePart
from jobs.services import job_files, rescuing, running
from jobs.services.starting import cancel_job, retry_job
from opamp_platform.operations.stores import bucket_store
from tests.agents.admin_pages import LIST
from tests.jobs.working import one_connection, work

pytestmark = pytest.mark.django_db
__all__ = ["one_connection"]
URL = "/api/v1/agents:export"


@pytest.fixture(autouse=True)
def store(tmp_path: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, one_connection: None) -> Any:
    """A folder of this test, and slices of two agents."""
    options = {"location": str(tmp_path / "files")}
    backend = "django.core.files.storage.FileSystemStorage"
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": backend, "OPTIONS": options}}
    monkeypatch.setattr(export_jobs, "SLICE", 2)
    return tmp_path / "files" / "jobs"


@pytest.fixture
def fleet(report: Any) -> list[Agent]:
    return [report(f"h{number}", env="prod") for number in range(5)]


def files_in(store: Any) -> list[str]:
    return sorted(path.name for path in store.rglob("*") if path.is_file()) if store.exists() else []


def content(answer: Any) -> bytes:
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)


def begun(by: User, kind: str = "csv") -> Job:
    keys = list(Agent.objects.values_list("pk", flat=True))
    return start_export(keys, columns_named(["hostname", "label:env"]), kind, by=by, query="env=prod")


def stands(job: Job) -> str:
    job.refresh_from_db()
    return job.state


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_it_is_the_file_that_is_sent_at_once(api_of, bob, fleet, store, kind):
    api = api_of(bob)
    asked = {"format": kind, "columns": ["hostname", "label:env", "status"], "filter": {"q": "env=prod"}}
    answer = api.post(URL, asked)
    assert answer.status_code == 202, answer.content
    job = answer.json()
    assert (job["state"], job["total"], job["file"]) == ("waiting", 5, None)
    assert answer["Location"].endswith(f"/api/v1/jobs/{job['id']}")
    assert api.get(f"/api/v1/jobs/{job['id']}/file").status_code == 404
    assert work() == 3
    done = api.get(f"/api/v1/jobs/{job['id']}").json()
    assert (done["state"], done["done"], done["percent"]) == ("done", 5, 100)
    file = api.get(done["file"]["url"])
    expected = content(api.get(URL, {"format": kind, "columns": "hostname,label:env,status", "q": "env=prod"}))
    assert content(file) == expected
    assert file["content-length"] == str(len(expected)) == str(done["file"]["size"])
    assert file["content-disposition"] == f'attachment; filename="agents.{kind}"'
    assert file["x-content-type-options"] == "nosniff"
    assert file["cache-control"] == "no-store"
    assert len(files_in(store)) == 3
    entry = AuditEntry.objects.get(verb="agent.export", data__job=job["id"])
    assert entry.data["columns"] == ["hostname", "label:env", "status"]
    assert AuditEntry.objects.filter(verb="job.download", object_id=str(job["id"])).count() == 1


def test_no_cell_is_a_formula_and_no_secret_leaves(api_of, alice, report):
    agent = report("a", password="hunter2-secret-value")
    Agent.objects.filter(pk=agent.pk).update(name="=cmd|' /C calc'!A0")
    job = api_of(alice).post(URL, {"match_all": True, "columns": ["name", "labels", "label:password"]}).json()
    work()
    text = content(api_of(alice).get(f"/api/v1/jobs/{job['id']}/file")).decode()
    (row,) = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    assert row["name"] == "'=cmd|' /C calc'!A0"
    assert "hunter2" not in text


def test_no_agents_are_a_file_too(api_of, bob, store):
    job = api_of(bob).post(URL, {"match_all": True, "columns": ["hostname"]}).json()
    work()
    assert content(api_of(bob).get(f"/api/v1/jobs/{job['id']}/file")).decode() == "\ufeffhostname\r\n"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "filter"),
        ({"match_all": True, "columns": ["nope"]}, "columns"),
        ({"match_all": True, "columns": [f"label:{number}" for number in range(51)]}, "columns"),
        ({"match_all": True, "format": "xlsx"}, "format"),
        ({"filter": {"q": "statsu:x"}}, "q"),
        ({"match_all": True, "nonsense": 1}, "nonsense"),
    ],
)
def test_mistakes_start_nothing(api_of, bob, asked, field):
    answer = api_of(bob).post(URL, asked)
    assert answer.status_code == 400
    assert field in answer.json()["errors"]
    assert not Job.objects.exists()
    assert api_of(bob).post(f"{URL}?q=env", {"match_all": True}).status_code == 400


class TestWhoseItIs:
    """Its owner's and administrators', while they may see agents."""

    def test_others_have_no_such_file(self, api_of, alice, bob, charlie, fleet):
        job = begun(bob)
        work()
        url = f"/api/v1/jobs/{job.pk}/file"
        other = User.objects.create_user("dora", password="x", is_staff=True)
        other.groups.set(bob.groups.all())
        assert api_of(bob).get(url).status_code == 200
        assert api_of(alice).get(url).status_code == 200
        assert api_of(other).get(url).status_code == 404
        assert api_of(charlie).get(url).status_code == 404
        assert api_of(None).get(url).status_code == 401
        bob.groups.clear()
        assert api_of(User.objects.get(pk=bob.pk)).get(url).status_code == 403

    def test_whoever_may_not_see_agents_starts_none(self, api_of, charlie, client, fleet):
        assert api_of(charlie).post(URL, {"match_all": True}).status_code == 403
        client.force_login(charlie)
        assert client.post(f"{LIST}export/").status_code == 403
        assert not Job.objects.exists()

    def test_a_right_that_is_lost_meanwhile_leaves_nothing(self, bob, fleet, store):
        job = begun(bob)
        work(1)
        assert len(files_in(store)) == 1
        bob.groups.clear()
        work()
        assert stands(job) == "failed"
        job_files.clear_files(clock.now())
        assert files_in(store) == []


class TestPages:
    """Buttons in the list, and the page of the job."""

    def test_a_button_starts_it_and_the_page_has_the_file(self, client: Client, bob, fleet):
        client.force_login(bob)
        page = client.get(LIST, {"q": "host:h1"})
        exports = dict(page.context["cl"].views["exports"])
        assert f'action="{LIST}export/?{exports["csv"]}"'.replace("&", "&amp;") in page.content.decode()
        answer = client.post(f"{LIST}export/?{exports['csv']}")
        job = Job.objects.get()
        assert answer["location"] == f"/admin/jobs/job/{job.pk}/change/"
        url = f"/admin/jobs/job/{job.pk}/file/"
        waiting = client.get(url)
        assert waiting.status_code == 404
        assert "not finished yet" in waiting.content.decode()
        work()
        assert url in client.get(answer["location"]).content.decode()
        assert b"h1" in content(client.get(url))
        assert client.post(url).status_code == 405

    def test_too_many_at_a_time_are_refused_on_the_page(self, client: Client, bob, fleet):
        client.force_login(bob)
        for _ in range(job_files.MOST_UNDER_WAY):
            begun(bob)
        answer = client.post(f"{LIST}export/", follow=True)
        assert "are being made for you already" in answer.content.decode()


class TestWhatStays:
    """Nothing of a file that is not whole, and nothing for ever."""

    def test_a_cancelled_one_leaves_nothing_and_begins_anew(self, api_of, bob, fleet, store):
        job = begun(bob)
        work(2)
        cancel_job(job.pk, by=bob)
        assert api_of(bob).get(f"/api/v1/jobs/{job.pk}/file").status_code == 410
        assert job_files.clear_files(clock.now()) == 1
        assert files_in(store) == []
        assert job_files.clear_files(clock.now()) == 0
        retry_job(job.pk, by=bob)
        job.refresh_from_db()
        assert (job.done, job.cursor) == (0, None)
        work()
        assert (stands(job), job.done) == ("done", 5)
        lines = content(api_of(bob).get(f"/api/v1/jobs/{job.pk}/file")).decode().split()
        assert len(lines) == len(set(lines)) == 6

    def test_a_slice_that_runs_twice_writes_its_rows_once(self, api_of, bob, fleet, store):
        """The worker dies after it wrote, before it booked; the next one begins the same slice again."""
        job = begun(bob)
        work(1)
        job.refresh_from_db()
        claimed = running._claim(job.pk, job.task_id)
        export_jobs._write_some(claimed, claimed.cursor, clock.now())
        assert len(files_in(store)) == 2
        assert rescuing.rescue_jobs(clock.now() + timedelta(seconds=61)) == 1
        # The one that was taken for dead writes on: that counts nothing and stays nowhere.
        with pytest.raises(running.JobTaken):
            export_jobs._write_some(claimed, claimed.cursor, clock.now())
        assert len(files_in(store)) == 2
        work()
        assert (stands(job), job.done, job.lost) == ("done", 5, 1)
        lines = content(api_of(bob).get(f"/api/v1/jobs/{job.pk}/file")).decode().removeprefix("\ufeff").split()
        assert [line.partition(",")[0] for line in lines] == ["hostname", "h0", "h1", "h2", "h3", "h4"]
        assert len(files_in(store)) == 3

    def test_one_that_grows_too_large_fails_at_once(self, settings, bob, fleet, store):
        settings.JOB_FILE_MAX_SIZE = 40
        job = begun(bob)
        work()
        assert (stands(job), job.attempt) == ("failed", 0)
        assert "larger than 40 bytes" in str(job.error_message)
        job_files.clear_files(clock.now())
        assert files_in(store) == []

    def test_it_goes_when_its_time_is_over(self, settings, api_of, bob, fleet, store, monkeypatch):
        job = begun(bob)
        work()
        later = clock.now() + timedelta(hours=settings.JOB_FILES_KEPT_HOURS, seconds=1)
        assert job_files.clear_files(later) == 1
        assert files_in(store) == []
        answer = api_of(bob).get(f"/api/v1/jobs/{job.pk}/file")
        assert answer.status_code == 410
        assert "have it made again" in answer.json()["detail"]
        assert api_of(bob).get(f"/api/v1/jobs/{job.pk}").json()["file"] is None

    def test_a_file_that_vanished_is_said_before_anything_is_sent(self, api_of, bob, fleet, store):
        job = begun(bob)
        work()
        default_storage.delete(JobFilePart.objects.order_by("-pk").first().key)
        answer = api_of(bob).get(f"/api/v1/jobs/{job.pk}/file")
        assert (answer.status_code, answer.json()["code"]) == (410, "job-file-lost")

    def test_what_no_job_has_is_swept(self, bob, fleet, store):
        default_storage.save("jobs/" + "a" * 32 + "/000-x", ContentFile(b"left"))
        job = begun(bob)
        work()
        job_files.sweep_store(clock.now())
        assert len(files_in(store)) == 3
        job.delete()
        job_files.sweep_store(clock.now())
        assert files_in(store) == []
        assert not any(store.iterdir())

    def test_a_person_has_so_many(self, bob, fleet, monkeypatch):
        monkeypatch.setattr(job_files, "MOST_KEPT", 2)
        jobs = []
        for _ in range(3):
            jobs.append(begun(bob))
            work()
        assert [file.removed_at is None for file in JobFile.objects.order_by("pk")] == [False, True, True]
        for _ in range(job_files.MOST_UNDER_WAY):
            begun(bob)
        with pytest.raises(TooManyFiles):
            begun(bob)
        assert Job.objects.live().count() == job_files.MOST_UNDER_WAY

    def test_in_a_bucket(self, api_of, bob, fleet, settings):
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            bucket = bucket_store("exports", f"http://{host}:{port}", "key", "secret")
            settings.STORAGES = {**settings.STORAGES, "default": bucket}
            default_storage.connection.create_bucket(Bucket="exports")
            job, cancelled = begun(bob), begun(bob)
            work(2)
            cancel_job(cancelled.pk, by=bob)
            work()
            lines = content(api_of(bob).get(f"/api/v1/jobs/{job.pk}/file")).decode().split()
            assert len(lines) == 6
            job_files.clear_files(clock.now())
            job_files.sweep_store(clock.now())
            assert len(list(default_storage.bucket.objects.all())) == 3
        finally:
            server.stop()

    def test_agents_that_went_meanwhile_are_left_out(self, bob, fleet):
        job = begun(bob, "jsonl")
        fleet[4].delete()
        work()
        assert (stands(job), job.done, job.skipped) == ("done", 4, 1)
        _file, parts = job_files.file_of(job)
        names = [json.loads(line)["hostname"] for line in b"".join(job_files.file_pieces(parts)).splitlines()]
        assert names == ["h0", "h1", "h2", "h3"]

    def test_a_store_that_is_away_is_tried_again(self, bob, fleet, store, monkeypatch):
        def away(*_args: Any, **_options: Any) -> str:
            raise OSError(28, "No space left on device")

        job = begun(bob)
        with monkeypatch.context() as patch:
            patch.setattr(FileSystemStorage, "save", away)
            work(1)
        assert (stands(job), job.attempt) == ("running", 1)
        assert "out of reach" in str(job.error_message)
        work()
        assert stands(job) == "done"
