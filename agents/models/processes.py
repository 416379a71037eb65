"""The server processes that hold agents' leases, and which of them leads."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ServerProcess(models.Model):
    """A server process that may hold leases; one whose beat stands still has lost its agents, and its row.

    ``pid`` means something only to processes of the same ``machine``: one boot of one system, one space of process ids.
    """

    id = models.CharField(max_length=64, primary_key=True)
    hostname = models.CharField(_("host"), max_length=255)
    machine = models.CharField(max_length=255, blank=True, editable=False)
    pid = models.PositiveIntegerField(_("process id"))
    started_at = models.DateTimeField(_("started at"))
    beat_at = models.DateTimeField(_("last beat"))

    class Meta:
        verbose_name = _("server process")
        verbose_name_plural = _("server processes")

    def __str__(self) -> str:
        return f"{self.hostname}/{self.pid}"


class Leadership(models.Model):
    """One row: which server process does the chores that one is enough for, and until when."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    holder = models.CharField(max_length=64)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="only_one_leadership")]

    def __str__(self) -> str:
        return f"{self.holder} until {self.expires_at:%Y-%m-%d %H:%M:%S}"
