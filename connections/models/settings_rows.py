"""Rows about what agents should be connected to: settings, and their immutable versions."""

from __future__ import annotations

from typing import Any, Self

from django.conf import settings as site
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from agents.selectors import Selector, parse_selector

# What rollouts call the things released here.
RELEASE_SUBJECT = "connection_settings"

# Ended by \Z: before a line break at the end, $ matches too.
NAME_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?\Z"


class SettingsQuerySet(models.QuerySet["ConnectionSettings"]):
    """The vocabulary of reading connection settings."""

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see: all with the view right, else none."""
        return self if user.has_perm("connections.view_connectionsettings") else self.none()


class ConnectionSettings(models.Model):
    """Where agents should be connected, and the selector that says which agents.

    Of all that match an agent, and of which a version is released to it, the highest ``priority`` counts, then the name.
    ``edition`` counts every edit, against which concurrent ones are checked. The content is that of the versions.
    """

    name = models.CharField(
        _("name"),
        max_length=100,
        unique=True,
        validators=[RegexValidator(NAME_PATTERN, _("Use letters, digits, dots, dashes and underscores."))],
        help_text=_("Cannot be changed later."),
    )
    description = models.TextField(_("description"), blank=True, max_length=4_000)
    selector = models.JSONField(_("selector"), default=dict, blank=True)
    match_all = models.BooleanField(_("match all agents"), default=False)
    priority = models.IntegerField(
        _("priority"), default=0, help_text=_("Of several that match an agent, the highest wins.")
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    # How versions are released unless somebody says otherwise; none: as the site has it.
    rollout_policy = models.JSONField(_("rollout policy"), null=True, blank=True)
    edition = models.PositiveIntegerField(_("edition"), default=1, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    objects = SettingsQuerySet.as_manager()

    class Meta:
        verbose_name = _("connection settings")
        verbose_name_plural = _("connection settings")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def parsed_selector(self) -> Selector:
        """The stored selector as a value; it was valid when it was saved."""
        return parse_selector(self.selector, match_all=self.match_all)


class SettingsVersion(models.Model):
    """One content, numbered from 1; it never changes.

    ``encrypted`` is all of it (`variables.encryption`), ``shown`` the same without its secrets. ``digests`` are of each member
    (`connections.members`). ``origin`` is where its ``opamp`` member leads, as `destinations.origin_of` has it.
    """

    settings = models.ForeignKey(
        ConnectionSettings, on_delete=models.CASCADE, related_name="versions", verbose_name=_("connection settings")
    )
    number = models.PositiveIntegerField(_("number"))
    encrypted = models.TextField(editable=False)
    shown = models.JSONField(_("content"), default=dict)
    digests = models.JSONField(default=dict, editable=False)
    origin = models.CharField(max_length=400, blank=True, editable=False)
    note = models.CharField(_("note"), max_length=500, blank=True)
    author = models.ForeignKey(
        site.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("author")
    )
    author_name = models.CharField(_("author"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    # When it was first made what somebody should have.
    released_at = models.DateTimeField(_("released at"), null=True)

    class Meta:
        verbose_name = _("version of connection settings")
        verbose_name_plural = _("versions of connection settings")
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["settings", "number"], name="connection_version_number")]

    def __str__(self) -> str:
        return f"{self.settings_id}: {self.number}"


class ConnectionGeneration(models.Model):
    """One row whose ``token`` every change of what agents should have replaces: processes read it anew when it moved."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    token = models.UUIDField()

    class Meta:
        verbose_name = _("generation of connection settings")
        verbose_name_plural = _("generation of connection settings")
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="only_one_connection_generation")]

    def __str__(self) -> str:
        return str(self.token)
