"""Rows about what each agent should have installed, and how far it is."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from agents.models import Agent
from packages.installation_outcome import InstallationStatus
from packages.models.package_rows import Artefact, Package, PackageVersion


class PackageSet(models.Model):
    """All packages of one agent as one offer (S-91); agents that never had any of ours have no row.

    ``desired_hash`` is over all of them, ``reported_hash`` the one that the agent named last. ``offered_hash`` on
    ``offered_lease`` is the desired hash once it was sent, and on which connection. ``failures`` are errors by the hash they
    were said of: such a set is not offered again by itself. ``waits`` says that something due could not be offered because
    the store was out of reach. ``had``: something was offered once, so that an empty set means removal.
    """

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, primary_key=True, related_name="package_set")
    desired_hash = models.CharField(max_length=64)
    reported_hash = models.CharField(max_length=128, blank=True)
    assigned_at = models.DateTimeField(_("assigned at"), db_index=True)
    offered_hash = models.CharField(max_length=64, blank=True)
    offered_lease = models.CharField(max_length=64, blank=True)
    offered_at = models.DateTimeField(_("offered at"), null=True)
    offer_count = models.PositiveIntegerField(default=0)
    failures = models.JSONField(default=dict, blank=True)
    waits = models.BooleanField(default=False)
    had = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("package set")
        verbose_name_plural = _("package sets")

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.desired_hash[:12]}"


class Installation(models.Model):
    """One package that one agent should have, in which version and file, and how it answered.

    ``hash`` is the package's as it is offered; ``attempt`` is part of it, since an agent does nothing for a hash that it has
    answered already.
    """

    class Status(models.TextChoices):
        """`packages.installation_outcome.InstallationStatus` with its words."""

        PENDING = InstallationStatus.PENDING.value, _("Pending")
        OFFERED = InstallationStatus.OFFERED.value, _("Offered")
        INSTALLING = InstallationStatus.INSTALLING.value, _("Installing")
        INSTALLED = InstallationStatus.INSTALLED.value, _("Installed")
        FAILED = InstallationStatus.FAILED.value, _("Failed")
        INCAPABLE = InstallationStatus.INCAPABLE.value, _("Takes no packages")

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="installations")
    package = models.ForeignKey(
        Package, on_delete=models.CASCADE, related_name="installations", verbose_name=_("package")
    )
    version = models.ForeignKey(PackageVersion, on_delete=models.CASCADE, related_name="+", verbose_name=_("version"))
    artefact = models.ForeignKey(Artefact, on_delete=models.CASCADE, related_name="+", verbose_name=_("file"))
    hash = models.CharField(max_length=64)
    attempt = models.PositiveIntegerField(default=0)
    status = models.CharField(_("status"), max_length=16, choices=Status.choices, default=Status.PENDING)
    status_at = models.DateTimeField(_("status at"))
    error_message = models.TextField(_("error"), blank=True)
    # Of the download that the agent tells of.
    percent = models.FloatField(_("downloaded"), null=True)

    class Meta:
        verbose_name = _("installation")
        verbose_name_plural = _("installations")
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["agent", "package"], name="one_installation")]
        indexes = [models.Index(fields=["version", "status"], name="installation_status")]

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.package_id} {self.status}"
