"""The language in which people ask for agents: ``status:connected env=prod -version<0.120 (health:bad or seen>1h)``. Pure.

`parse_query` reads a text into a tree of conditions that know their places in it. Which words there are, and what they mean to the
database, is decided in `agents.query_words` and `agents.query_conditions`.
"""

from agents.queries.comparing import is_comparison, version_comparison
from agents.queries.editing import chosen_terms, quoted, with_term, without_terms
from agents.queries.errors import InvalidQuery, mistake
from agents.queries.parsing import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, parse_query
from agents.queries.tree import AllOf, AnyOf, Node, Not, Operation, Term, Text, Value

__all__ = [
    "MAX_DEPTH",
    "MAX_LENGTH",
    "MAX_TERMS",
    "AllOf",
    "AnyOf",
    "InvalidQuery",
    "Node",
    "Not",
    "Operation",
    "Term",
    "Text",
    "Value",
    "chosen_terms",
    "is_comparison",
    "mistake",
    "parse_query",
    "quoted",
    "version_comparison",
    "with_term",
    "without_terms",
]
