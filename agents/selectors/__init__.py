"""Selectors: which agents, by their labels, a configuration is meant for. Pure: no Django, no database.

`parse_selector` reads what the API and the admin store, `parse_label_query` what a list filter is given,
`SelectorIndex` finds the winning one of many. None of them knows what is configured.
"""

from agents.selectors.index import Entry, SelectorIndex
from agents.selectors.overlapping import can_both_match
from agents.selectors.parsing import parse_selector
from agents.selectors.query import parse_label_query
from agents.selectors.selector import ClauseResult, InvalidSelector, Operator, Requirement, Selector

__all__ = [
    "ClauseResult",
    "Entry",
    "InvalidSelector",
    "Operator",
    "Requirement",
    "Selector",
    "SelectorIndex",
    "can_both_match",
    "parse_label_query",
    "parse_selector",
]
