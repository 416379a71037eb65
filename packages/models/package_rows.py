"""Rows about what can be installed: packages, their immutable versions, and one file for each platform."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from packages.installation_outcome import best_platform
from rollouts.models import Generation, ReleasedVersion, Targeted, TargetedQuerySet, only_one

# What rollouts call the things released here.
RELEASE_SUBJECT = "package"

# Ended by \Z: before a line break at the end, $ matches too.
NAME_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,98}[A-Za-z0-9])?\Z"
VERSION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._+~-]{0,99}\Z"
PLATFORM_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,39}$"


class PackageQuerySet(TargetedQuerySet["Package"]):
    """Of packages."""


class Package(Targeted):
    """Something agents install, and the selector that says which agents should have it.

    ``name`` is what agents know it by (S-91). Several rows may have one name: of those that match an agent, and of which a
    version is released to it, the highest ``priority`` counts, then the oldest.
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
    priority = models.IntegerField(
        _("priority"), default=0, help_text=_("Of several of one name that match, the highest wins.")
    )
    notes = models.TextField(_("notes"), blank=True, max_length=4_000)

    objects = PackageQuerySet.as_manager()

    class Meta:
        verbose_name = _("package")
        verbose_name_plural = _("packages")
        ordering = ["name", "-priority", "pk"]


class PackageVersion(ReleasedVersion):
    """One version of a package. Its files are added before it is first released, and never change after."""

    package = models.ForeignKey(Package, on_delete=models.CASCADE, related_name="versions", verbose_name=_("package"))
    version = models.CharField(
        _("version"),
        max_length=100,
        validators=[RegexValidator(VERSION_PATTERN, _("Use letters, digits and . _ + ~ -, as in 1.2.3-rc1."))],
    )

    class Meta(ReleasedVersion.Meta):
        verbose_name = _("package version")
        verbose_name_plural = _("package versions")
        constraints = [
            models.UniqueConstraint(fields=["package", "number"], name="package_version_number"),
            models.UniqueConstraint(fields=["package", "version"], name="package_version_text"),
        ]

    def __str__(self) -> str:
        return self.version

    def artefact_for(self, labels: Mapping[str, str]) -> Artefact | None:
        """The file that fits the agent with these labels closest. Files are read once: of a version that stays as it is."""
        platform = best_platform(
            self._by_platform, os_type=labels.get("os.type", ""), architecture=labels.get("host.arch", "")
        )
        return None if platform is None else self._by_platform[platform]

    @functools.cached_property
    def _by_platform(self) -> Mapping[tuple[str, str], Artefact]:
        return {(each.os_type, each.architecture): each for each in self.artefacts.all()}


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


class PackageGeneration(Generation):
    """Of packages."""

    class Meta:
        verbose_name = _("package generation")
        verbose_name_plural = _("package generation")
        constraints = [only_one("only_one_package_generation")]
