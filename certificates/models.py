"""Rows of certificates: what an agent asked for, what became of it, and the certificate when there is one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from agents.models import Agent

LONGEST_REASON = 500


class CertificateQuerySet(models.QuerySet["AgentCertificate"]):
    """The vocabulary of reading certificates."""

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see: all with the view right, else none."""
        return self if user.has_perm("certificates.view_agentcertificate") else self.none()

    def in_force(self, at: datetime) -> Self:
        """Those that agents may show at ``at``."""
        return self.filter(state=AgentCertificate.State.ISSUED, not_after__gt=at)


def lock_agent_of(pk: int) -> None:
    """Lock the agent of a row, if it has one: whoever changes the row and writes the timeline does it first, as batches do."""
    for agent_id in AgentCertificate.objects.filter(pk=pk, agent__isnull=False).values_list("agent_id", flat=True):
        list(Agent.objects.filter(pk=agent_id).only("pk").locked())


class AgentCertificate(models.Model):
    """One request of an agent for a certificate, and the certificate.

    While ``open`` something is still to be decided, made, or told to the agent; an agent has one such row at most. It outlives
    its agent, so that what was issued never counts as issued elsewhere. ``digest`` is of what the authority signed. Nothing in
    it is secret.
    """

    class State(models.TextChoices):
        """How far it is."""

        PENDING = "pending", _("awaits approval")
        APPROVED = "approved", _("is being signed")
        ISSUED = "issued", _("issued")
        DENIED = "denied", _("denied")
        FAILED = "failed", _("could not be signed")
        REVOKED = "revoked", _("revoked")

    agent = models.ForeignKey(
        Agent, on_delete=models.SET_NULL, null=True, related_name="certificates", verbose_name=_("agent")
    )
    instance_uid = models.UUIDField(_("instance uid"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices)
    open = models.BooleanField(default=True, editable=False)
    csr = models.TextField(editable=False)
    key_sha256 = models.CharField(_("SHA-256 of the key"), max_length=64)
    key_type = models.CharField(_("key"), max_length=20)
    requests = models.PositiveIntegerField(_("requests"), default=1)
    requested_at = models.DateTimeField(_("requested at"))
    changed_at = models.DateTimeField(editable=False)
    decided_at = models.DateTimeField(_("decided at"), null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", editable=False
    )
    decided_by_name = models.CharField(_("decided by"), max_length=150, blank=True)
    reason = models.CharField(_("reason"), max_length=LONGEST_REASON, blank=True)
    tries = models.PositiveSmallIntegerField(default=0, editable=False)
    certificate = models.TextField(_("certificate"), blank=True)
    digest = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001  unique where set
    serial_number = models.CharField(_("serial number"), max_length=40, blank=True)
    not_before = models.DateTimeField(_("good from"), null=True)
    not_after = models.DateTimeField(_("good until"), null=True, db_index=True)
    offer_hash = models.CharField(max_length=64, blank=True, editable=False)
    offer_count = models.PositiveSmallIntegerField(default=0, editable=False)
    offered_lease = models.CharField(max_length=64, blank=True, editable=False)
    offered_at = models.DateTimeField(_("offered at"), null=True)
    used_at = models.DateTimeField(_("first used at"), null=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, db_index=True)

    objects = CertificateQuerySet.as_manager()

    class Meta:
        verbose_name = _("certificate")
        verbose_name_plural = _("certificates")
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["state", "-id"], name="certificate_state"),
            models.Index(fields=["changed_at"], name="certificate_open", condition=models.Q(open=True)),
        ]
        constraints = [
            models.UniqueConstraint(fields=["agent"], condition=models.Q(open=True), name="one_open_certificate")
        ]

    def __str__(self) -> str:
        return self.serial_number or f"{self.pk}: {self.instance_uid}"
