"""Rows about people: users, their API tokens, and the append-only audit trail. Rules of writing live in `services`."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """A person who signs in. Rights come from groups (roles), see `accounts.services.ensure_roles`.

    Preferences are columns here, since every page reads them with the person. Empty: as the browser or the server has it.
    """

    class Density(models.TextChoices):
        """How much room lists take."""

        COMFORTABLE = "comfortable", _("comfortable")
        COMPACT = "compact", _("compact")

    class StartPage(models.TextChoices):
        """Where signing in leads."""

        OVERVIEW = "overview", _("Overview")
        AGENTS = "agents", _("Agents")
        CONFIGURATIONS = "configurations", _("Configurations")
        ROLLOUTS = "rollouts", _("Rollouts")

    language = models.CharField(_("language"), max_length=10, blank=True, default="", db_default="")
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True, default="", db_default="")
    density = models.CharField(
        _("density"),
        max_length=16,
        choices=Density.choices,
        default=Density.COMFORTABLE,
        db_default=Density.COMFORTABLE,
    )
    start_page = models.CharField(
        _("start page"),
        max_length=16,
        choices=StartPage.choices,
        default=StartPage.OVERVIEW,
        db_default=StartPage.OVERVIEW,
    )
    shortcuts = models.BooleanField(_("keyboard shortcuts"), default=True, db_default=True)

    class Meta(AbstractUser.Meta):
        """Plain Django user; its own table from the first migration, so that it can grow."""


class ApiToken(models.Model):
    """A program's key to the REST API, acting as ``user``.

    The token itself, ``opk_<prefix>_<secret>``, is shown once; only the SHA-256 of the whole text is kept. ``prefix``
    finds the row without a scan.
    """

    name = models.CharField(_("name"), max_length=100)
    # Without one when the person was removed; the token is revoked then, and its row stays for the audit trail.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="api_tokens",
        verbose_name=_("user"),
    )
    prefix = models.CharField(_("prefix"), max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, editable=False)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} (opk_{self.prefix}_…)"


class AuditEntry(models.Model):
    """Who did what to which object, and when. Append-only: nothing in the portal changes or deletes an entry.

    ``actor_name`` and ``object_name`` stay readable after the user or the object is gone.
    """

    at = models.DateTimeField(_("at"), db_default=Now(), db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("actor")
    )
    actor_name = models.CharField(_("actor"), max_length=150)
    verb = models.CharField(_("verb"), max_length=64, help_text=_("Such as configuration.publish."))
    object_type = models.CharField(_("object type"), max_length=64)
    object_id = models.CharField(_("object id"), max_length=64)
    object_name = models.CharField(_("object"), max_length=255)
    data = models.JSONField(_("details"), default=dict)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit trail")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["object_type", "object_id", "-id"], name="audit_object"),
            models.Index(fields=["actor_name", "-id"], name="audit_actor"),
            models.Index(fields=["verb", "-id"], name="audit_verb"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.object_name}"


class SignInAttempts(models.Model):
    """Passwords that were tried, for one account at one address or for one address; see `accounts.guessing`.

    ``level`` is the count at ``counted_at``; it leaks away. ``key`` is a digest.
    """

    key = models.CharField(max_length=64, primary_key=True)
    level = models.FloatField(default=0.0)
    counted_at = models.DateTimeField(db_index=True)
    paused_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.key[:8]}: {self.level:.1f}"
