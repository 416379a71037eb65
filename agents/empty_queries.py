"""Why a query found no agent: the first of its conditions that nobody satisfies. Asked only when there is nothing to show."""

from __future__ import annotations

from agents.empty_searches import why_no_labels, why_no_text
from agents.label_conditions import has_label
from agents.models import Agent
from agents.queries import Conjunction, Disjunction, FreeText, Node, Operation, Term
from agents.query_conditions import node_condition, requirement_of
from agents.query_words import query_words
from agents.selectors import Operator, Requirement, Selector
from foundation.messages import Message

_MOST_ASKED = 12
_LONGEST = 60


def why_no_agents(root: Conjunction | Disjunction, text: str) -> list[Message]:
    """Of the first conditions that must all hold: the one that nobody satisfies, or that nobody satisfies them all."""
    parts: tuple[Node, ...] = root.parts if isinstance(root, Conjunction) else (root,)
    labels = [requirement for part in parts if (requirement := requirement_of(part)) is not None]
    if len(labels) == len(parts) and not any(label.key in query_words() for label in labels):
        return why_no_labels(Selector(tuple(labels))) if parts else []
    for part in parts[:_MOST_ASKED]:
        if len(parts) == 1 or not Agent.objects.filter(node_condition(part, None)).exists():
            return _why_not(part, text[part.start : part.end])
    return why_no_labels(Selector())


def _why_not(part: Node, said: str) -> list[Message]:
    if isinstance(part, FreeText):
        return why_no_text(part.text)
    if requirement := requirement_of(part):
        return why_no_labels(Selector((requirement,)))
    label = part.key if isinstance(part, Term) and part.operation is not Operation.IS else None
    if label is not None and label not in query_words() and not Agent.objects.filter(has_label(label)).exists():
        return why_no_labels(Selector((Requirement(label, Operator.EXISTS),)))
    return [_no_clause(said)]


def _no_clause(said: str) -> Message:
    shown = said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
    return Message("no-agent-has-clause", "No agent has {clause}.", clause=shown)
