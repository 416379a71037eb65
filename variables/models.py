"""Rows of variables and of secrets, and the token that says that some of them changed."""

from __future__ import annotations

from typing import Any, Self

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from agents.selectors import Selector, parse_selector

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,99}$"
_NAME = RegexValidator(NAME_PATTERN, _("Use letters, digits and underscores; begin with a letter or an underscore."))


class VisibleQuerySet(models.QuerySet[Any]):
    """Rows that need the view right of their model."""

    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see: all with the view right, else none."""
        return self if user.has_perm(f"variables.view_{self.model._meta.model_name}") else self.none()


class Variable(models.Model):
    """One value under ``name`` for the agents that its selector matches.

    Several rows may have one name: of those that match an agent the highest ``priority`` counts, then the oldest.
    """

    name = models.CharField(
        _("name"), max_length=100, validators=[_NAME], db_index=True, help_text=_("In files: {{ vars.name }}.")
    )
    value = models.TextField(_("value"), blank=True)
    selector = models.JSONField(_("selector"), default=dict, blank=True)
    match_all = models.BooleanField(_("match all agents"), default=True)
    priority = models.IntegerField(_("priority"), default=0, help_text=_("Of several that match, the highest wins."))
    description = models.TextField(_("description"), blank=True)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())
    updated_by = models.CharField(_("updated by"), max_length=150, blank=True)

    objects = VisibleQuerySet.as_manager()

    class Meta:
        verbose_name = _("variable")
        verbose_name_plural = _("variables")
        ordering = ["name", "-priority", "pk"]

    def __str__(self) -> str:
        return self.name

    def parsed_selector(self) -> Selector:
        """The stored selector as a value; it was valid when it was saved."""
        return parse_selector(self.selector, match_all=self.match_all)


class Secret(models.Model):
    """One secret, encrypted (`variables.encryption`), and never shown again.

    ``former`` are the values before, newest first and encrypted too: agents run them until they have the new one, and so
    long they must be known where they turn up.
    """

    name = models.CharField(
        _("name"), max_length=100, unique=True, validators=[_NAME], help_text=_("In files: {{ secrets.name }}.")
    )
    encrypted = models.TextField(editable=False)
    former = models.JSONField(default=list, editable=False)
    description = models.TextField(_("description"), blank=True)
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("updated by")
    )

    objects = VisibleQuerySet.as_manager()

    class Meta:
        verbose_name = _("secret")
        verbose_name_plural = _("secrets")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ValueVersion(models.Model):
    """What a name stood for until a change, kept while something is rendered with it; it never changes.

    ``use`` is ``vars.name`` or ``secrets.name``. Of a variable ``choices`` are all rows there were, the strongest first, each
    ``{"selector", "match_all", "value"}``; of a secret ``encrypted`` is its value (`variables.encryption`). Both empty: there was
    no value.
    """

    use = models.CharField(_("use"), max_length=120, db_index=True)
    choices = models.JSONField(default=list, editable=False)
    encrypted = models.TextField(blank=True, editable=False)
    made_at = models.DateTimeField(_("made at"))

    class Meta:
        verbose_name = _("version of a value")
        verbose_name_plural = _("versions of values")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.use} {self.pk}"


class ValuesGeneration(models.Model):
    """One row whose ``token`` every change of a variable or secret replaces: processes read the values anew when it moved.

    A random token, not a number: after a restored backup a number could come back with other values behind it.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    token = models.UUIDField()

    class Meta:
        verbose_name = _("generation of values")
        verbose_name_plural = _("generation of values")
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="only_one_generation_of_values")]

    def __str__(self) -> str:
        return str(self.token)
