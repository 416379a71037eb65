"""Workers as processes: within the server, elsewhere, and killed in the middle of a slice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.live_server import ROOT, LiveServer

SECONDS = 60
RELABEL = {"action": "relabel", "match_all": True, "parameters": {"set": {"a": "b"}}}
# Two kinds under one name: the first never ends its slice, the second does what is left.
HANGING = """
import django, sys, time
django.setup()
from django.utils import timezone
from foundation.messages import Message
from jobs import job_worker
from jobs.kinds import JobKind, Result, Slice, register_job_kind
from jobs.outcomes import Outcome
from jobs.services.starting import start_job

def run_slice(job, cursor, now):
    place = cursor or 0
    if place == 2:
        job.__class__.objects.create(kind="never", title={}, started_by_name="", run_after=now, created_at=now)
        print(job.pk, flush=True)
        time.sleep(600)
    return Slice(results=[Result(str(item), Outcome.DONE) for item in job.items_from(place, 2)], cursor=place + 2)

register_job_kind(JobKind("test.hang", Message("test-hang", "Hang"), run_slice, atomic=True))
start_job("test.hang", by=None, items=[0, 1, 2, 3, 4])
while True:
    job_worker.work_once(timezone.now())
"""
GOING_ON = """
import django, json
django.setup()
from datetime import timedelta
from django.utils import timezone
from foundation.messages import Message
from jobs import job_worker
from jobs.kinds import JobKind, Result, Slice, register_job_kind
from jobs.models import Job
from jobs.outcomes import Outcome
from jobs.services.rescuing import rescue_jobs

def run_slice(job, cursor, now):
    items = job.items_from(cursor or 0, 2)
    done = [Result(str(item), Outcome.DONE) for item in items]
    return Slice(results=done, cursor=(cursor or 0) + 2 if len(items) == 2 else None)

register_job_kind(JobKind("test.hang", Message("test-hang", "Hang"), run_slice, atomic=True))
before = rescue_jobs(timezone.now())
after = rescue_jobs(timezone.now() + timedelta(seconds=61))
Job.objects.filter(kind="test.hang").update(run_after=timezone.now())
from django_tasks_db.models import DBTaskResult
DBTaskResult.objects.filter(status="READY").update(run_after=timezone.now())
while job_worker.work_once(timezone.now()):
    pass
job = Job.objects.get(kind="test.hang")
print(json.dumps([before, after, job.state, job.done, job.lost, job.results.count(), Job.objects.count()]))
"""


def ended(server: LiveServer, job: int) -> dict[str, Any]:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        found: dict[str, Any] = server.api("GET", f"/api/v1/jobs/{job}").json
        if found["state"] in {"done", "failed"}:
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def test_the_server_works_on_jobs_itself(portal: LiveServer):
    started = portal.api("POST", "/api/v1/agents:act", RELABEL)
    assert started.status == 202
    assert ended(portal, started.json["id"])["state"] == "done"


def test_a_worker_elsewhere(tmp_path: Path):
    with LiveServer(tmp_path, JOBS_WORKER="false") as server:
        job = server.api("POST", "/api/v1/agents:act", RELABEL).json["id"]
        time.sleep(2)
        assert server.api("GET", f"/api/v1/jobs/{job}").json["state"] == "waiting"
        command = [sys.executable, "manage.py", "db_worker", "--no-startup-delay"]
        worker = subprocess.Popen(command, cwd=ROOT, env=server.environment, stderr=subprocess.PIPE)
        try:
            assert ended(server, job)["state"] == "done"
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=SECONDS)
            assert worker.returncode == 0
        finally:
            worker.kill()
            worker.communicate()


def test_a_killed_worker_leaves_nothing_half_done_and_another_goes_on(tmp_path: Path):
    with LiveServer(tmp_path, JOBS_WORKER="false") as server:
        environment = {**server.environment, "DJANGO_SETTINGS_MODULE": "opamp_platform.settings"}
        command = [sys.executable, "-c", HANGING]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as worker:
            try:
                assert worker.stdout is not None
                assert worker.stdout.readline().strip().isdigit()
            finally:
                worker.kill()
        answer = subprocess.run(
            [sys.executable, "-c", GOING_ON],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            timeout=SECONDS,
            check=True,
        )
        # Two items before, three after; the row of the slice that was killed went with its transaction.
        assert json.loads(answer.stdout) == [0, 1, "done", 5, 1, 5, 1]
