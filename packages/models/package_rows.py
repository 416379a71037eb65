"""Rows about what can be installed: packages, their immutable versions, and one file for each platform."""

from __future__ import annotations

from typing import Any, Self

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from agents.selectors import Selector, parse_selector

# What rollouts call the things released here.
RELEASE_SUBJECT = "package"

# Ended by \Z: before a line break at the end, $ matches too.
NAME_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,98}[A-Za-z0-9])?\Z"
VERSION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._+~-]{0,99}\Z"
PLATFORM_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,39}$"


class PackageQuerySet(models.QuerySet["Package"]):
    """The vocabulary of reading packages."""

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see: all packages with the view right, else none."""
        return self if user.has_perm("packages.view_package") else self.none()


class Package(models.Model):
    """Something agents install, and the selector that says which agents should have it.

    ``name`` is what agents know it by (S-91). Several rows may have one name: of those that match an agent, and of which a
    version is released to it, the highest ``priority`` counts, then the oldest. ``edition`` counts every edit, against which
    concurrent ones are checked.
    """

    class Kind(models.TextChoices):
        """``PackageType``: the agent itself, or something it adds to itself."""

        TOP_LEVEL = "top_level", _("Top-level")
        ADDON = "addon", _("Add-on")

    name = models.CharField(
        _("name"),
        max_length=100,
        db_index=True,
        validators=[
            RegexValidator(
                NAME_PATTERN,
                _("Use letters, digits, dots, dashes, underscores and slashes; begin and end with a letter or digit."),
            )
        ],
        help_text=_("The name agents know it by; cannot be changed later."),
    )
    kind = models.CharField(
        _("kind"),
        max_length=16,
        choices=Kind.choices,
        default=Kind.TOP_LEVEL,
        help_text=_("Top-level is the agent itself, an add-on is something beside it; cannot be changed later."),
    )
    selector = models.JSONField(_("selector"), default=dict, blank=True)
    match_all = models.BooleanField(_("match all agents"), default=False)
    priority = models.IntegerField(
        _("priority"), default=0, help_text=_("Of several of one name that match, the highest wins.")
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    notes = models.TextField(_("notes"), blank=True, max_length=4_000)
    # How versions are released unless somebody says otherwise; none: as the site has it.
    rollout_policy = models.JSONField(_("rollout policy"), null=True, blank=True)
    edition = models.PositiveIntegerField(_("edition"), default=1, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    objects = PackageQuerySet.as_manager()

    class Meta:
        verbose_name = _("package")
        verbose_name_plural = _("packages")
        ordering = ["name", "-priority", "pk"]

    def __str__(self) -> str:
        return self.name

    def parsed_selector(self) -> Selector:
        """The stored selector as a value; it was valid when it was saved."""
        return parse_selector(self.selector, match_all=self.match_all)


class PackageVersion(models.Model):
    """One version of a package, numbered from 1. Its files are added before it is first released, and never change after."""

    package = models.ForeignKey(Package, on_delete=models.CASCADE, related_name="versions", verbose_name=_("package"))
    number = models.PositiveIntegerField(_("number"))
    version = models.CharField(
        _("version"),
        max_length=100,
        validators=[RegexValidator(VERSION_PATTERN, _("Use letters, digits and . _ + ~ -, as in 1.2.3-rc1."))],
    )
    note = models.CharField(_("note"), max_length=500, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("author")
    )
    author_name = models.CharField(_("author"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    # When it was first made what somebody should have; from then on its files stay as they are.
    released_at = models.DateTimeField(_("released at"), null=True)

    class Meta:
        verbose_name = _("package version")
        verbose_name_plural = _("package versions")
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["package", "number"], name="package_version_number"),
            models.UniqueConstraint(fields=["package", "version"], name="package_version_text"),
        ]

    def __str__(self) -> str:
        return self.version


class Artefact(models.Model):
    """The one file that a version is for one platform; an empty ``os_type`` or ``architecture`` is any.

    Either ``key`` names it in the store, or ``url`` is where somebody else keeps it (https). ``sha256`` is of the file,
    ``signature`` a detached Ed25519 signature of that digest, in base64. ``headers`` go with a download from ``url``.
    """

    version = models.ForeignKey(PackageVersion, on_delete=models.CASCADE, related_name="artefacts")
    os_type = models.CharField(_("operating system"), max_length=40, blank=True)
    architecture = models.CharField(_("architecture"), max_length=40, blank=True)
    filename = models.CharField(_("file name"), max_length=200)
    key = models.CharField(max_length=300, blank=True, db_index=True)
    url = models.CharField(_("URL"), max_length=2_000, blank=True)
    size = models.BigIntegerField(_("size"), null=True)
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    signature = models.CharField(_("signature"), max_length=200, blank=True)
    headers = models.JSONField(_("headers"), default=dict, blank=True)
    uploaded_at = models.DateTimeField(_("uploaded at"))
    uploaded_by_name = models.CharField(_("uploaded by"), max_length=150, blank=True)

    class Meta:
        verbose_name = _("package file")
        verbose_name_plural = _("package files")
        ordering = ["os_type", "architecture"]
        constraints = [
            models.UniqueConstraint(fields=["version", "os_type", "architecture"], name="artefact_platform"),
        ]

    def __str__(self) -> str:
        return f"{self.filename} ({self.platform})"

    @property
    def platform(self) -> str:
        """``linux/amd64``; ``any`` for what fits all."""
        return f"{self.os_type or 'any'}/{self.architecture or 'any'}"


class PackageGeneration(models.Model):
    """One row whose ``token`` every change of what agents should have replaces: processes read it anew when it moved."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    token = models.UUIDField()

    class Meta:
        verbose_name = _("package generation")
        verbose_name_plural = _("package generation")
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="only_one_package_generation")]

    def __str__(self) -> str:
        return str(self.token)
