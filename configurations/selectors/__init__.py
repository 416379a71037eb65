"""Selectors: which agents, by their labels, a configuration is meant for. Pure: no Django, no database.

`parse_selector` reads what the API and the admin store, `parse_label_query` what a list filter is given,
`SelectorIndex` finds the winning one of many. None of them knows what is configured.
"""

from configurations.selectors.index import Entry, SelectorIndex
from configurations.selectors.parsing import parse_selector
from configurations.selectors.query import parse_label_query
from configurations.selectors.selector import ClauseResult, InvalidSelector, Operator, Requirement, Selector

__all__ = [
    "ClauseResult",
    "Entry",
    "InvalidSelector",
    "Operator",
    "Requirement",
    "Selector",
    "SelectorIndex",
    "parse_label_query",
    "parse_selector",
]
