"""The filters of lists of configurations and of a configuration's agents."""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from agents.filters import AnyOfFilter, FactFilter
from agents.models import Agent
from configurations.models import Assignment, Configuration


class YesNoField(forms.NullBooleanField):
    """``true`` or ``false``; anything else is an error, not "all"."""

    widget = forms.TextInput

    def to_python(self, value: Any) -> bool | None:  # type: ignore[override]  # Django's own answers None
        """``None`` when it is not asked for."""
        if value is None:
            return None
        try:
            return {"true": True, "false": False}[value]
        except KeyError:
            raise forms.ValidationError(_("Say true or false.")) from None


class YesNoFilter(django_filters.BooleanFilter):
    """A fact that is never unknown."""

    field_class = YesNoField


class ConfigurationFilter(django_filters.FilterSet):
    """Free text, facts, order."""

    search = django_filters.CharFilter(method="by_text", help_text="In name, display name or description.")
    kind = AnyOfFilter(
        field_name="kind",
        choices=[(item.value, item.value) for item in Configuration.Kind],
        help_text="`whole` or `fragment`.",
    )
    enabled = YesNoFilter()
    match_all = YesNoFilter()
    ordering = django_filters.OrderingFilter(
        fields=[(name, name) for name in ("name", "priority", "created_at", "updated_at")]
    )

    class Meta:
        model = Configuration
        fields: list[str] = []

    def by_text(self, queryset: QuerySet[Configuration], _name: str, value: str) -> QuerySet[Configuration]:
        """A part of what it is called or described as, whatever the case."""
        found = Q(name__icontains=value) | Q(display_name__icontains=value) | Q(description__icontains=value)
        return queryset.filter(found)


class AssignedAgentFilter(django_filters.FilterSet):
    """How agents stand to their configuration."""

    status = AnyOfFilter(
        field_name="assignment__status",
        choices=[(item.value, item.value) for item in Assignment.Status],
        help_text="Any of these: given several times, or with commas (`failed,pending`).",
    )
    connected = FactFilter(field_name="connected")

    class Meta:
        model = Agent
        fields: list[str] = []
