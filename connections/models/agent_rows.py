"""Rows about what each agent should be connected to, what it was told, and how it answered."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from agents.models import Agent
from connections.models.settings_rows import SettingsVersion


class AgentConnection(models.Model):
    """One agent that should have connection settings, or had some.

    ``wanted`` are the digests of the members that it should have and takes, ``told`` those it was told last and has not
    refused, ``told_before`` what it was told before that. The hash of the message that told them is ``offered_hash``, on the
    connection ``offered_lease``. ``failed`` is the digest of what the agent refused last: that is not offered again by itself.
    ``attempt`` is part of the hash, for an agent does nothing for one that it has answered. ``reached`` is where the agent
    was heard last, as an origin; ``by_certificate``: it comes with a client certificate, which an offer would take away.
    """

    class Status(models.TextChoices):
        """How far the agent is with what it should have."""

        PENDING = "pending", _("Pending")
        OFFERED = "offered", _("Offered")
        TOLD = "told", _("Told, does not say more")
        APPLYING = "applying", _("Applying")
        APPLIED = "applied", _("Applied")
        FAILED = "failed", _("Failed")
        INCAPABLE = "incapable", _("Takes none of it")
        NONE = "none", _("Has no settings")

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, primary_key=True, related_name="connection")
    version = models.ForeignKey(
        SettingsVersion, on_delete=models.SET_NULL, null=True, related_name="agents", verbose_name=_("version")
    )
    wanted = models.JSONField(default=dict)
    told = models.JSONField(default=dict)
    told_before = models.JSONField(default=dict)
    told_version = models.ForeignKey(SettingsVersion, on_delete=models.SET_NULL, null=True, related_name="+")
    assigned_at = models.DateTimeField(_("assigned at"), db_index=True)
    offered_hash = models.CharField(max_length=64, blank=True)
    offered_lease = models.CharField(max_length=64, blank=True)
    offered_at = models.DateTimeField(_("offered at"), null=True)
    offer_count = models.PositiveIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=0)
    failed = models.JSONField(default=dict)
    status = models.CharField(_("status"), max_length=16, choices=Status.choices, default=Status.PENDING)
    status_at = models.DateTimeField(_("status at"))
    error_message = models.TextField(_("error"), blank=True)
    reached = models.CharField(_("reached at"), max_length=400, blank=True)
    by_certificate = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("connection of an agent")
        verbose_name_plural = _("connections of agents")
        indexes = [models.Index(fields=["version", "status"], name="agent_connection_status")]

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.status}"
