"""Rows about enrolment: the tokens, and which agents each of them brought."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from agents.models import Agent
from enrolment.tokens import TokenState

LONGEST_NAME = 100
LONGEST_REASON = 500
# What a token may bring at most: more than a fleet has.
MOST_USES = 1_000_000


class ApprovalRule(models.TextChoices):
    """Whether the agents that a token brings wait for approval."""

    SITE = "site", _("as set for the portal")
    ASK = "ask", _("they wait for approval")
    SKIP = "skip", _("they are approved")


class TokenQuerySet(models.QuerySet["EnrolmentToken"]):
    """The vocabulary of reading tokens."""

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see: all tokens with the view right, else none."""
        return self if user.has_perm("enrolment.view_enrolmenttoken") else self.none()

    def bringing(self, at: datetime) -> Self:
        """Those that may bring a further agent."""
        ended = Q(expires_at__lte=at) | Q(max_uses__isnull=False, uses__gte=F("max_uses"))
        return self.filter(revoked_at=None).exclude(ended)


class EnrolmentToken(models.Model):
    """Brings new agents in, each counted once; they may come back by it. Of its secret only a hash is kept.

    Rows stay, since agents and the audit trail speak of them.
    """

    name = models.CharField(_("name"), max_length=LONGEST_NAME, unique=True)
    number = models.CharField(_("number"), max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    labels = models.JSONField(_("labels"), default=dict, blank=True)
    approval_rule = models.CharField(
        _("new agents"), max_length=4, choices=ApprovalRule.choices, default=ApprovalRule.SITE
    )
    max_uses = models.PositiveIntegerField(_("most agents"), null=True, blank=True)
    uses = models.PositiveIntegerField(_("agents brought"), default=0)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    created_by_name = models.CharField(_("made by"), max_length=150, editable=False)
    created_at = models.DateTimeField(_("made at"), editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, editable=False)
    revoked_by_name = models.CharField(_("revoked by"), max_length=150, blank=True, editable=False)
    revoke_reason = models.CharField(_("reason of revoking"), max_length=LONGEST_REASON, blank=True, editable=False)

    objects = TokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("enrolment token")
        verbose_name_plural = _("enrolment tokens")
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(max_uses=None) | Q(uses__lte=F("max_uses")), name="enrolment_token_uses_bounded"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def state(self) -> TokenState:
        """What its row says of whom it may bring."""
        return TokenState(
            token_id=self.pk,
            name=self.name,
            digest=self.digest,
            expires_at=self.expires_at,
            revoked=self.revoked_at is not None,
            return_time=timedelta(days=settings.ENROLMENT_RETURN_DAYS),
        )

    def asks_approval(self) -> bool:
        """Whether its agents wait for approval."""
        if self.approval_rule == ApprovalRule.SITE:
            return bool(settings.ENROLMENT_APPROVAL)
        return self.approval_rule == ApprovalRule.ASK


class Enrolment(models.Model):
    """An agent that a token brought, under the uid it came with; counted once, also when the agent was forgotten meanwhile."""

    token = models.ForeignKey(EnrolmentToken, on_delete=models.CASCADE, related_name="enrolments")
    agent = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="enrolments")
    instance_uid = models.UUIDField(_("instance UID"))
    enrolled_at = models.DateTimeField(_("enrolled at"))

    class Meta:
        verbose_name = _("enrolment")
        verbose_name_plural = _("enrolments")
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["token", "instance_uid"], name="enrolled_once")]

    def __str__(self) -> str:
        return f"{self.token_id}: {self.instance_uid}"
