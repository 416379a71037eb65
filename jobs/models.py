"""Rows about jobs: the job itself, what it is about, what became of each item."""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from foundation.languages import in_readers_language
from foundation.messages import Message
from jobs.outcomes import Outcome


class JobState(models.TextChoices):
    """How a job stands. A job whose worker died is ``running`` until it is taken again."""

    WAITING = "waiting", _("waiting")
    RUNNING = "running", _("running")
    CANCELLING = "cancelling", _("being cancelled")
    CANCELLED = "cancelled", _("cancelled")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")


LIVE = (JobState.WAITING, JobState.RUNNING, JobState.CANCELLING)


class JobQuerySet(models.QuerySet["Job"]):
    """The vocabulary of reading jobs."""

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see, cancel and retry: administrators all jobs, everybody else those they started."""
        if not user.is_active:
            return self.none()
        return self if user.is_superuser else self.filter(started_by=user.pk)

    def live(self) -> Self:
        """Those that have not ended."""
        return self.filter(state__in=LIVE)


class Job(models.Model):
    """Work of one `jobs.kinds.JobKind`, done in slices.

    ``task_id`` is the one task of the library that may work on it: whoever holds another one has lost the job.
    ``lease_until`` is set while a slice runs; when it has passed, the worker is dead. ``attempt`` counts the failed slices
    in a row, ``lost`` how often a worker died.
    """

    State = JobState

    kind = models.CharField(_("kind"), max_length=60)
    title = models.JSONField(_("what"))
    key = models.CharField(max_length=200, blank=True)
    parameters = models.JSONField(_("parameters"), default=dict)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("started by")
    )
    started_by_name = models.CharField(_("started by"), max_length=150)
    # Somebody who was deleted is nobody, and not the portal.
    of_portal = models.BooleanField(default=False)
    state = models.CharField(_("state"), max_length=12, choices=JobState, default=JobState.WAITING)
    total = models.PositiveIntegerField(_("total"), null=True)
    done = models.PositiveIntegerField(_("done"), default=0)
    skipped = models.PositiveIntegerField(_("skipped"), default=0)
    failed = models.PositiveIntegerField(_("failed"), default=0)
    cursor = models.JSONField(null=True)
    error = models.JSONField(null=True)
    task_id: models.UUIDField[UUID | None, UUID | None] = models.UUIDField(null=True)
    run_after = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    lost = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(_("created at"))
    began_at = models.DateTimeField(_("started at"), null=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, db_index=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["started_by", "-id"], name="job_own"),
            models.Index(fields=["run_after"], name="job_live", condition=Q(state__in=LIVE)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "key"], condition=Q(state__in=LIVE) & ~Q(key=""), name="one_live_job_per_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {in_readers_language(self.title_message)}"

    @property
    def title_message(self) -> Message:
        """What it does."""
        return Message.from_json(self.title)

    @property
    def error_message(self) -> Message | None:
        """Why it failed, or why the last slice did."""
        return None if self.error is None else Message.from_json(self.error)

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return self.state in LIVE

    @property
    def handled(self) -> int:
        """How many items something became of."""
        return self.done + self.skipped + self.failed

    @property
    def percent(self) -> int | None:
        """How far it is, 0 to 100; ``None`` while nobody knows how much there is."""
        if self.state == JobState.DONE:
            return 100
        return min(100 * self.handled // self.total, 100) if self.total else None

    @property
    def offered_file(self) -> JobFile | None:
        """The file that it made, while there is one to download."""
        file: JobFile | None = getattr(self, "file", None)
        return file if file is not None and self.state == JobState.DONE and file.removed_at is None else None

    def items_from(self, place: int, most: int) -> list[Any]:
        """The next ``most`` items from ``place`` (0 is the first) of those that it was started with; empty at the end."""
        found: list[Any] = []
        for part in self.parts.filter(first__lt=place + most, first__gt=place - PART).order_by("first"):
            begin = max(place - part.first, 0)
            found += part.items[begin : place + most - part.first]
        return found


# Items in one row of `JobPart`.
PART = 1_000


class JobPart(models.Model):
    """Some of the items that a job was started with, in order; ``first`` is the place of the first of them."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="parts")
    first = models.PositiveIntegerField()
    items = models.JSONField()

    class Meta:
        verbose_name = _("part of a job")
        verbose_name_plural = _("parts of jobs")
        constraints = [models.UniqueConstraint(fields=["job", "first"], name="one_part_per_place")]

    def __str__(self) -> str:
        return f"{self.job_id}: {self.first}"


class JobResult(models.Model):
    """What became of one item; of very large jobs not every item has one (`jobs.services.running`)."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="results")
    item = models.CharField(_("item"), max_length=200)
    name = models.CharField(_("name"), max_length=255, blank=True)
    outcome = models.CharField(
        _("outcome"),
        max_length=8,
        choices=[
            (Outcome.DONE.value, _("done")),
            (Outcome.SKIPPED.value, _("skipped")),
            (Outcome.FAILED.value, _("failed")),
        ],
    )
    message = models.JSONField(null=True)

    class Meta:
        verbose_name = _("result of a job")
        verbose_name_plural = _("results of jobs")
        ordering = ["pk"]
        indexes = [models.Index(fields=["job", "outcome", "id"], name="job_outcomes")]

    def __str__(self) -> str:
        return f"{self.item}: {self.outcome}"

    @property
    def said(self) -> Message | None:
        """Why."""
        return None if self.message is None else Message.from_json(self.message)


class JobFile(models.Model):
    """The file that a job makes, in parts that lie in ``folder`` of the store, one of each slice.

    What is to be taken away is ``removed_at`` first, in the transaction that decides it, and ``cleared_at`` when nothing of it
    is left. ``size`` is that of all parts together.
    """

    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="file")
    folder = models.CharField(max_length=32, unique=True)
    filename = models.CharField(max_length=100)
    content_type = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)
    cleared_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("file of a job")
        verbose_name_plural = _("files of jobs")
        indexes = [models.Index(fields=["expires_at"], name="job_file_expires", condition=Q(removed_at=None))]

    def __str__(self) -> str:
        return f"{self.job_id}: {self.filename}"


class JobFilePart(models.Model):
    """What one slice wrote; ``place`` is the place of its first item, ``key`` the name in the store."""

    file = models.ForeignKey(JobFile, on_delete=models.CASCADE, related_name="parts")
    place = models.PositiveIntegerField()
    key = models.CharField(max_length=200)
    size = models.PositiveBigIntegerField()

    class Meta:
        verbose_name = _("part of a file of a job")
        verbose_name_plural = _("parts of files of jobs")
        constraints = [models.UniqueConstraint(fields=["file", "place"], name="one_file_part_per_place")]

    def __str__(self) -> str:
        return f"{self.file_id}: {self.place}"
