"""What the search box of the list of agents asks for, read once for a page: rows, filter counts and explanations agree."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Q
from django.http import HttpRequest

from agents.empty_searches import why_no_labels, why_no_text
from agents.label_conditions import selector_condition
from agents.selectors import InvalidSelector, Selector, parse_label_query
from agents.text_search import LONGEST_PART, text_condition
from foundation.languages import in_readers_language
from foundation.messages import Message

_SIGNS = frozenset("=<>!(")


@dataclass(frozen=True, slots=True)
class Search:
    """``condition`` is what agents must be, ``Q()`` without a search; ``problems`` say why the text was not understood."""

    text: str
    condition: Q
    selector: Selector | None = None
    problems: tuple[str, ...] = ()

    def why_nothing(self) -> list[str]:
        """Why no agent is found, in the reader's language. Asks the database."""
        if not self.text or self.problems:
            return []
        said = why_no_text(self.text) if self.selector is None else why_no_labels(self.selector)
        return [in_readers_language(message) for message in said]


def search_of(request: HttpRequest) -> Search:
    """The search of this request."""
    found: Search | None = getattr(request, "_agent_search", None)
    if found is None:
        found = _read(request.GET.get(SEARCH_VAR, "").strip())
        request._agent_search = found  # type: ignore[attr-defined]  # noqa: SLF001  lives as long as the request
    return found


def _read(text: str) -> Search:
    """A label query when there is a sign of one, else a whole UID or a part of a name."""
    if not text:
        return Search("", Q())
    nobody = Q(pk__in=[])
    if not _SIGNS & set(text):
        if len(text) > LONGEST_PART:
            too_long = Message(
                "search-too-long", "A name has at most {most} characters; search for a part of it.", most=LONGEST_PART
            )
            return Search(text, nobody, problems=(in_readers_language(too_long),))
        return Search(text, text_condition(text))
    try:
        selector = parse_label_query(text)
    except InvalidSelector as error:
        return Search(text, nobody, problems=tuple(in_readers_language(problem) for problem in error.problems))
    return Search(text, selector_condition(selector), selector)
