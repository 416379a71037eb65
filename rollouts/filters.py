"""The filter of lists of rollouts."""

from __future__ import annotations

import django_filters

from agents.filters import AnyOfFilter
from rollouts.models import Rollout


class RolloutFilter(django_filters.FilterSet):
    """By state and by what is rolled out."""

    state = AnyOfFilter(choices=Rollout.State.choices, help_text="Any of these.")
    name = django_filters.CharFilter(help_text="The exact name of what is rolled out.")
    subject = django_filters.CharFilter(help_text="The kind of thing: configuration or package.")

    class Meta:
        model = Rollout
        fields: list[str] = []
