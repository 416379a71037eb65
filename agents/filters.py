"""The one filter of agent lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _
from django_filters.fields import MultipleChoiceField

from agents.conditions import status_condition
from agents.label_conditions import selector_condition
from agents.models import Agent, AgentQuerySet, Approval
from agents.query_conditions import query_condition
from agents.reports import Status
from agents.selectors import parse_label_query
from agents.text_search import LONGEST_PART, text_condition

_LAST_KNOWN = "The last known fact, of agents that are not connected too: combine it with `connected=true`."


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


class AnyOfField(MultipleChoiceField):
    """Choices given several times, or in one text with commas, or both."""

    def to_python(self, value: Any) -> list[str]:
        """The single choices; blanks between commas are none."""
        texts = super().to_python(value)
        return [part.strip() for text in texts for part in text.split(",") if part.strip()]


class AnyOfFilter(django_filters.MultipleChoiceFilter):
    """Any of the choices."""

    field_class = AnyOfField


class AmongFilter(django_filters.ChoiceFilter):
    """``true``: the agents that ``keys`` has, ``false``: the others; anything else is an error, not "all"."""

    def __init__(self, keys: Callable[[], QuerySet[Any]], **kwargs: Any) -> None:
        self._keys = keys
        super().__init__(choices=[(value, value) for value in ("true", "false")], **kwargs)

    def filter(self, qs: AgentQuerySet, value: str) -> AgentQuerySet:
        """The agents asked for."""
        if not value:
            return qs
        return qs.filter(pk__in=self._keys()) if value == "true" else qs.exclude(pk__in=self._keys())


class StableOrdering(django_filters.OrderingFilter):
    """By the fields named, in an order that is the same for every page."""

    def filter(self, qs: AgentQuerySet, value: list[str] | None) -> AgentQuerySet:
        """Ordered as asked."""
        ordered: AgentQuerySet = super().filter(qs, value)
        return ordered.in_order(*map(str, ordered.query.order_by)) if value else qs


class AgentFilter(django_filters.FilterSet):
    """Facts, described attributes, a label selector as Kubernetes writes it, free text, order."""

    status = AnyOfFilter(
        choices=[(item.value, item.value) for item in Status],
        method="by_status",
        help_text="Any of these: given several times, or with commas (`connected,error`).",
    )
    healthy = FactFilter(field_name="healthy", help_text=_LAST_KNOWN)
    in_sync = FactFilter(field_name="in_sync", help_text=_LAST_KNOWN)
    connected = FactFilter(field_name="connected")
    drifted = FactFilter(
        field_name="config_drifted",
        help_text="Runs something else than it applied. " + _LAST_KNOWN,
    )
    approval = django_filters.ChoiceFilter(
        choices=[(value, value) for value in Approval.values],
        help_text="Whether somebody let it in, where new agents wait for that.",
    )
    enrolled_by = django_filters.CharFilter(help_text="The name of the enrolment token it came by last.")
    label = django_filters.CharFilter(method="by_label", help_text="env=prod,tier!=front,os.type in (linux,windows)")
    search = django_filters.CharFilter(
        method="by_text",
        max_length=LONGEST_PART,
        help_text="In name, host, service, or the instance UID.",
    )
    q = django_filters.CharFilter(
        method="by_query",
        help_text='A query: `status:connected env=prod -version<0.120 (health:bad or seen>1h) "free text"`.',
    )
    configuration = django_filters.CharFilter(field_name="configuration_name")
    ordering = StableOrdering(
        fields=[
            ("name", "name"),
            ("first_seen_at", "first_seen_at"),
            ("presence__last_seen_at", "last_seen_at"),
            ("version", "version"),
            ("hostname", "hostname"),
            ("os_type", "os_type"),
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
        return queryset.filter(selector_condition(parse_label_query(value)))

    def by_query(self, queryset: AgentQuerySet, _name: str, value: str) -> AgentQuerySet:
        """Raises `InvalidQuery` with the position of the mistake."""
        return queryset.filter(query_condition(value, getattr(self.request, "user", None)))

    def by_text(self, queryset: AgentQuerySet, _name: str, value: str) -> AgentQuerySet:
        """A part of a name, or a whole uid."""
        return queryset.filter(text_condition(value))


def register_agent_filter(name: str, keys: Callable[[], QuerySet[Any]], *, help_text: str) -> None:
    """Have lists of agents take ``name`` too: the agents whose keys an app above this one keeps. In ``AppConfig.ready``."""
    made = AmongFilter(keys, help_text=help_text)
    kept: Any = AgentFilter  # what its metaclass made is not in its type stub
    kept.declared_filters[name] = kept.base_filters[name] = made


def filtered(queryset: AgentQuerySet, filters: Mapping[str, Any], request: HttpRequest | None = None) -> AgentQuerySet:
    """``queryset`` by filters given as JSON: the same names and values as in a query string; booleans, lists for "any of".

    ``request`` is of who asks, whose rights say which words a query may have. Raises `forms.ValidationError` with messages by
    filter, `InvalidSelector`, and `InvalidQuery`.
    """
    known = set(AgentFilter.get_filters()) - {"ordering"}  # type: ignore[no-untyped-call]
    unknown = sorted(set(filters) - known)
    if unknown:
        message = _("There is no such filter; the filters are: %(known)s.") % {"known": ", ".join(sorted(known))}
        raise forms.ValidationError(dict.fromkeys(unknown, message))
    query = QueryDict(mutable=True)
    for name, value in filters.items():
        query.setlist(name, _texts(name, value))
    judged = AgentFilter(query, queryset=queryset, request=request)
    if not judged.form.is_valid():
        raise forms.ValidationError(judged.form.errors.as_data())
    # In a list an empty filter is one not set; here it would quietly choose the whole fleet.
    empty = [name for name in filters if not judged.form.cleaned_data[name]]
    if empty:
        raise forms.ValidationError(dict.fromkeys(empty, _("An empty filter would choose every agent; leave it out.")))
    chosen: AgentQuerySet = judged.filter_queryset(queryset)
    return chosen


def _texts(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return ["true" if value else "false"]
    texts = value if isinstance(value, list) and name == "status" else [value]
    if not all(isinstance(text, str) for text in texts):
        raise forms.ValidationError({name: _("Send a text.")})
    return texts
