"""List filters with counts, from one grouped query over the fleet instead of a count for every choice.

What is chosen is text in the search box: each choice is a link to the query with its condition, or without it. Parameters of
their own, as links made before have them, still count; the next choice turns them into text.

A count respects the other filters that are chosen, and the search: of what that finds so many agents are counted, no more.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from agents.admin import error_groups
from agents.admin.facet_queries import FacetQuery, read_facet_query
from agents.conditions import status_condition
from agents.models import Agent, Transport
from agents.reports import FACT_NAMES, Facts, Status, derived_status
from foundation.bulk_sql import counted_alike

_MOST_CHOICES = 12
# What took long to count is kept for so many times as long, so that counting never takes more than 5 % of a process.
_KEEP_FACTOR = 20
_FREE_SECONDS = 0.05
# Of what a search finds.
MOST_COUNTED = 10_000
_COLUMNS = (*FACT_NAMES, "config_drifted", "os_type", "version", "transport", "configuration_name")
_FACTS = {True: "true", False: "false", None: "unknown"}


class Group(NamedTuple):
    """So many agents alike in every facet: parameter name to value."""

    values: Mapping[str, str]
    number: int


class FacetTally(NamedTuple):
    """The agents in question, grouped; ``partial``: there are more, which were not counted."""

    groups: list[Group]
    partial: bool = False

    @property
    def number(self) -> int:
        """How many there are, or how many at least."""
        return sum(group.number for group in self.groups)


_kept: tuple[float, list[Group]] = (0.0, [])


def groups() -> list[Group]:
    """The fleet, grouped. Counted anew, unless counting is expensive and was done a moment ago."""
    global _kept  # noqa: PLW0603  replaced whole
    now = time.monotonic()
    if now < _kept[0]:
        return _kept[1]
    rows = Agent.objects.order_by().values_list(*_COLUMNS).annotate(number=Count("*"))
    found = [_group(*row) for row in rows]
    done = time.monotonic()
    cost = done - now
    _kept = (done + _KEEP_FACTOR * cost if cost > _FREE_SECONDS else 0.0, found)
    return found


def tally_within(condition: Q) -> FacetTally:
    """The agents that ``condition`` finds, the first 10,000 of them."""
    found = [_group(*row) for row in counted_alike(Agent.objects.filter(condition), _COLUMNS, MOST_COUNTED + 1)]
    return FacetTally(found, sum(group.number for group in found) > MOST_COUNTED)


def with_last_known(configurations: Iterable[Any]) -> list[Any]:
    """Each given, as ``last_known_count``, how many agents ran it when they were last heard, and are not connected now."""
    counts: Counter[str] = Counter()
    for group in groups():
        if group.values["status"] == Status.DISCONNECTED.value and group.values["in_sync"] == "true":
            counts[group.values["configuration"]] += group.number
    rows = list(configurations)
    for row in rows:
        row.last_known_count = counts[row.name]
    return rows


def _group(*row: Any) -> Group:
    """Of one row; SQLite says 1 and 0 where a condition was not Django's."""
    *facts, drifted, os_type, version, transport, configuration, number = row
    each: list[Any] = [fact if fact is None else bool(fact) for fact in facts]
    known = Facts(*each)
    values = {
        "status": derived_status(known).value,
        "healthy": _FACTS[known.healthy],
        "in_sync": _FACTS[known.in_sync],
        "drifted": _FACTS[bool(drifted)],
        "os_type": os_type,
        "version": version,
        "transport": transport,
        "configuration": configuration,
    }
    return Group(values, number)


class Facet(admin.SimpleListFilter):
    """One filter of the list. ``words`` names its values; without it they are shown as they are, the most frequent first."""

    template = "admin/agents/agent/facet.html"
    words: ClassVar[Mapping[str, Any] | None] = None
    empty: ClassVar[Any] = _("not reported")
    # The word of the query language, and what it calls the values where that differs.
    asked_as: ClassVar[str] = ""
    values_asked: ClassVar[Mapping[str, str]] = {}

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        tally = tally_of(request)
        self._partial = tally.partial
        self._query = facet_query_of(request)
        self._counts = self._count(request, tally.groups)
        super().__init__(request, params, model, model_admin)

    def _count(self, request: HttpRequest, groups: list[Group]) -> Counter[str]:
        chosen = facet_query_of(request).chosen
        others = {name: chosen[name] for name in PARAMETERS if name != self.parameter_name and name in chosen}
        counts: Counter[str] = Counter()
        if self.parameter_name not in PARAMETERS:
            return counts
        for group in groups:
            hit = all(group.values[name] == value for name, value in others.items())
            counts[group.values[str(self.parameter_name)]] += group.number if hit else 0
        return counts

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Known words always; of free values the most frequent, and the one chosen."""
        if self.words is not None:
            return list(self.words.items())
        frequent = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_CHOICES]
        values = [value for value, _number in frequent]
        chosen = facet_query_of(request).chosen.get(str(self.parameter_name))
        if chosen is not None and chosen not in values:
            values.append(chosen)
        return [(value, value or self.empty) for value in values] if len(values) > 1 or chosen is not None else []

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Django's choices with the number of agents; ``more``: it is at least that."""
        rows = self._linked(changelist)
        yield {**next(rows), "count": None}
        for (value, _title), row in zip(self.lookup_choices, rows, strict=True):
            number = self._counts[value]
            yield {**row, "count": number, "more": self._partial and number > 0}

    def _linked(self, changelist: Any) -> Iterator[Any]:
        """Django's, each leading to the query with its condition; the one chosen to the query without it."""
        rows = super().choices(changelist)
        query = self._query
        if not self.asked_as or not query.can_be_changed:
            yield from rows
            return
        chosen = query.chosen.get(str(self.parameter_name))
        first = next(rows)
        yield {
            **first,
            "selected": chosen is None,
            "query_string": query.link(changelist, str(self.parameter_name), None),
        }
        for (value, _title), row in zip(self.lookup_choices, rows, strict=True):
            wanted = None if value == chosen else value
            yield {
                **row,
                "selected": value == chosen,
                "query_string": query.link(changelist, str(self.parameter_name), wanted),
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Agent]) -> QuerySet[Agent]:
        """The agents of the chosen value; a strange value chooses nothing."""
        value = self.value()
        if value is None:
            return queryset
        if "\x00" in value or (self.words is not None and value not in self.words):
            return queryset.none()
        return queryset.filter(self.condition(value))

    def condition(self, value: str) -> Q:
        """Of one value."""
        return Q(**{str(self.parameter_name): value})


def tally_of(request: HttpRequest) -> FacetTally:
    """The groups of what is searched for, read once for all filters of a page."""
    found: FacetTally | None = getattr(request, "_agent_tally", None)
    if found is None:
        reason = request.GET.get(error_groups.REASON)
        within = facet_query_of(request).within & (error_groups.has_reason(reason) if reason is not None else Q())
        found = tally_within(within) if within else FacetTally(groups())
        request._agent_tally = found  # type: ignore[attr-defined]  # noqa: SLF001  lives as long as the request
    return found


def found_by(request: HttpRequest) -> FacetTally | None:
    """The agents of the list, by the counts of what its search finds; ``None`` where these do not say it."""
    # Counts of the whole fleet may be of a moment ago.
    tally = tally_of(request) if facet_query_of(request).within else None
    if tally is None or not tally.groups:
        return tally
    # What a parameter says may contradict the search, and some are not counted.
    if any(str(facet.parameter_name) in request.GET for facet in all_facets()):
        return None
    chosen = {name: value for name, value in facet_query_of(request).chosen.items() if name in PARAMETERS}
    hit = [group for group in tally.groups if all(group.values[name] == value for name, value in chosen.items())]
    return FacetTally(hit, tally.partial)


def facet_query_of(request: HttpRequest) -> FacetQuery:
    """What is chosen, read once for a page."""
    return read_facet_query(request, all_facets(), PARAMETERS)


class FactFacet(Facet):
    """A fact that may be unknown; the parameter is the field."""

    def condition(self, value: str) -> Q:
        """True, false, or NULL."""
        wanted = {text: fact for fact, text in _FACTS.items()}[value]
        name = str(self.parameter_name)
        return Q(**{f"{name}__isnull": True}) if wanted is None else Q(**{name: wanted})


class StatusFacet(Facet):
    """By the derived status."""

    title = _("status")
    parameter_name = "status"
    asked_as = "status"
    words = {
        Status.CONNECTED.value: _("connected"),
        Status.CONFIGURING.value: _("configuring"),
        Status.ERROR.value: _("error"),
        Status.DISCONNECTED.value: _("disconnected"),
    }

    def condition(self, value: str) -> Q:
        """The rule of `agents.conditions.status_condition`."""
        return status_condition(Status(value))


class HealthFacet(FactFacet):
    """Healthy, unhealthy, never said."""

    title = _("health")
    parameter_name = "healthy"
    asked_as = "health"
    values_asked = {"true": "good", "false": "bad", "unknown": "unknown"}
    words = {"true": _("healthy"), "false": _("unhealthy"), "unknown": _("unknown")}


class SyncFacet(FactFacet):
    """Whether agents run what they should."""

    title = _("configuration state")
    parameter_name = "in_sync"
    asked_as = "sync"
    values_asked = {"true": "yes", "false": "no", "unknown": "unknown"}
    words = {"true": _("in sync"), "false": _("not in sync"), "unknown": _("nothing desired")}


class DriftFacet(Facet):
    """Whether agents run something else than they applied."""

    title = _("drift")
    parameter_name = "drifted"
    asked_as = "drift"
    values_asked = {"true": "yes", "false": "no"}
    words = {"true": _("runs something else than it applied"), "false": _("no drift seen")}

    def condition(self, value: str) -> Q:
        """Of one value."""
        return Q(config_drifted=value == "true")


class ConfigurationFacet(Facet):
    """By what they should run."""

    title = _("configuration")
    parameter_name = "configuration"
    asked_as = "config"
    empty = _("unassigned")

    def condition(self, value: str) -> Q:
        """By its name."""
        return Q(configuration_name=value)


class OsFacet(Facet):
    """By operating system."""

    title = _("OS")
    parameter_name = "os_type"
    asked_as = "os"


class VersionFacet(Facet):
    """By version."""

    title = _("version")
    parameter_name = "version"
    asked_as = "version"


class ReasonFacet(Facet):
    """By the error text; offered where the errors are shown (`failures`), and here only to be taken back."""

    title = _("error")
    parameter_name = error_groups.REASON
    empty = error_groups.NO_REASON

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The one chosen."""
        chosen = request.GET.get(error_groups.REASON)
        return [] if chosen is None else [(chosen, chosen or self.empty)]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Without counts: how many there are says the list itself."""
        return ({**row, "count": None} for row in super().choices(changelist))

    def condition(self, value: str) -> Q:
        """The agents in error with this text."""
        return error_groups.has_reason(value)


class TransportFacet(Facet):
    """By transport."""

    title = _("transport")
    parameter_name = "transport"
    asked_as = "transport"
    words = dict(Transport.choices)


class AmongFacet(Facet):
    """Agents whose ``keys`` an app above this one keeps, or the others; without counts, for no column of agents says it."""

    words = {"true": _("yes"), "false": _("no")}

    def keys(self) -> QuerySet[Any]:
        """The keys of the agents that are meant."""
        raise NotImplementedError

    values_asked = {"true": "yes", "false": "no"}

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Without counts."""
        return ({**row, "count": None} for row in super().choices(changelist))

    def condition(self, value: str) -> Q:
        """These agents, or the others."""
        return Q(pk__in=self.keys()) if value == "true" else ~Q(pk__in=self.keys())


_registered: list[type[Facet]] = []


def register_facet(facet: type[Facet]) -> None:
    """Offer a filter of an app above this one in the list; a second registration of the same parameter replaces the first."""
    _registered[:] = [known for known in _registered if known.parameter_name != facet.parameter_name]
    _registered.append(facet)


def all_facets() -> tuple[type[Facet], ...]:
    """The filters of this app, then those registered."""
    return (*FACETS, *_registered)


COUNTED: tuple[type[Facet], ...] = (
    StatusFacet,
    SyncFacet,
    DriftFacet,
    HealthFacet,
    ConfigurationFacet,
    OsFacet,
    VersionFacet,
    TransportFacet,
)
FACETS: tuple[type[Facet], ...] = (ReasonFacet, *COUNTED)
PARAMETERS = tuple(str(facet.parameter_name) for facet in COUNTED)
