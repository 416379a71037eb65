"""The one file that turns a query text into a condition on agents; lists, exports, jobs and alerts ask it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db.models import Q

from agents.label_conditions import (
    admitted_label_condition,
    has_label,
    label_prefix_condition,
    selector_condition,
)
from agents.models import Agent, AgentQuerySet
from agents.queries import (
    Conjunction,
    Disjunction,
    FreeText,
    InvalidQuery,
    Negation,
    Node,
    Operation,
    Term,
    is_comparison,
    mistake,
    parse_query,
    quoted_key,
    quoted_value,
    version_comparison,
)
from agents.query_words import TimeWord, Word, nearest, query_words
from agents.selectors import Operator, Requirement, Selector
from agents.text_search import text_condition
from foundation.clock import clock
from foundation.messages import Message

_KEYS_FROM = 2_000
_LONGEST_GUESS = 200
_EQUALITIES = {Operation.EQUAL: Operator.IN, Operation.UNEQUAL: Operator.NOT_IN}


def agents_matching(text: str, user: Any, *, at: datetime | None = None) -> AgentQuerySet:
    """The agents that ``text`` asks for, of those that ``user`` may see; ``None`` is the portal itself, which sees all.

    An empty text asks for all. Ages (``seen<5m``) are reckoned from ``at``, by default now. Raises `InvalidQuery`.
    """
    agents = Agent.objects.all() if user is None else Agent.objects.visible_to(user)
    return agents.filter(query_condition(text, user, at=at))


def query_condition(text: str, user: Any, *, at: datetime | None = None) -> Q:
    """What agents must be for ``text``, without regard to whether ``user`` may see them; ``Q()`` for an empty one.

    May ask the database for the distinct values of what is compared as versions. Raises `InvalidQuery`.
    """
    return node_condition(parse_query(text), user, at=at)


def node_condition(root: Node, user: Any, *, at: datetime | None = None) -> Q:
    """The same of what was read already."""
    return _Compiler(user, clock.now() if at is None else at).of(root)


def part_conditions(root: Conjunction | Disjunction, user: Any) -> tuple[Q, ...]:
    """A condition for each part that must hold; all of them together are what `node_condition` makes of ``root``."""
    compiler = _Compiler(user, clock.now())
    parts: tuple[Node, ...] = root.parts if isinstance(root, Conjunction) else (root,)
    return tuple(compiler.of(part) for part in parts)


def requirement_of(node: Node) -> Requirement | None:
    """The selector's clause that says the same of a label, ``None`` when none does."""
    if isinstance(node, Negation) and isinstance(node.part, Term) and node.part.operation is Operation.HAS:
        return Requirement(node.part.key, Operator.DOES_NOT_EXIST)
    if not isinstance(node, Term):
        return None
    if node.operation is Operation.HAS:
        return Requirement(node.key, Operator.EXISTS)
    if node.operation in _EQUALITIES and not any(value.prefix for value in node.values):
        return Requirement(node.key, _EQUALITIES[node.operation], tuple(value.text for value in node.values))
    if node.operation is Operation.LESS and not _is_word(node):
        return Requirement(node.key, Operator.LT, (node.values[0].text,))
    if node.operation is Operation.GREATER and not _is_word(node):
        return Requirement(node.key, Operator.GT, (node.values[0].text,))
    return None


class _Compiler:
    def __init__(self, user: Any, at: datetime) -> None:
        self._user = user
        self._at = at

    def of(self, node: Node) -> Q:
        """Recurses as deep as the parser did."""
        match node:
            case Conjunction():
                condition = Q()
                for part in node.parts:
                    condition &= self.of(part)
                return condition
            case Disjunction():
                condition = Q(pk__in=[])
                for part in node.parts:
                    condition |= self.of(part)
                return condition
            case Negation():
                return ~self.of(node.part)
            case FreeText():
                return text_condition(node.text)
            case Term():
                return self._term(node)

    def _term(self, term: Term) -> Q:
        if term.operation is Operation.IS:
            return self._word(term).condition(term, self._at)
        if is_comparison(term.operation):
            if _is_word(term):
                return self._word(term).condition(term, self._at)
            return _compared_label(term)
        self._refuse_word_as_label(term)
        if requirement := requirement_of(term):
            return selector_condition(Selector((requirement,)))
        condition = Q(pk__in=[])
        for value in term.values:
            if value.prefix:
                condition |= label_prefix_condition(term.key, value.text)
            else:
                condition |= selector_condition(Selector((Requirement(term.key, Operator.IN, (value.text,)),)))
        return ~condition if term.operation is Operation.UNEQUAL else condition

    def _refuse_word_as_label(self, term: Term) -> None:
        """Raises `InvalidQuery` where a person took a word for a label that nobody has: ``status!=error`` would be everybody.

        What the portal asks for itself goes on when the last agent with such a label is gone.
        """
        if self._user is None or term.operation is Operation.HAS or term.quoted:
            return
        word = query_words(self._user).get(term.key)
        if word is None or Agent.objects.filter(has_label(term.key)).exists():
            return
        message = Message(
            "agent-query-word-as-label",
            "No agent has a label {word}, and the word {word} stands with a colon; a label of its name goes in double quotes",
            word=term.key,
        )
        negation = "-" if term.operation is Operation.UNEQUAL else ""
        guess = f"{negation}{_as_asked(word, term, self._at)}"
        raise mistake(term.start, message, Message("search-suggestion", "Did you mean {guess}?", guess=guess))

    def _word(self, term: Term) -> Word:
        known = query_words(self._user)
        word = None if term.quoted else known.get(term.key)
        if word is not None:
            return word
        if not term.quoted and term.key in query_words():
            message = Message("agent-query-right", "You do not have the right to ask for {word}.", word=term.key)
            raise mistake(term.start, message)
        raise _unknown_word(term, known)


def _unknown_word(term: Term, known: Any) -> InvalidQuery:
    message = Message(
        "agent-query-unknown-word",
        "There is no word {word}; labels are asked for with =, and text with a colon goes in double quotes",
        word=term.key[:60],
    )
    guess = None
    if term.key in label_keys():
        one = f"{quoted_key(term.key)}={_said(term)}"
        guess = one if len(term.values) == 1 else f"{quoted_key(term.key)} in {_said(term)}"
    elif near := nearest(term.key, list(known)):
        guess = f"{near}:{_said(term)}"
    if guess is None or len(guess) > _LONGEST_GUESS:
        return mistake(term.start, message)
    return mistake(term.start, message, Message("search-suggestion", "Did you mean {guess}?", guess=guess))


def _as_asked(word: Word, term: Term, at: datetime) -> str:
    """How ``word`` is asked for the values of ``term``, or how it is asked at all where it has no such values."""
    try:
        word.condition(replace(term, operation=Operation.IS), at)
    except InvalidQuery:
        return f"{word.name}<5m" if isinstance(word, TimeWord) else f"{word.name}:…"
    guess = f"{word.name}:{_said(term)}"
    return guess if len(guess) <= _LONGEST_GUESS else f"{word.name}:…"


def _said(term: Term) -> str:
    """The values as they are typed."""
    values = [f"{value.text}*" if value.prefix else quoted_value(value.text) for value in term.values]
    return values[0] if len(values) == 1 else f"({', '.join(values)})"


def label_keys() -> set[str]:
    """The keys of labels that the newest agents have."""
    newest = Agent.objects.order_by("-id").values_list("labels", flat=True)[:_KEYS_FROM]
    return {key for labels in newest for key in labels}


def _is_word(term: Term) -> bool:
    """Whether a comparison is of a word of ours, rather than of a label; a key in quotes is always a label's."""
    return not term.quoted and term.key in query_words()


def _compared_label(term: Term) -> Q:
    return admitted_label_condition(term.key, version_comparison(term))
