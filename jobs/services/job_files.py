"""Files that jobs make, in the store of the settings, a folder or a bucket: a part of each slice, and read as one.

A part has a name of its own with each attempt, and its row is written under the lock of the job: what a worker writes that has lost
the job is taken away, and no row stands in the file twice. What is to go is marked in the transaction that decides it, and
cleared by the leading process, as often as it takes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from uuid import uuid4

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DatabaseError, transaction

from foundation.clock import clock
from foundation.messages import Message
from jobs.errors import FileStoreAway, JobFileGone, JobTaken, NoJobFile, NoUseTrying, TooManyFiles
from jobs.models import LIVE, Job, JobFile, JobFilePart, JobState

logger = logging.getLogger(__name__)

FOLDER = "jobs"
CLEAR_SECONDS = 5.0
SWEEP_SECONDS = 3_600.0
# Of one person: under way at a time, and kept; beyond that the oldest go.
MOST_UNDER_WAY = 3
MOST_KEPT = 20
_CLEARED_AT_ONCE = 10
_CHUNK = 256 * 1024


def begin_file(job: Job, filename: str, content_type: str) -> JobFile:
    """Say that ``job`` makes a file; in the transaction that starts it. Raises `TooManyFiles`."""
    own = JobFile.objects.filter(job__started_by=job.started_by_id, removed_at=None).exclude(job=job)
    if own.filter(job__state__in=LIVE).count() >= MOST_UNDER_WAY:
        raise TooManyFiles(
            Message(
                "too-many-job-files",
                "{most} files are being made for you already: wait for one of them, or cancel it.",
                most=MOST_UNDER_WAY,
            )
        )
    surplus = own.filter(job__state=JobState.DONE).order_by("-pk").values_list("pk", flat=True)[MOST_KEPT - 1 :]
    JobFile.objects.filter(pk__in=list(surplus)).update(removed_at=clock.now())
    return JobFile.objects.create(job=job, folder=uuid4().hex, filename=filename, content_type=content_type)


def write_part(job: Job, place: int, data: bytes) -> None:
    """Have ``data`` stand at ``place``, instead of what an earlier attempt of the same slice wrote there.

    Outside of any transaction. Raises `FileStoreAway`, `JobTaken`, and `NoUseTrying` when the file grows too large.
    """
    file = JobFile.objects.filter(job=job, removed_at=None).first()
    if file is None:
        raise JobTaken
    before = sum(file.parts.filter(place__lt=place).values_list("size", flat=True))
    if before + len(data) > settings.JOB_FILE_MAX_SIZE:
        raise NoUseTrying(
            Message(
                "job-file-too-large",
                "The file is larger than {most} bytes: have fewer agents or columns in it.",
                most=settings.JOB_FILE_MAX_SIZE,
            )
        )
    wanted = f"{FOLDER}/{file.folder}/{place:09}-{uuid4().hex[:12]}"
    with _telling():
        key = default_storage.save(wanted, ContentFile(data))
    try:
        replaced = _book_part(job, file, place, key, len(data))
    except BaseException:
        _delete(key)
        raise
    if replaced:
        _delete(replaced)


@transaction.atomic
def _book_part(job: Job, file: JobFile, place: int, key: str, size: int) -> str:
    """The key of what stood there before; the job is locked, so it is ours until the commit."""
    held = Job.objects.select_for_update().filter(pk=job.pk, task_id=job.task_id, lease_until__isnull=False)
    if held.first() is None or not JobFile.objects.filter(pk=file.pk, folder=file.folder, removed_at=None).exists():
        raise JobTaken
    before = file.parts.filter(place=place).first()
    JobFilePart.objects.update_or_create(file=file, place=place, defaults={"key": key, "size": size})
    return before.key if before else ""


def finish_file(job: Job, at: datetime) -> None:
    """The job has come to its end: from now on the file is offered, for a while. In the caller's transaction."""
    file = JobFile.objects.filter(job=job, removed_at=None).first()
    if file is not None:
        file.size = sum(file.parts.values_list("size", flat=True))
        file.expires_at = at + timedelta(hours=settings.JOB_FILES_KEPT_HOURS)
        file.save(update_fields=["size", "expires_at"])


def begin_anew(job: Job) -> None:
    """A job that makes a file starts from its beginning when it is taken up again, for nothing of it was kept."""
    file = JobFile.objects.select_for_update().filter(job=job).first()
    if file is None:
        return
    # What the former folder has is found by `sweep_store`.
    file.parts.all().delete()
    file.folder, file.size, file.expires_at, file.removed_at, file.cleared_at = uuid4().hex, 0, None, None, None
    file.save()
    job.results.all().delete()
    job.cursor, job.done, job.skipped, job.failed = None, 0, 0, 0


# --- Reading ---------------------------------------------------------------------------------------------------------


def file_of(job: Job) -> tuple[JobFile, list[JobFilePart]]:
    """The finished file. Raises `NoJobFile`, `JobFileGone`, `FileStoreAway`."""
    file = JobFile.objects.filter(job=job).first()
    if file is None:
        raise NoJobFile(Message("job-has-no-file", "This job makes no file."))
    if job.is_live:
        raise NoJobFile(Message("job-file-unfinished", "The file is not finished yet."))
    expired = file.expires_at is not None and file.expires_at <= clock.now()
    if job.state != JobState.DONE or file.removed_at is not None or expired:
        raise JobFileGone(Message("job-file-gone", "The file is not kept any more: have it made again."))
    parts = list(file.parts.order_by("place"))
    with _telling():
        present = set(_names_in(file.folder))
    if not {part.key.rpartition("/")[2] for part in parts} <= present:
        logger.warning("a file of a job is not in the store any more", extra={"job": job.pk})
        raise JobFileGone(Message("job-file-lost", "The file is not in the store any more: have it made again."))
    return file, parts


def file_pieces(parts: list[JobFilePart]) -> Iterator[bytes]:
    """The parts as one file, in pieces of bounded size. An answer that breaks off is seen by its length to be incomplete."""
    for part in parts:
        with default_storage.open(part.key, "rb") as stored:
            while piece := stored.read(_CHUNK):
                yield piece


# --- Taking away -----------------------------------------------------------------------------------------------------


def clear_files(at: datetime) -> int:
    """Take away what is marked for it, or older than is kept; returns how many files that were. A chore."""
    expired = JobFile.objects.filter(removed_at=None, expires_at__lte=at)
    # Of SQLite even a change of nothing takes the one lock.
    if expired.exists():
        expired.update(removed_at=at)
    cleared = 0
    for file in JobFile.objects.filter(removed_at__isnull=False, cleared_at=None).order_by("pk")[:_CLEARED_AT_ONCE]:
        try:
            _empty(file.folder)
        except FileStoreAway:
            logger.warning("a file of a job stays until the store is back", extra={"job": file.job_id})
            return 0
        with transaction.atomic():
            mine = JobFile.objects.filter(pk=file.pk, folder=file.folder, removed_at__isnull=False)
            cleared += mine.update(cleared_at=at)
            if mine.exists():
                file.parts.all().delete()
    return cleared


def sweep_store(_at: datetime) -> None:
    """Take away folders that no file has: of jobs that are deleted or begun anew, and of workers that died. A chore."""
    with suppress(FileStoreAway), _telling(), suppress(FileNotFoundError):
        for folder in default_storage.listdir(FOLDER)[0]:
            if not JobFile.objects.filter(folder=folder, cleared_at=None).exists():
                _empty(folder)


def _empty(folder: str) -> None:
    with _telling():
        for name in _names_in(folder):
            default_storage.delete(f"{FOLDER}/{folder}/{name}")
        # In a bucket there are no folders.
        default_storage.delete(f"{FOLDER}/{folder}")


def _names_in(folder: str) -> list[str]:
    try:
        return list(default_storage.listdir(f"{FOLDER}/{folder}")[1])
    except FileNotFoundError:
        return []


def _delete(key: str) -> None:
    """What cannot be taken away now is found later."""
    with suppress(FileStoreAway), _telling():
        default_storage.delete(key)


@contextmanager
def _telling() -> Iterator[None]:
    """Whatever a store raises is told as one thing."""
    try:
        yield
    except (FileStoreAway, DatabaseError):
        raise
    except Exception as error:
        said = Message(
            "job-store-away",
            "The store of files is out of reach; try again later. ({reason})",
            reason=(str(error).splitlines() or [""])[0][:200] or type(error).__name__,
        )
        raise FileStoreAway(said) from error
