"""Queries that buttons change: one condition put in, taken out, or looked for, and all others left as they were typed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from agents.fullwidth_signs import FULLWIDTH
from agents.queries.query_parsing import parse_query
from agents.queries.tree import Conjunction, Node

_BARE = re.compile(rf'(?!:)[^\s,=!<>()"*{FULLWIDTH}]+')


def quoted_value(text: str) -> str:
    """A value as it stands in a query: in quotes where it needs them."""
    return text if _BARE.fullmatch(text) else _in_quotes(text)


def quoted_key(key: str) -> str:
    """The key of a label as it stands in a query: in quotes also where it would be read as a word, or as "not"."""
    return key if _BARE.fullmatch(key) and ":" not in key and not key.startswith("-") else _in_quotes(key)


def chosen_terms(text: str) -> list[tuple[Node, str]]:
    """The conditions that all must hold, each with its text; a query of ``or`` alone has one, itself. Raises `InvalidQuery`."""
    root = parse_query(text)
    if isinstance(root, Conjunction):
        return [(part, text[part.start : part.end]) for part in root.parts]
    return [(root, _bracketed(text, root))]


def with_term(text: str, term: str) -> str:
    """``text`` with one more condition. Raises `InvalidQuery`, also where that makes no query, as one that is too long."""
    found = " ".join([*(said for _node, said in chosen_terms(text)), term])
    parse_query(found)
    return found


def without_terms(text: str, unwanted: Callable[[Node], bool]) -> str:
    """``text`` without the conditions that are ``unwanted``. Raises `InvalidQuery`."""
    return " ".join(said for node, said in chosen_terms(text) if not unwanted(node))


def _bracketed(text: str, root: Node) -> str:
    said = text[root.start : root.end]
    # Its brackets are its own only when they enclose all of it; `(a) or (b)` has two pairs.
    return said if text[root.start] == "(" and isinstance(root, Conjunction) else f"({said})"


def _in_quotes(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
