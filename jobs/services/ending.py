"""How a job ends, wherever that is decided: one that did not come to its end leaves no file behind."""

from __future__ import annotations

from datetime import datetime

from jobs.models import Job, JobFile, JobState


def end_job(row: Job, state: JobState, at: datetime) -> None:
    """In the caller's transaction, who saves ``row``. What its file is made of is taken away by `job_files.clear_files`."""
    row.state, row.ended_at, row.lease_until, row.task_id = state, at, None, None
    if state != JobState.DONE:
        JobFile.objects.filter(job=row, removed_at=None).update(removed_at=at)
