"""What happened to agents, and what they were asked to do."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.models.agent import Agent, Transport


class AgentEvent(models.Model):
    """One line of an agent's timeline. ``data`` holds the values that the text of ``kind`` is filled with.

    ``at`` is when it happened first; repeats soon after are folded into the line (`services.timeline`): ``count`` of them all,
    ``last_at`` of the latest, NULL while there is none.
    """

    class Kind(models.TextChoices):
        """What happened; the label is the text shown."""

        REGISTERED = "registered", _("Registered")
        CONNECTED = "connected", _("Connected")
        DISCONNECTED = "disconnected", _("Disconnected")
        DESCRIBED = "described", _("Description changed")
        CAPABILITIES = "capabilities", _("Capabilities changed")
        HEALTH = "health", _("Health changed")
        EFFECTIVE_CONFIG = "effective_config", _("Effective configuration changed")
        ASSIGNED = "assigned", _("Configuration assigned")
        UNASSIGNED = "unassigned", _("No configuration matches any more")
        OFFERED = "offered", _("Configuration offered")
        APPLYING = "applying", _("Configuration is being applied")
        APPLIED = "applied", _("Configuration applied")
        FAILED = "failed", _("Configuration failed")
        ROLLED_BACK = "rolled_back", _("Former configuration runs again")
        DRIFTED = "drifted", _("Runs something else than it applied")
        DRIFT_ENDED = "drift_ended", _("Runs what it applied again")
        LABELS = "labels", _("Labels changed")
        EDITED = "edited", _("Edited")
        FULL_STATE = "full_state", _("Full state requested")
        RESTARTED = "restarted", _("Agent restarted")
        COMMAND = "command", _("Command")
        CUSTOM_MESSAGE = "custom_message", _("Custom message")
        IDENTITY = "identity", _("Identity changed")
        CREDENTIAL = "credential", _("Credential")
        REFUSED = "refused", _("Message refused")
        NOT_STORED = "not_stored", _("Report not stored")

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(_("at"))
    kind = models.CharField(_("kind"), max_length=32, choices=Kind.choices)
    data = models.JSONField(_("details"), default=dict)
    count = models.PositiveIntegerField(_("times"), default=1)
    last_at = models.DateTimeField(_("last at"), null=True)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("timeline")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["agent", "-id"], name="event_agent"),
            models.Index(fields=["at"], name="event_at"),
            # Failures of a day are few among what else happens in it.
            models.Index(
                fields=["at"],
                name="event_failures",
                condition=Q(kind__in=["failed", "health", "rolled_back", "refused", "not_stored"]),
            ),
            models.Index(fields=["last_at"], name="event_repeated", condition=Q(last_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.kind}"


class ConnectionRecord(models.Model):
    """One stay of an agent: a WebSocket connection, or an HTTP agent's polling from first poll to silence."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="connections")
    lease_id = models.CharField(max_length=64)
    transport = models.CharField(_("transport"), max_length=16, choices=Transport.choices)
    remote_address = models.CharField(_("remote address"), max_length=64, blank=True)
    connected_at = models.DateTimeField(_("connected at"))
    disconnected_at = models.DateTimeField(_("disconnected at"), null=True)
    reason = models.CharField(_("reason"), max_length=64, blank=True)

    class Meta:
        verbose_name = _("connection")
        verbose_name_plural = _("connections")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["agent", "-id"], name="connection_agent"),
            models.Index(fields=["connected_at"], name="connection_at"),
            models.Index(
                fields=["disconnected_at"], name="connection_ended", condition=Q(disconnected_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agent_id} {self.transport} {self.connected_at:%Y-%m-%d %H:%M:%S}"


class AgentCommand(models.Model):
    """One operator request that travels to an agent once (S-97): restart, or a custom message (S-95).

    ``sent_at`` is set in the transaction that decides to send; a crash after it loses the command rather than sending
    it twice. ``outcome`` is observed, for there is no acknowledgement.
    """

    class Kind(models.TextChoices):
        """What to send."""

        RESTART = "restart", _("Restart")
        CUSTOM_MESSAGE = "custom_message", _("Custom message")

    class Outcome(models.TextChoices):
        """What was seen of it."""

        PENDING = "pending", _("Waiting for the agent")
        SENT = "sent", _("Sent")
        DONE = "done", _("Done")
        EXPIRED = "expired", _("Nothing observed")
        CANCELLED = "cancelled", _("Cancelled")

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="commands")
    kind = models.CharField(_("kind"), max_length=32, choices=Kind.choices)
    payload = models.JSONField(_("payload"), default=dict)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    requested_at = models.DateTimeField(_("requested at"))
    sent_at = models.DateTimeField(_("sent at"), null=True)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome.choices, default=Outcome.PENDING)
    outcome_at = models.DateTimeField(_("outcome at"), null=True)

    class Meta:
        verbose_name = _("command")
        verbose_name_plural = _("commands")
        ordering = ["id"]
        indexes = [
            models.Index(fields=["agent", "id"], name="command_agent"),
            models.Index(fields=["id"], name="command_unsent", condition=Q(outcome="pending")),
            models.Index(fields=["requested_at"], name="command_requested"),
        ]
        constraints = [
            # A second press of the button while the first restart waits is the same wish.
            models.UniqueConstraint(
                fields=["agent"], condition=Q(kind="restart", outcome="pending"), name="one_pending_restart"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.agent_id}"
