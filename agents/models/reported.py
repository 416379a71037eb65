"""What agents report beside the facts of their own rows: kept and shown, the large values shared by hash."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from agents.models.agent import Agent


class ReportedDocument(models.Model):
    """A large reported value, stored once by the SHA-256 of its canonical JSON and shared by all agents that report it."""

    class Kind(models.TextChoices):
        """What the content is."""

        EFFECTIVE_CONFIG = "effective_config", _("effective configuration")
        COMPONENTS = "components", _("available components")

    hash = models.CharField(max_length=64, primary_key=True)
    kind = models.CharField(max_length=32, choices=Kind.choices)
    content = models.JSONField()
    # Bytes of the canonical JSON, and the key of the agent that brought it first, for which it counts; that may be gone.
    size = models.BigIntegerField(default=0)
    reported_by = models.BigIntegerField(null=True)
    stored_at = models.DateTimeField(db_default=Now(), db_index=True)
    # The same for effective configurations that mean the same, empty until an app above this one has judged it.
    likeness = models.CharField(max_length=64, blank=True, db_default="", default="")

    class Meta:
        # Both sums, of one agent and of all, are read from the first alone.
        indexes = [
            models.Index(fields=["reported_by", "size"], name="document_size"),
            models.Index(fields=["kind", "likeness"], name="document_likeness"),
        ]
        verbose_name = _("reported document")
        verbose_name_plural = _("reported documents")

    def __str__(self) -> str:
        return f"{self.kind} {self.hash[:12]}"


class ReportedState(models.Model):
    """Everything else an agent reported: kept and shown, never decided on.

    ``health`` is the tree of `agents.reports.ComponentHealth.tree`. ``components_hash`` is the agent's own hash of its
    components (hex), so that the map is asked for once (S-98). ``full_state_requested_at`` bounds ReportFullState to
    one outstanding request (S-44). ``components_asked`` says how often and when the map of a hash was asked for
    (`services.components`), ``recent_lines`` which lines of the timeline may be repeated (`services.timeline`).
    """

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, primary_key=True, related_name="reported")
    identifying_attributes = models.JSONField(_("identifying attributes"), default=dict)
    non_identifying_attributes = models.JSONField(_("non-identifying attributes"), default=dict)
    health = models.JSONField(_("health"), null=True)
    effective_config = models.ForeignKey(
        ReportedDocument,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("effective configuration"),
    )
    components = models.ForeignKey(
        ReportedDocument, on_delete=models.PROTECT, null=True, related_name="+", verbose_name=_("components")
    )
    components_hash = models.CharField(max_length=128, blank=True)
    components_asked = models.JSONField(default=dict)
    custom_capabilities = models.JSONField(_("custom capabilities"), default=list)
    package_statuses = models.JSONField(_("packages"), null=True)
    connection_settings_status = models.JSONField(_("connection settings status"), null=True)
    full_state_requested_at = models.DateTimeField(null=True)
    # The connection settings sent last: their hash (hex), on which connection, when (S-81). Never the settings themselves.
    settings_offered_hash = models.CharField(max_length=64, blank=True)
    settings_offered_lease = models.CharField(max_length=64, blank=True)
    settings_offered_at = models.DateTimeField(null=True)
    # Bytes of this row's own parts once they came in large messages, and the parts that there was no room for, with their bytes.
    parts_size = models.BigIntegerField(default=0)
    unstored = models.JSONField(_("not stored"), default=dict)
    # How often these very settings, the heartbeat interval in them (seconds), when the agent was seen to have taken them, and
    # the interval that it took last: `services.taken_settings`.
    settings_offer_count = models.PositiveSmallIntegerField(default=0)
    settings_offered_seconds = models.PositiveIntegerField(null=True)
    settings_taken_at = models.DateTimeField(null=True)
    settings_accepted_seconds = models.PositiveIntegerField(null=True)
    recent_lines = models.JSONField(default=list)

    class Meta:
        verbose_name = _("reported state")
        verbose_name_plural = _("reported states")
        indexes = [
            models.Index(fields=["components_hash"], name="state_components", condition=Q(components__isnull=False)),
            models.Index(fields=["parts_size"], name="state_parts_size", condition=Q(parts_size__gt=0)),
        ]

    def __str__(self) -> str:
        return str(self.agent_id)
