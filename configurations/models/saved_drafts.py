"""Drafts that were saved: what somebody wants a configuration to be, before anybody else is concerned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Count, Expression, OuterRef, Subquery
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext_lazy as _

from configurations.checks import Finding, FindingKind, Severity
from configurations.models.revisions import Configuration
from foundation.messages import Message


class ConfigurationDraftQuerySet(models.QuerySet["ConfigurationDraft"]):
    """The vocabulary of reading drafts."""

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see: the drafts of the configurations that they may see."""
        return self if user.has_perm("configurations.view_configuration") else self.none()

    def with_present(self) -> Self:
        """With the configurations that they would change, as those are now."""
        return self.select_related("configuration__current")

    def listed(self) -> Self:
        """As lists show them: without what is wanted."""
        return self.defer("state", "configuration__current__files").with_present()

    def of_new_configurations(self) -> Self:
        """Those under a name that no configuration has."""
        named = Configuration.objects.filter(name=OuterRef("name"))
        return self.filter(~models.Exists(named))


class ConfigurationDraft(models.Model):
    """A draft of the configuration ``name``. It reaches nobody until it is published, which ends it.

    ``state`` holds the fields of `configurations.services.drafts.Draft` with true texts, files in the form of `Revision.files`.
    ``base_revision`` and ``base_edition`` say which state of ``configuration`` it started from; both are ``None`` for a
    configuration that did not exist. Without ``configuration`` but with a base it is the draft of one that was deleted.
    ``edition`` counts its saves. ``findings`` are the first ones of its last save, secrets hidden.
    """

    configuration = models.ForeignKey(
        Configuration, on_delete=models.SET_NULL, null=True, related_name="drafts", verbose_name=_("configuration")
    )
    name = models.CharField(_("name"), max_length=100, db_index=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("author")
    )
    author_name = models.CharField(_("author"), max_length=150)
    saved_by_name = models.CharField(_("saved by"), max_length=150)
    base_revision = models.PositiveIntegerField(_("based on revision"), null=True)
    base_edition = models.PositiveIntegerField(null=True)
    state = models.JSONField()
    note = models.CharField(_("note"), max_length=500, blank=True)
    findings = models.JSONField(_("findings"), default=list)
    edition = models.PositiveIntegerField(_("edition"), default=1)
    # The agent whose effective configuration it was made of; what that hides has to be typed before it can be published.
    adopted_from = models.UUIDField(_("adopted from"), null=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now(), db_index=True)

    objects = ConfigurationDraftQuerySet.as_manager()

    class Meta:
        verbose_name = _("draft")
        verbose_name_plural = _("drafts")
        ordering = ["-updated_at", "-id"]
        # Rights on drafts are those on the configuration.
        default_permissions = ()

    def __str__(self) -> str:
        return self.name

    @property
    def found(self) -> list[Finding]:
        """The findings of the last save."""
        return findings_from_json(self.findings)

    @property
    def is_blocked(self) -> bool:
        """Something in it would keep it from being published."""
        return any(item.blocks for item in self.found)

    @property
    def is_of_deleted(self) -> bool:
        """The configuration that it started from is gone."""
        return self.configuration_id is None and self.base_edition is not None

    @property
    def is_outdated(self) -> bool:
        """It cannot be published as it is: the configuration has been edited or deleted since."""
        return self.is_of_deleted or (
            self.configuration is not None and self.configuration.edition != self.base_edition
        )

    @property
    def present_revision(self) -> int | None:
        """The number of the configuration's newest revision, ``None`` when there is no configuration."""
        row = self.configuration
        return None if row is None else row.current.number if row.current else 0


def drafts_of_each() -> Expression:
    """How many drafts there are under the name of a configuration, for `annotate`."""
    rows = ConfigurationDraft.objects.filter(name=OuterRef("name")).order_by()
    return Coalesce(Subquery(rows.values("name").annotate(number=Count("*")).values("number")), 0)


def findings_to_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The stored form, from which any reader gets them in their own language."""
    return [
        {
            "severity": item.severity.value,
            "kind": item.kind.value,
            "message": item.message.as_json(),
            "line": item.line,
            "column": item.column,
            "path": item.path,
            "file": item.file,
        }
        for item in findings
    ]


def findings_from_json(stored: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """The inverse of `findings_to_json`."""
    return [
        Finding(
            severity=Severity(item["severity"]),
            kind=FindingKind(item["kind"]),
            message=Message.from_json(item["message"]),
            line=item["line"],
            column=item["column"],
            path=item["path"],
            file=item["file"],
        )
        for item in stored
    ]
