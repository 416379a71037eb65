"""Rows about what holds offers back: freezes of the fleet or a part of it, and pauses of single agents."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from agents.models import Agent
from rollouts.audiences import Audience, parse_audience
from rollouts.reasons import LONGEST_REASON


class FreezeQuerySet(models.QuerySet["Freeze"]):
    """The vocabulary of reading freezes."""

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see: all freezes with the view right, else none."""
        return self if user.has_perm("rollouts.view_freeze") else self.none()

    def active(self) -> Self:
        """Those that have not ended; one whose time is over counts until it is ended."""
        return self.filter(ended_at=None)

    def of_several(self) -> Self:
        """Freezes of the fleet or a selector, without the pauses of single agents."""
        return self.filter(agent=None)

    def expired(self, at: datetime) -> Self:
        """Those that have not ended although their time is over."""
        return self.active().filter(expires_at__lte=at)


class Freeze(models.Model):
    """Nothing is offered to the agents of ``audience`` until this ends; they keep what they run.

    With an ``agent`` it is the *pause* of this one: the row follows the agent when it goes by another uid, so ``audience`` names
    the uid of the start alone. It is deleted with the agent.
    """

    audience = models.JSONField(_("audience"))
    agent = models.ForeignKey(
        Agent, on_delete=models.CASCADE, null=True, related_name="pauses", verbose_name=_("agent")
    )
    reason = models.CharField(_("reason"), max_length=LONGEST_REASON)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("started by")
    )
    started_by_name = models.CharField(_("started by"), max_length=150)
    started_at = models.DateTimeField(_("started at"))
    expires_at = models.DateTimeField(_("expires at"), null=True)
    ended_by_name = models.CharField(_("ended by"), max_length=150, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, db_index=True)

    objects = FreezeQuerySet.as_manager()

    class Meta:
        verbose_name = _("freeze")
        verbose_name_plural = _("freezes")
        ordering = ["-pk"]
        indexes = [models.Index(fields=["expires_at"], name="freeze_expires", condition=models.Q(ended_at=None))]
        constraints = [
            models.UniqueConstraint(fields=["agent"], condition=models.Q(ended_at=None), name="one_pause_per_agent")
        ]

    def __str__(self) -> str:
        return self.reason

    @property
    def is_active(self) -> bool:
        """Whether it has not been ended."""
        return self.ended_at is None

    def parsed_audience(self) -> Audience:
        """The stored audience as a value; it was valid when it was stored."""
        return parse_audience(self.audience)


class FreezeGeneration(models.Model):
    """One row whose ``token`` every start and end of a freeze replaces: processes read the active freezes anew when it moved.

    It is also the lock of those who start one, so that there are never two alike.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    token: models.UUIDField[UUID, UUID] = models.UUIDField()

    class Meta:
        verbose_name = _("freeze generation")
        verbose_name_plural = _("freeze generation")
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="only_one_freeze_generation")]

    def __str__(self) -> str:
        return str(self.token)
