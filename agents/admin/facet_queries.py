"""The list's filters as text in its search box: what is chosen of each, and the address of the list with another choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR
from django.db.models import Q
from django.http import HttpRequest

from agents.admin.searching import all_of, search_of
from agents.queries import (
    Conjunction,
    InvalidQuery,
    Node,
    Operation,
    Term,
    quoted_value,
    with_term,
    without_terms,
)

Facets = Mapping[str, Any]
"""Classes of `agents.admin.facets.Facet` by the parameters they had before queries; only those that queries have a word for."""


@dataclass(frozen=True, slots=True)
class FacetQuery:
    """What is ``chosen`` of each facet, by a parameter or in the search box; ``within`` is the condition of the rest of the search.

    ``text`` is the search as it was typed. It ``can_be_changed`` when it was understood.
    """

    text: str
    chosen: Mapping[str, str]
    within: Q
    facets: Facets
    can_be_changed: bool = True

    def as_text(self) -> str:
        """The search with all choices in it. Raises `InvalidQuery`."""
        text = self.text
        for name, value in self.chosen.items():
            if name in self.facets:
                text = _with_choice(text, self.facets[name], value)
        return text

    def link(self, changelist: Any, parameter: str, value: str | None) -> str:
        """The address of the list with another choice of one facet, ``None`` for none; parameters become text."""
        wanted: dict[str, str | None] = {
            name: each for name, each in self.chosen.items() if name in self.facets and name in changelist.filter_params
        }
        wanted[parameter] = value
        text = self.text
        try:
            for name, each in wanted.items():
                text = _with_choice(text, self.facets[name], each)
        except InvalidQuery:  # it would be too long, or have a value that nobody can write
            return str(changelist.get_query_string({parameter: value}, remove=[parameter, PAGE_VAR]))
        return str(changelist.get_query_string({SEARCH_VAR: text or None}, remove=[*self.facets, PAGE_VAR]))


def read_facet_query(request: HttpRequest, kinds: Sequence[Any], counted: Collection[str]) -> FacetQuery:
    """Once for a page. Conditions of ``counted`` facets are left out of ``within``: their counts go on from there."""
    found: FacetQuery | None = getattr(request, "_agent_facet_query", None)
    if found is None:
        found = _read(request, kinds, counted)
        request._agent_facet_query = found  # type: ignore[attr-defined]  # noqa: SLF001  lives as long as the request
    return found


def _read(request: HttpRequest, kinds: Sequence[Any], counted: Collection[str]) -> FacetQuery:
    search = search_of(request)
    facets = {str(kind.parameter_name): kind for kind in kinds if kind.asked_as}
    given = {str(kind.parameter_name): request.GET.get(str(kind.parameter_name)) for kind in kinds}
    chosen = {name: value for name, value in given.items() if value is not None}
    if search.root is None:
        return FacetQuery(search.text, chosen, search.condition, facets, can_be_changed=False)
    asked = _asked(search.root, facets) if isinstance(search.root, Conjunction) else {}
    left_out = [term for name, (term, _value) in asked.items() if name in counted]
    within = search.condition
    if left_out:
        # What was made of a part may have asked the database, and is not made again.
        both = zip(search.root.parts, search.conditions, strict=True)
        within = all_of(condition for part, condition in both if part not in left_out)
    values = {name: value for name, (_term, value) in asked.items()}
    return FacetQuery(search.text, values | chosen, within, facets)


def _asked(root: Conjunction, facets: Facets) -> dict[str, tuple[Term, str]]:
    """What the query itself asks of facets: conditions that must hold, with one value, of words that it has once."""
    terms = [
        part for part in root.parts if isinstance(part, Term) and part.operation is Operation.IS and not part.quoted
    ]
    number = Counter(term.key for term in terms)
    by_word = {kind.asked_as: name for name, kind in facets.items()}
    found = {}
    for term in terms:
        name = by_word.get(term.key)
        if name is None or number[term.key] > 1 or len(term.values) > 1 or term.values[0].prefix:
            continue
        value = _own_value(facets[name], term.values[0].text)
        if value is not None:
            found[name] = (term, value)
    return found


def _own_value(facet: Any, text: str) -> str | None:
    """The facet's own name of a value that a query asks for, ``None`` when it has none of that name."""
    if facet.words is None:
        return text
    names = {asked: name for name, asked in facet.values_asked.items()}
    name = names.get(text.lower()) if names else text.lower()
    return name if name in facet.words else None


def _with_choice(text: str, facet: Any, value: str | None) -> str:
    def asks(node: Node) -> bool:
        return isinstance(node, Term) and node.operation is Operation.IS and node.key == facet.asked_as

    text = without_terms(text, asks)
    if value is not None:
        text = with_term(text, f"{facet.asked_as}:{quoted_value(facet.values_asked.get(value, value))}")
    return text
