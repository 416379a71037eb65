"""Columns that rows share of which versions are released to the agents that a selector matches. Tables are their apps' own.

An app brings three rows: what is offered (`Targeted`), its versions (`ReleasedVersion`), and one `Generation`.
"""

from __future__ import annotations

from typing import Any, Self, TypeVar

from django.conf import settings
from django.contrib.auth import get_permission_codename
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from agents.selectors import Selector, parse_selector

Row_co = TypeVar("Row_co", bound="Targeted", covariant=True)


class TargetedQuerySet(models.QuerySet[Row_co]):
    """The vocabulary of reading them; a subclass names the row."""

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see: all with the view right, else none."""
        right = f"{self.model._meta.app_label}.{get_permission_codename('view', self.model._meta)}"
        return self if user.has_perm(right) else self.none()


class Targeted(models.Model):
    """Something for the agents that its selector matches. A subclass adds ``name`` and ``priority``.

    ``edition`` counts every edit, against which concurrent ones are checked.
    """

    name: Any
    priority: Any

    selector = models.JSONField(_("selector"), default=dict, blank=True)
    match_all = models.BooleanField(_("match all agents"), default=False)
    enabled = models.BooleanField(_("enabled"), default=True)
    # How versions are released unless somebody says otherwise; none: as the site has it.
    rollout_policy = models.JSONField(_("rollout policy"), null=True, blank=True)
    edition = models.PositiveIntegerField(_("edition"), default=1, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.name)

    def parsed_selector(self) -> Selector:
        """The stored selector as a value; it was valid when it was saved."""
        return parse_selector(self.selector, match_all=self.match_all)


class ReleasedVersion(models.Model):
    """One state of a targeted row, numbered from 1; what is released of it never changes.

    A subclass adds the foreign key to the row, with the related name ``versions``.
    """

    number = models.PositiveIntegerField(_("number"))
    note = models.CharField(_("note"), max_length=500, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("author")
    )
    author_name = models.CharField(_("author"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    # When it was first made what somebody should have.
    released_at = models.DateTimeField(_("released at"), null=True)

    class Meta:
        abstract = True
        ordering = ["-number"]


class Generation(models.Model):
    """One row whose ``token`` every change of what agents should have replaces: processes read it anew when it moved.

    A random token, not a number: after a restored backup a number could come back with other rows behind it.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    token = models.UUIDField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.token)


def only_one(name: str) -> models.CheckConstraint:
    """For ``Meta.constraints`` of a `Generation`; constraints of one database have different names."""
    return models.CheckConstraint(condition=models.Q(id=1), name=name)
