"""The one filter of agent lists."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

import django_filters
from django.db.models import Q

from agents.label_conditions import selector_condition
from agents.models import Agent, AgentQuerySet, status_condition
from agents.reports import Status
from agents.selectors import InvalidSelector, parse_label_query


class FactFilter(django_filters.ChoiceFilter):
    """A fact that may be unknown: ``true``, ``false`` or ``unknown``; anything else is an error, not "all"."""

    VALUES: ClassVar[dict[str, bool | None]] = {"true": True, "false": False, "unknown": None}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[(value, value) for value in self.VALUES], **kwargs)

    def filter(self, qs: AgentQuerySet, value: str) -> AgentQuerySet:
        """The agents whose fact has this value."""
        if not value:
            return qs
        wanted = self.VALUES[value]
        return qs.filter(**{f"{self.field_name}__isnull": True} if wanted is None else {self.field_name: wanted})


class AgentFilter(django_filters.FilterSet):
    """Facts, described attributes, a label selector as Kubernetes writes it, free text, order."""

    status = django_filters.MultipleChoiceFilter(
        choices=[(item.value, item.value) for item in Status],
        method="by_status",
        help_text="May be given several times.",
    )
    healthy = FactFilter(field_name="healthy")
    in_sync = FactFilter(field_name="in_sync")
    connected = FactFilter(field_name="connected")
    label = django_filters.CharFilter(method="by_label", help_text="env=prod,tier!=front,os.type in (linux,windows)")
    search = django_filters.CharFilter(method="by_text", help_text="In name, host, service, or the instance UID.")
    configuration = django_filters.CharFilter(field_name="configuration_name")
    ordering = django_filters.OrderingFilter(
        fields=[
            ("name", "name"),
            ("first_seen_at", "first_seen_at"),
            ("presence__last_seen_at", "last_seen_at"),
            ("version", "version"),
            ("hostname", "hostname"),
            ("connected_at", "connected_at"),
        ]
    )

    class Meta:
        model = Agent
        fields = ["os_type", "version", "architecture", "hostname", "service_name"]

    def by_status(self, queryset: AgentQuerySet, _name: str, values: list[str]) -> AgentQuerySet:
        """Any of the statuses."""
        if not values:
            return queryset
        condition = Q(pk__in=[])
        for value in values:
            condition |= status_condition(Status(value))
        return queryset.filter(condition)

    def by_label(self, queryset: AgentQuerySet, _name: str, value: str) -> AgentQuerySet:
        """Raises `InvalidSelector` with the position of the mistake."""
        selector = parse_label_query(value)
        if "\x00" in value:
            raise InvalidSelector([("", "A selector must not contain NUL characters.")])
        return queryset.filter(selector_condition(selector))

    def by_text(self, queryset: AgentQuerySet, _name: str, value: str) -> AgentQuerySet:
        """A part of a name, or a whole uid."""
        if "\x00" in value:
            return queryset.none()
        try:
            return queryset.filter(instance_uid=UUID(value))
        except ValueError:
            return queryset.filter(
                Q(name__icontains=value) | Q(hostname__icontains=value) | Q(service_name__icontains=value)
            )
