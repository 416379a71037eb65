"""The filter of lists of rollouts."""

from __future__ import annotations

from typing import Any

import django_filters

from agents.filters import AnyOfField, AnyOfFilter
from foundation.clock import clock
from rollouts.former_names import present_state
from rollouts.models import Rollout, RolloutQuerySet


class StatesField(AnyOfField):
    """States, also by their former names."""

    def to_python(self, value: Any) -> list[str]:
        """By their present names."""
        return [present_state(state) for state in super().to_python(value)]


class StatesFilter(AnyOfFilter):
    """Any of the states."""

    field_class = StatesField

    def filter(self, qs: RolloutQuerySet, value: list[str]) -> RolloutQuerySet:
        """As they are now."""
        return qs.in_states(value, clock.now()) if value else qs


class RolloutStateFilter(django_filters.FilterSet):
    """By state."""

    state = StatesFilter(choices=Rollout.State.choices, help_text="Any of these.")

    class Meta:
        model = Rollout
        fields: list[str] = []


class RolloutFilter(RolloutStateFilter):
    """By state and by what is rolled out."""

    name = django_filters.CharFilter(help_text="The exact name of what is rolled out.")
    subject = django_filters.CharFilter(help_text="The kind of thing: configuration, package or connection_settings.")
