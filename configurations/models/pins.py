"""Rows about pins: single agents that run what a person chose for them, whatever selectors say."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.models import Agent
from configurations.models.revisions import Configuration, Revision
from rollouts.reasons import LONGEST_REASON


class PinQuerySet(models.QuerySet["Pin"]):
    """The vocabulary of reading pins."""

    def expired(self, at: datetime) -> Self:
        """Those whose time is over."""
        return self.filter(expires_at__lte=at)

    def following(self, name: str) -> Self:
        """Those to whatever is newest of the configuration of this name."""
        return self.filter(configuration__name=name, revision=None)


class Pin(models.Model):
    """One agent runs ``configuration``, whatever the selectors say: ``revision`` of it, or without one what is released of it.

    What is released is the newest release whose audience includes the agent, as for everybody. At most one for an agent; it
    is deleted when it ends, for timeline and audit trail keep what was.
    """

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, related_name="pin", verbose_name=_("agent"))
    configuration = models.ForeignKey(
        Configuration, on_delete=models.PROTECT, related_name="pins", verbose_name=_("configuration")
    )
    revision = models.ForeignKey(
        Revision, on_delete=models.PROTECT, null=True, related_name="pins", verbose_name=_("revision")
    )
    reason = models.CharField(_("reason"), max_length=LONGEST_REASON)
    pinned_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("pinned by")
    )
    pinned_by_name = models.CharField(_("pinned by"), max_length=150)
    pinned_at = models.DateTimeField(_("pinned at"))
    expires_at = models.DateTimeField(_("expires at"), null=True, db_index=True)

    objects = PinQuerySet.as_manager()

    class Meta:
        verbose_name = _("pin")
        verbose_name_plural = _("pins")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.configuration_id} {self.revision_id or ''}".strip()


def pinned_keys() -> models.QuerySet[Pin, int]:
    """The keys of the agents that are pinned, for a condition."""
    return Pin.objects.order_by().values_list("agent_id", flat=True)


def pinned_elsewhere(name: str) -> Q:
    """The agents that are pinned to something else than the newest of the configuration of this name."""
    following = Pin.objects.following(name).order_by().values("pk")
    return Q(pk__in=Pin.objects.exclude(pk__in=following).order_by().values("agent"))
