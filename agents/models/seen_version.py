"""Which versions agents have had, and since when."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SeenVersion(models.Model):
    """A version that some agent had at ``first_seen_at``, and none before as far as the portal knows.

    ``since_earlier``: it was there when the portal began to count, so it is older than that.
    """

    version = models.CharField(_("version"), max_length=100, unique=True)
    first_seen_at = models.DateTimeField(_("first seen"))
    since_earlier = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("seen version")
        verbose_name_plural = _("seen versions")
        ordering = ["-first_seen_at", "version"]

    def __str__(self) -> str:
        return self.version
