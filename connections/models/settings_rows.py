"""Rows about what agents should be connected to: settings, and their immutable versions."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from rollouts.models import Generation, ReleasedVersion, Targeted, TargetedQuerySet, only_one

# What rollouts call the things released here.
RELEASE_SUBJECT = "connection_settings"

# Ended by \Z: before a line break at the end, $ matches too.
NAME_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?\Z"


class SettingsQuerySet(TargetedQuerySet["ConnectionSettings"]):
    """Of connection settings."""


class ConnectionSettings(Targeted):
    """Where agents should be connected, and the selector that says which agents.

    Of all that match an agent, and of which a version is released to it, the highest ``priority`` counts, then the name.
    The content is that of the versions.
    """

    name = models.CharField(
        _("name"),
        max_length=100,
        unique=True,
        validators=[RegexValidator(NAME_PATTERN, _("Use letters, digits, dots, dashes and underscores."))],
        help_text=_("Cannot be changed later."),
    )
    description = models.TextField(_("description"), blank=True, max_length=4_000)
    priority = models.IntegerField(
        _("priority"), default=0, help_text=_("Of several that match an agent, the highest wins.")
    )

    objects = SettingsQuerySet.as_manager()

    class Meta:
        verbose_name = _("connection settings")
        verbose_name_plural = _("connection settings")
        ordering = ["name"]


class SettingsVersion(ReleasedVersion):
    """One content; it never changes.

    ``encrypted`` is all of it (`variables.encryption`), ``shown`` the same without its secrets. ``digests`` are of each member
    (`connections.members`). ``origin`` is where its ``opamp`` member leads, as `destinations.origin_of` has it.
    """

    settings = models.ForeignKey(
        ConnectionSettings, on_delete=models.CASCADE, related_name="versions", verbose_name=_("connection settings")
    )
    encrypted = models.TextField(editable=False)
    shown = models.JSONField(_("content"), default=dict)
    digests = models.JSONField(default=dict, editable=False)
    origin = models.CharField(max_length=400, blank=True, editable=False)

    class Meta(ReleasedVersion.Meta):
        verbose_name = _("version of connection settings")
        verbose_name_plural = _("versions of connection settings")
        constraints = [models.UniqueConstraint(fields=["settings", "number"], name="connection_version_number")]

    def __str__(self) -> str:
        return f"{self.settings_id}: {self.number}"


class ConnectionGeneration(Generation):
    """Of connection settings."""

    class Meta:
        verbose_name = _("generation of connection settings")
        verbose_name_plural = _("generation of connection settings")
        constraints = [only_one("only_one_connection_generation")]
