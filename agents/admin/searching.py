"""What the search box of the list of agents asks for, read once for a page: rows, filter counts and explanations agree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import and_

from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Q
from django.http import HttpRequest

from agents.empty_queries import why_no_agents
from agents.queries import Conjunction, Disjunction, InvalidQuery, parse_query
from agents.query_conditions import part_conditions
from foundation.languages import in_readers_language

_MARKED = 40


@dataclass(frozen=True, slots=True)
class Search:
    """``condition`` is what agents must be, ``Q()`` without a search; ``conditions`` are those of its parts, in their order.

    ``problem`` says why the text was not understood, and ``place`` where.
    """

    text: str
    condition: Q
    root: Conjunction | Disjunction | None = None
    problem: str = ""
    place: int = 0
    conditions: tuple[Q, ...] = ()

    @property
    def pieces(self) -> tuple[str, str, str]:
        """Of a text that was not understood: what stands before the mistake, where it begins, and the rest."""
        wrong = self.text[self.place :]
        end = min((wrong.index(sign) for sign in " \t\n" if sign in wrong[1:_MARKED]), default=_MARKED)
        return self.text[: self.place], wrong[:end], wrong[end:]

    def why_nothing(self) -> list[str]:
        """Why no agent is found, in the reader's language. Asks the database."""
        if self.root is None or not self.text:
            return []
        return [in_readers_language(message) for message in why_no_agents(self.root, self.text)]


def all_of(conditions: Iterable[Q]) -> Q:
    """What is so only where each of them is."""
    return reduce(and_, conditions, Q())


def search_of(request: HttpRequest) -> Search:
    """The search of this request."""
    found: Search | None = getattr(request, "_agent_search", None)
    if found is None:
        found = _read(request.GET.get(SEARCH_VAR, "").strip(), request)
        request._agent_search = found  # type: ignore[attr-defined]  # noqa: SLF001  lives as long as the request
    return found


def _read(text: str, request: HttpRequest) -> Search:
    """What nobody can mean finds nobody, and never everybody: actions go to all that are listed."""
    try:
        root = parse_query(text)
        conditions = part_conditions(root, request.user)
        return Search(text, all_of(conditions), root, conditions=conditions)
    except InvalidQuery as error:
        return Search(text, Q(pk__in=[]), problem=str(in_readers_language(error)), place=error.position)
