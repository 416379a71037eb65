"""Rows about lists of agents that people keep: a query with columns, under a name."""

from __future__ import annotations

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

LONGEST_QUERY = 2_000


class SavedViewQuerySet(models.QuerySet["SavedView"]):
    """The vocabulary of reading views."""

    def visible_to(self, user: Any) -> Self:
        """One's own and those that are shared, for whoever may see agents."""
        if not user.has_perm("agents.view_agent"):
            return self.none()
        return self.filter(Q(owner=user.pk) | Q(shared=True))


class SavedView(models.Model):
    """What the list of agents shows under a name of its owner's: which agents, which columns, in which order and groups.

    ``columns`` are names of `agents.agent_columns`, none for those that the list has anyway; ``ordering`` is one of them,
    with ``-`` in front downwards. Only who it belongs to changes it, whoever sees it.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views", verbose_name=_("owner")
    )
    name = models.CharField(_("name"), max_length=100)
    shared = models.BooleanField(_("shared"), default=False, help_text=_("Everybody who may see agents sees it too."))
    query = models.CharField(_("query"), max_length=LONGEST_QUERY, blank=True)
    columns = models.JSONField(_("columns"), default=list, blank=True)
    group_by = models.CharField(_("group by label"), max_length=255, blank=True)
    ordering = models.CharField(_("order"), max_length=300, blank=True)
    edition = models.PositiveIntegerField(default=1, editable=False)

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        ordering = ["name", "pk"]
        # Rights are those on agents: whoever sees them has views of their own.
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="one_view_of_a_name")]

    def __str__(self) -> str:
        return self.name


class DefaultView(models.Model):
    """The view with which the list of agents opens for one person."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="default_view"
    )
    view = models.ForeignKey(SavedView, on_delete=models.CASCADE, related_name="+")

    class Meta:
        verbose_name = _("default view")
        verbose_name_plural = _("default views")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.user_id}: {self.view_id}"
