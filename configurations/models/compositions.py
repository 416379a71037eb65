"""Rows about compositions: which revisions together make the files of agents that fragments reach."""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from configurations.models.revisions import Configuration, Revision


class CompositionQuerySet(models.QuerySet["Composition"]):
    """The vocabulary of reading compositions."""

    def unused(self) -> Self:
        """Those that no agent is assigned to."""
        return self.filter(assignments=None)


class Composition(models.Model):
    """The revisions that agents with fragments should run together: of a whole configuration, or none, and of the fragments.

    One for each set of revisions, shared by all agents that get it; agents without fragments have none. ``key`` says which
    revisions, ``hash`` covers the files of all of them (S-59), templates as templates, ``newest`` is the key of the revision
    made last.
    """

    key = models.CharField(max_length=64, unique=True)
    hash = models.CharField(_("hash"), max_length=64, db_index=True)
    templated = models.BooleanField(default=False)
    newest = models.BigIntegerField()

    objects = CompositionQuerySet.as_manager()

    class Meta:
        verbose_name = _("composition")
        verbose_name_plural = _("compositions")
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.hash[:12]


class CompositionPart(models.Model):
    """One revision of a composition; ``place`` 0 is the strongest: its file counts where two have the same key."""

    composition = models.ForeignKey(Composition, on_delete=models.CASCADE, related_name="parts")
    configuration = models.ForeignKey(Configuration, on_delete=models.CASCADE, related_name="+")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+")
    place = models.PositiveSmallIntegerField()

    class Meta:
        verbose_name = _("part of a composition")
        verbose_name_plural = _("parts of compositions")
        ordering = ["composition", "place"]
        constraints = [models.UniqueConstraint(fields=["composition", "place"], name="composition_place")]

    def __str__(self) -> str:
        return f"{self.composition_id}: {self.revision_id}"


def runs(configuration: Configuration, prefix: str = "") -> Q:
    """The assignments to a configuration, or with ``prefix`` the rows that lead to them."""
    if not configuration.is_fragment:
        return Q(**{f"{prefix}configuration": configuration.pk})
    parts = CompositionPart.objects.filter(configuration=configuration.pk).order_by()
    return Q(**{f"{prefix}composition__in": parts.values("composition")})


def agents_running(configuration: Configuration) -> Q:
    """The agents that should run a configuration."""
    if configuration.is_fragment:
        return runs(configuration, "assignment__")
    # Every agent bears the name of its whole, with an index on that and its own name.
    return Q(configuration_name=configuration.name)


def runs_revision(revision: Revision, prefix: str = "") -> Q:
    """The assignments to a revision, whose ``configuration`` is loaded; otherwise as `runs`."""
    if not revision.configuration.is_fragment:
        return Q(**{f"{prefix}configuration": revision.configuration_id, f"{prefix}revision": revision.pk})
    parts = CompositionPart.objects.filter(revision=revision.pk).order_by()
    return Q(**{f"{prefix}composition__in": parts.values("composition")})


def runs_any(revisions: Collection[int]) -> Q:
    """The assignments to any of these revisions (keys), whatever they are of."""
    found = Q(revision__in=revisions)
    parts = CompositionPart.objects.filter(revision__in=revisions).order_by()
    # Without fragments the condition stays what an index answers.
    composed = list(parts.values_list("composition", flat=True).distinct())
    return found | Q(composition__in=composed) if composed else found
