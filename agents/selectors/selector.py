"""`Selector`: its meaning, its explanation and its two written forms. Parsing and indexing live beside it."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.fullwidth_signs import FULLWIDTH
from agents.reports import Json
from agents.selectors.versions import version_key
from foundation.errors import DomainError
from foundation.messages import Message

MATCH_LABELS = "matchLabels"
MATCH_EXPRESSIONS = "matchExpressions"

# Words a label query can hold without quotes.
BARE_WORD = re.compile(rf'[^\s,=!<>()"{FULLWIDTH}]+')


class InvalidSelector(DomainError):
    """A selector nobody can mean.

    ``errors`` holds ``(path, message)`` pairs; a path is ``matchExpressions[0].operator``, ``matchLabels.env`` or the
    key of a plain map, ``""`` for the whole. ``position`` is the 0-based character of a label query, else ``None``.
    """

    def __init__(self, errors: Sequence[tuple[str, Message]], *, position: int | None = None) -> None:
        self.errors: tuple[tuple[str, Message], ...] = tuple(errors)
        self.position = position
        super().__init__(Message("invalid-selector", "The selector is not valid."))

    @property
    def where(self) -> Message:
        """The message, with the place in a label query."""
        if self.position is None:
            return self.message
        return Message(
            "invalid-selector-at-character",
            "The selector is not valid (at character {place}).",
            place=self.position + 1,
        )

    def __str__(self) -> str:
        """In English, clause by clause."""
        return "; ".join(str(problem) for problem in self.problems)

    @property
    def problems(self) -> list[Message]:
        """One for each, with its path."""
        return [Message.at(path, message) for path, message in self.errors]


class Operator(enum.StrEnum):
    """Kubernetes label-selector operators; ``Gt`` and ``Lt`` compare versions. Equality is ``In`` with one value."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    LT = "Lt"


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One clause. ``values`` is kept sorted and without repeats, so that clauses of one meaning are equal."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(sorted(set(self.values))))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy the clause. An absent key satisfies ``NotIn``, ``DoesNotExist`` and nothing else."""
        actual = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return actual in self.values
            case Operator.NOT_IN:
                return actual not in self.values
            case Operator.EXISTS:
                return actual is not None
            case Operator.DOES_NOT_EXIST:
                return actual is None
            case Operator.GT | Operator.LT:
                return self._compares(actual)

    def _compares(self, actual: str | None) -> bool:
        mine = None if actual is None else version_key(actual)
        threshold = version_key(self.values[0])
        if mine is None or threshold is None:
            return False
        return mine > threshold if self.operator is Operator.GT else mine < threshold

    def __str__(self) -> str:
        """The clause in label-query syntax, which `parse_label_query` reads back."""
        key = _word(self.key)
        words = [_word(value) for value in self.values]
        match self.operator:
            case Operator.IN:
                return f"{key}={words[0]}" if len(words) == 1 else f"{key} in ({', '.join(words)})"
            case Operator.NOT_IN:
                return f"{key}!={words[0]}" if len(words) == 1 else f"{key} notin ({', '.join(words)})"
            case Operator.EXISTS:
                return key
            case Operator.DOES_NOT_EXIST:
                return f"!{key}"
            case Operator.GT:
                return f"{key}>{words[0]}"
            case Operator.LT:
                return f"{key}<{words[0]}"


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """One line of "why this configuration?": a clause, whether it holds, and the label it saw (``None``: absent).

    ``clause`` is a message for a selector without requirements. ``asserted`` is what the agent itself says under the key
    when only an operator's label counts for it, else ``None``.
    """

    clause: Message | str
    key: str
    satisfied: bool
    actual: str | None
    asserted: str | None = None


@dataclass(frozen=True, slots=True)
class Selector:
    """All ``requirements`` must hold. Without any, it matches no agent, or every agent when ``match_all``.

    ``match_all`` says nothing when there are requirements: it never widens a selector, so it is dropped there.
    Requirements are kept sorted and without repeats: two selectors are equal when they say the same clauses.
    """

    requirements: tuple[Requirement, ...] = ()
    match_all: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "requirements", tuple(sorted(set(self.requirements))))
        object.__setattr__(self, "match_all", self.match_all and not self.requirements)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an agent with these labels is meant."""
        if not self.requirements:
            return self.match_all
        return all(requirement.matches(labels) for requirement in self.requirements)

    def explain(self, labels: Mapping[str, str], asserted: Mapping[str, str] | None = None) -> list[ClauseResult]:
        """Every clause with its verdict, at least one; the selector matches exactly when all are satisfied.

        ``asserted`` are labels that the agent has by its own word alone, and that do not count.
        """
        if not self.requirements:
            return [ClauseResult(clause=self.words, key="", satisfied=self.match_all, actual=None)]
        return [
            ClauseResult(
                clause=str(requirement),
                key=requirement.key,
                satisfied=requirement.matches(labels),
                actual=labels.get(requirement.key),
                asserted=(asserted or {}).get(requirement.key),
            )
            for requirement in self.requirements
        ]

    def as_json(self) -> dict[str, Json]:
        """The canonical JSON form, which `parse_selector` reads back to an equal selector (given ``match_all``).

        A plain map when every clause is an equality, Kubernetes style otherwise.
        """
        match_labels: dict[str, Json] = {}
        expressions: list[Requirement] = []
        for requirement in self.requirements:
            if _is_equality(requirement) and requirement.key not in match_labels:
                match_labels[requirement.key] = requirement.values[0]
            else:
                expressions.append(requirement)
        if not expressions and not {MATCH_LABELS, MATCH_EXPRESSIONS} & match_labels.keys():
            return match_labels
        document: dict[str, Json] = {}
        if match_labels:
            document[MATCH_LABELS] = match_labels
        if expressions:
            document[MATCH_EXPRESSIONS] = [_expression_json(requirement) for requirement in expressions]
        return document

    @property
    def words(self) -> Message | str:
        """Label-query text for people: ``env=prod, os.type in (darwin, linux), version>0.100``; a message when empty."""
        if not self.requirements:
            return Message("every-agent", "every agent") if self.match_all else Message("no-agent", "no agent")
        return ", ".join(str(requirement) for requirement in self.requirements)

    def __str__(self) -> str:
        """`words` in English."""
        return str(self.words)


def _is_equality(requirement: Requirement) -> bool:
    return requirement.operator is Operator.IN and len(requirement.values) == 1


def _expression_json(requirement: Requirement) -> dict[str, Json]:
    expression: dict[str, Json] = {"key": requirement.key, "operator": requirement.operator.value}
    if requirement.values:
        expression["values"] = list(requirement.values)
    return expression


def _word(text: str) -> str:
    return text if BARE_WORD.fullmatch(text) else json.dumps(text, ensure_ascii=False)
