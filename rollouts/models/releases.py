"""Rows about releases: what was released, when, by whom and to whom. Knows things released by plain values alone."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from rollouts.audiences import EVERYONE, Audience, parse_audience, stored


class ReleaseQuerySet(models.QuerySet["Release"]):
    """The vocabulary of reading and ending releases."""

    def of(self, subject: str, subject_id: int) -> Self:
        """Those of one thing."""
        return self.filter(subject=subject, subject_id=subject_id)

    def live(self) -> Self:
        """Those that may still say what an agent should run."""
        return self.filter(ended_at=None)

    def end(self, at: datetime) -> int:
        """Take the live ones of these out of force; returns how many."""
        return self.live().update(ended_at=at)


class Release(models.Model):
    """One version of one thing, made what ``audience`` should run.

    ``subject`` names the kind of thing, ``subject_id`` and ``version_id`` are keys of its app. Of the live releases of a
    thing the newest whose audience includes an agent holds for that agent; so an agent outside it keeps what the former
    one gives, and ending a release gives back what held before. A release to everyone ends all before it.
    """

    subject = models.CharField(_("subject"), max_length=40)
    subject_id = models.BigIntegerField(_("subject key"))
    version_id = models.BigIntegerField(_("version key"))
    audience = models.JSONField(_("audience"))
    released_at = models.DateTimeField(_("released at"))
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("released by")
    )
    ended_at = models.DateTimeField(_("ended at"), null=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        verbose_name = _("release")
        verbose_name_plural = _("releases")
        ordering = ["-pk"]
        indexes = [models.Index(fields=["subject", "subject_id", "ended_at"], name="release_subject")]

    def __str__(self) -> str:
        return f"{self.subject} {self.subject_id}: {self.version_id}"

    def parsed_audience(self) -> Audience:
        """The stored audience as a value; it was valid when it was stored."""
        return parse_audience(self.audience)


def add_release(
    subject: str,
    subject_id: int,
    version_id: int,
    *,
    to: Audience,
    by: User | None,
    at: datetime,
    keep_former: bool = False,
) -> Release:
    """Store a release, in the caller's transaction; one to everyone ends those before it.

    ``keep_former``: it does not, for it may be taken back and they hold again then.
    """
    if to == EVERYONE and not keep_former:
        Release.objects.of(subject, subject_id).end(at)
    return Release.objects.create(
        subject=subject,
        subject_id=subject_id,
        version_id=version_id,
        audience=stored(to),
        released_at=at,
        released_by=by,
    )
