"""The language in which people ask for agents: ``status:connected env=prod -version<0.120 (health:bad or seen>1h)``. Pure.

`parse_query` reads a text into a tree of conditions that know their places in it. Which words there are, and what they mean to the
database, is decided in `agents.query_words` and `agents.query_conditions`.
"""

from agents.queries.errors import InvalidQuery, mistake
from agents.queries.query_parsing import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, parse_query
from agents.queries.term_editing import chosen_terms, quoted_key, quoted_value, with_term, without_terms
from agents.queries.tree import Conjunction, Disjunction, FreeText, Negation, Node, Operation, Term, Value
from agents.queries.version_order import is_comparison, version_comparison

__all__ = [
    "MAX_DEPTH",
    "MAX_LENGTH",
    "MAX_TERMS",
    "Conjunction",
    "Disjunction",
    "FreeText",
    "InvalidQuery",
    "Negation",
    "Node",
    "Operation",
    "Term",
    "Value",
    "chosen_terms",
    "is_comparison",
    "mistake",
    "parse_query",
    "quoted_key",
    "quoted_value",
    "version_comparison",
    "with_term",
    "without_terms",
]
