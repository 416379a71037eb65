"""Why a search found no agent: what nobody has, and what was probably meant. Asked only when there is nothing to show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from uuid import UUID

from agents.label_conditions import selector_condition
from agents.models import Agent
from agents.selectors import Operator, Requirement, Selector
from agents.shown import pair_shown
from agents.text_search import SHORTEST_PART
from foundation.messages import Message

Labels = Mapping[str, str]

# Keys and values are learnt from so many of the newest agents.
_SAMPLED = 2_000
_SHOWN = 5
_LONGEST = 60


def why_no_labels(selector: Selector) -> list[Message]:
    """For a label query: the first clause that no agent satisfies, else that no agent satisfies them all."""
    newest = _newest()
    for requirement in selector.requirements:
        if not _somebody(Selector((requirement,)), newest):
            return _why_not(requirement, newest)
    return [Message("conditions-exclude-each-other", "Each of the conditions has agents, but no agent has them all.")]


def why_no_text(text: str) -> list[Message]:
    """For a part of a name or a UID."""
    try:
        return [Message("no-agent-has-uid", "No agent has the instance UID {uid}.", uid=str(UUID(text)))]
    except ValueError:
        pass
    said = [Message("no-agent-contains-text", "No agent's name, host or service contains “{text}”.", text=_short(text))]
    if len(text) < SHORTEST_PART:
        said = [
            Message(
                "no-agent-begins-with-text",
                "No agent's name, host or service begins with “{text}”; longer text is found anywhere.",
                text=text,
            )
        ]
    keys = _keys(_newest())
    first, colon, rest = text.partition(":")
    if colon and first in keys:
        said.append(Message("search-suggestion", "Did you mean {guess}?", guess=f"{first}={rest}"))
    elif text in keys:
        said.append(
            Message(
                "search-names-label", "“{key}” is a label: {guess} finds a value of it.", key=text, guess=f"{text}=…"
            )
        )
    return said


def _somebody(selector: Selector, newest: Sequence[Labels]) -> bool:
    """Whether the selector finds anybody; the database is asked where the newest agents are not all and none of them is found."""
    if any(map(selector.matches, newest)):
        return True
    return len(newest) == _SAMPLED and Agent.objects.filter(selector_condition(selector)).exists()


def _why_not(requirement: Requirement, newest: Sequence[Labels]) -> list[Message]:
    key, clause = requirement.key, _short(str(requirement))
    if requirement.operator in {Operator.DOES_NOT_EXIST, Operator.NOT_IN}:
        return [Message("all-agents-excluded", "No agent is without what {clause} excludes.", clause=clause)]
    if not _somebody(Selector((Requirement(key, Operator.EXISTS),)), newest):
        return [
            Message("no-agent-has-label", "No agent has a label {key}.", key=_short(key)),
            *_guess(key, _keys(newest)),
        ]
    if requirement.operator in {Operator.GT, Operator.LT}:
        return [Message("no-agent-has-version", "No agent has a version as {clause} asks for.", clause=clause)]
    # What looks like a secret is not told, as nowhere else.
    values = {labels[key] for labels in newest if key in labels and pair_shown(key, labels[key]) == labels[key]}
    said = [Message("no-agent-has-clause", "No agent has {clause}.", clause=clause)]
    guesses = _guess(requirement.values[0], values, written=f"{key}=") if len(requirement.values) == 1 else []
    if guesses or not values:
        return said + guesses
    shown = ", ".join(_short(value) for value in sorted(values)[:_SHOWN]) + (", …" if len(values) > _SHOWN else "")
    return [*said, Message("values-of-key", "Values of {key}: {values}.", key=_short(key), values=shown)]


def _guess(word: str, known: Iterable[str], *, written: str = "") -> list[Message]:
    """The nearest known word; whatever its case."""
    by_fold = {text.casefold(): text for text in known}
    near = get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    return (
        [Message("search-suggestion", "Did you mean {guess}?", guess=_short(f"{written}{by_fold[near[0]]}"))]
        if near
        else []
    )


def _newest() -> list[Labels]:
    return list(Agent.objects.order_by("-id").values_list("labels", flat=True)[:_SAMPLED])


def _keys(newest: Iterable[Labels]) -> set[str]:
    return {key for labels in newest for key in labels}


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
