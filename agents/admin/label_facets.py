"""List filters by labels, with counts: of the labels that tell these agents apart, as the list's other filters are.

Which labels is read off a sample, since nobody says which of them mean anything; what a person filters by is always among them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR
from django.http import HttpRequest
from django.utils.translation import gettext as _

from agents.admin import facets
from agents.admin.searching import search_of
from agents.label_conditions import label_text
from agents.models import Agent
from agents.queries import (
    Conjunction,
    InvalidQuery,
    Node,
    Operation,
    Term,
    quoted_key,
    quoted_value,
    with_term,
    without_terms,
)
from agents.shown import pair_shown
from foundation.bulk_sql import counted_alike

MOST_FACETS = 3
_SAMPLE = 200
_MOST_CHOICES = 8
# Of one agent, or of a facet that there is already.
_OTHERS = ("host.", "service.", "os.", "process.", "container.id", "k8s.pod.")


@dataclass(frozen=True, slots=True)
class LabelFacet:
    """The values of one label with how many of the agents in question have each; what Django's lists want of a filter."""

    key: str
    counts: Sequence[tuple[str, int]]
    chosen: str | None
    partial: bool
    template: str = facets.Facet.template

    @property
    def title(self) -> str:
        """The label's key, as it is."""
        return self.key

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """*All*, then the values; each leads to the query with its condition, the one chosen to the query without it."""
        text = facets.facet_query_of(changelist.request).text
        rest = without_terms(text, lambda node: _asks(node, self.key))
        yield _choice(changelist, rest, _("All"), selected=self.chosen is None)
        for value, number in self.counts:
            try:
                wanted = (
                    rest if value == self.chosen else with_term(rest, f"{quoted_key(self.key)}={quoted_value(value)}")
                )
            except InvalidQuery:  # it would be too long, or the value is
                continue
            choice = _choice(changelist, wanted, value or "“”", selected=value == self.chosen)
            yield {**choice, "count": number, "more": self.partial}


def label_facets(request: HttpRequest) -> list[LabelFacet]:
    """Those of the agents that are searched for; two queries. None while the search is not understood."""
    search = search_of(request)
    if search.problem:
        return []
    asked = _asked(search.root)
    sample = Agent.objects.filter(search.condition).order_by("-pk").values_list("labels", flat=True)[:_SAMPLE]
    keys = _telling_keys(list(sample), list(asked))
    if not keys:
        return []
    columns = {f"facet_{place}": label_text(key) for place, key in enumerate(keys)}
    rows = Agent.objects.filter(search.condition).annotate(**columns)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    total = 0
    for *values, number in counted_alike(rows, list(columns), facets.MOST_COUNTED + 1):
        total += number
        for key, value in zip(keys, values, strict=True):
            if value is not None and pair_shown(key, str(value)) == value:
                counts[key][str(value)] += number
    partial = total > facets.MOST_COUNTED
    return [
        LabelFacet(key, _largest(counts[key], asked.get(key)), asked.get(key), partial) for key in keys if counts[key]
    ]


def _telling_keys(sample: Sequence[dict[str, str]], asked: Sequence[str]) -> list[str]:
    """The keys that are asked for, then those that most agents have and that have few values, more than one of them."""
    found: dict[str, set[str]] = defaultdict(set)
    number: Counter[str] = Counter()
    for labels in sample:
        for key, value in labels.items():
            if not key.startswith(_OTHERS):
                number[key] += 1
                found[key].add(value)
    telling = [key for key, values in found.items() if key not in asked and 1 < len(values) <= _MOST_CHOICES]
    telling.sort(key=lambda key: (-number[key], len(found[key]), key))
    return [*asked, *telling][:MOST_FACETS]


def _largest(counts: Counter[str], chosen: str | None) -> list[tuple[str, int]]:
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_CHOICES]
    return largest if chosen is None or chosen in dict(largest) else [*largest, (chosen, counts[chosen])]


def _asked(root: Any) -> dict[str, str]:
    """The labels that must have one value, by key."""
    terms = [part for part in root.parts if isinstance(part, Term)] if isinstance(root, Conjunction) else []
    return {
        term.key: term.values[0].text
        for term in terms
        if term.operation is Operation.EQUAL and len(term.values) == 1 and not term.values[0].prefix
    }


def _asks(node: Node, key: str) -> bool:
    return isinstance(node, Term) and node.operation is Operation.EQUAL and node.key == key


def _choice(changelist: Any, text: str, display: str, *, selected: bool) -> dict[str, Any]:
    address = changelist.get_query_string({SEARCH_VAR: text or None}, remove=[PAGE_VAR])
    return {"selected": selected, "query_string": address, "display": display, "count": None}
