"""The words of the query language (``status:connected``), each with what it means to the database.

Apps register theirs in ``AppConfig.ready``.

A condition is never NULL for any agent: it may be negated. What an agent has in rows of another table is asked for by keys,
without a join, so that "and", "or" and "not" of such conditions are what they say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet

from agents.label_conditions import begins_with, column_one_of
from agents.models import Agent
from agents.queries import Operation, Term, Value, mistake, version_comparison
from foundation.messages import Message

Suggestion = tuple[str, "int | None"]
"""A value with the number of agents, where that is known."""

# Values are suggested from so many agents, and so many of them.
SAMPLED = 10_000
MOST_SUGGESTED = 20
_LOOKUPS = {
    Operation.LESS: "lt",
    Operation.LESS_OR_EQUAL: "lte",
    Operation.GREATER: "gt",
    Operation.GREATER_OR_EQUAL: "gte",
}
_TURNED = {"lt": "gt", "lte": "gte", "gt": "lt", "gte": "lte"}


@dataclass(frozen=True)
class Word:
    """``title`` says in a few words what it asks; ``right`` is needed to use it, beside that to see agents."""

    name: str
    title: Any
    right: str = field(default="", kw_only=True)
    compares: ClassVar[bool] = False
    example: ClassVar[str] = ""

    def condition(self, term: Term, at: datetime) -> Q:
        """The agents that ``term`` means. Raises `InvalidQuery` at the value that it cannot have."""
        if term.operation is not Operation.IS:
            if not self.compares:
                message = Message(
                    "agent-query-no-order", "{word} has no order; write {form}.", word=self.name, form=f"{self.name}:…"
                )
                raise mistake(term.start, message)
            return self.compared(term, at)
        condition = Q(pk__in=[])
        for value in term.values:
            condition |= self.one(value)
        return condition

    def one(self, value: Value) -> Q:
        """The agents of one value."""
        raise NotImplementedError

    def compared(self, term: Term, at: datetime) -> Q:
        """The agents before or behind a value."""
        raise NotImplementedError

    def suggestions(self, typed: str) -> list[Suggestion]:
        """Values that begin with what was typed."""
        return []


@dataclass(frozen=True)
class ChoiceWord(Word):
    """One of a few values; ``choices`` makes the condition of each when it is asked for."""

    choices: Mapping[str, Callable[[], Q]]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def one(self, value: Value) -> Q:
        """Whatever its case. Raises `InvalidQuery` that names what there is."""
        known = {name.casefold(): name for name in self.choices} | {name: name for name in self.choices}
        asked = value.text.casefold()
        name = known.get(self.aliases.get(asked, asked))
        if name is None or value.prefix:
            shown = f"{value.text[:60]}{'*' if value.prefix else ''}"
            message = Message(
                "agent-query-unknown-value",
                "{word} is never {value}; it is one of {values}",
                word=self.name,
                value=shown,
                values=", ".join(self.choices),
            )
            near = get_close_matches(asked, known, n=1, cutoff=0.6)
            hint = (
                Message("search-suggestion", "Did you mean {guess}?", guess=f"{self.name}:{known[near[0]]}")
                if near
                else None
            )
            raise mistake(value.start, message, hint)
        return self.choices[name]()

    def suggestions(self, typed: str) -> list[Suggestion]:
        """Without counts."""
        return [(name, None) for name in self.choices if name.casefold().startswith(typed.casefold())]


YES, NO = "yes", "no"


def yes_or_no(name: str, title: Any, keys: Callable[[], QuerySet[Any]], *, right: str = "") -> ChoiceWord:
    """A word that asks whether an agent is one of those whose keys an app keeps."""
    choices = {YES: lambda: Q(pk__in=keys()), NO: lambda: ~Q(pk__in=keys())}
    return ChoiceWord(name, title, choices, {"true": YES, "false": NO}, right=right)


@dataclass(frozen=True)
class TextWord(Word):
    """A column of agents, as it is or its beginning; ``versions``: it is compared as versions are."""

    column: str
    versions: bool = False

    @property
    def compares(self) -> bool:  # type: ignore[override]
        """Versions alone."""
        return self.versions

    def one(self, value: Value) -> Q:
        """The value itself, or its beginning."""
        return begins_with(F(self.column), value.text) if value.prefix else Q(**{self.column: value.text})

    def compared(self, term: Term, at: datetime) -> Q:
        """By the versions that agents have."""
        admits = version_comparison(term)
        had = Agent.objects.order_by().values_list(self.column, flat=True).distinct()
        return column_one_of(self.column, [text for text in had if admits(text)])

    def suggestions(self, typed: str) -> list[Suggestion]:
        """The most frequent."""
        agents = Agent.objects.filter(begins_with(F(self.column), typed)).order_by()
        some = Agent.objects.filter(pk__in=agents.values("pk")[:SAMPLED]).order_by()
        rows = some.values_list(self.column).annotate(number=Count("*")).order_by("-number", self.column)
        return list(rows[:MOST_SUGGESTED])


@dataclass(frozen=True)
class RelatedWord(Word):
    """Rows of another app: ``keys`` finds the agents of those whose ``column`` is the value, among ``rows``."""

    rows: Callable[[], QuerySet[Any]]
    column: str
    agent: str = "agent_id"

    def one(self, value: Value) -> Q:
        """By its name or the beginning of it."""
        condition = begins_with(F(self.column), value.text) if value.prefix else Q(**{self.column: value.text})
        return Q(pk__in=self.rows().filter(condition).order_by().values(self.agent))

    def suggestions(self, typed: str) -> list[Suggestion]:
        """The first by name."""
        rows = self.rows().filter(begins_with(F(self.column), typed)).order_by(self.column)
        return [(name, None) for name in rows.values_list(self.column, flat=True).distinct()[:MOST_SUGGESTED]]


@dataclass(frozen=True)
class UidWord(Word):
    """The instance UID, whole or the beginning of it."""

    def one(self, value: Value) -> Q:
        """A range of UIDs, which their index has."""
        digits = value.text.replace("-", "").lower()
        if not re.fullmatch(r"[0-9a-f]{1,32}", digits) or (len(digits) < 32 and not value.prefix):
            message = Message(
                "agent-query-no-uid", "Expected a whole instance UID, or the beginning of one with a * behind it."
            )
            raise mistake(value.start, message)
        return Q(instance_uid__gte=UUID(digits.ljust(32, "0")), instance_uid__lte=UUID(digits.ljust(32, "f")))


_AGE = re.compile(r"([0-9]{1,7})([smhdw])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z?)?")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_OLDEST = timedelta(days=36_500)


@dataclass(frozen=True)
class TimeWord(Word):
    """A time, by how long ago it is (``<5m``) or by date (``>2026-01-31``, in UTC)."""

    conditions: Callable[[str, datetime], Q]
    compares: ClassVar[bool] = True

    def one(self, value: Value) -> Q:
        """No time is hit exactly."""
        message = Message(
            "agent-query-time-compared", "{word} is compared: write {form}.", word=self.name, form=f"{self.name}<5m"
        )
        raise mistake(value.start, message)

    def compared(self, term: Term, at: datetime) -> Q:
        """An age less than five minutes is a time after that."""
        (value,) = term.values
        lookup = _LOOKUPS[term.operation]
        if not value.prefix:
            if found := _AGE.fullmatch(value.text):
                age = timedelta(seconds=int(found[1]) * _UNITS[found[2]])
                return self.conditions(_TURNED[lookup], at - min(age, _OLDEST))
            if _DATE.fullmatch(value.text) and (date := _date(value.text)):
                return self.conditions(lookup, date)
        message = Message(
            "agent-query-no-time", "Expected how long ago, such as 30s, 5m, 2h, 7d or 4w, or a date such as 2026-01-31."
        )
        raise mistake(value.start, message)

    def suggestions(self, typed: str) -> list[Suggestion]:
        """Usual ages."""
        return [(age, None) for age in ("5m", "1h", "1d", "7d") if age.startswith(typed)]


def _date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError:
        return None


_words: dict[str, Word] = {}


def register_query_word(word: Word) -> None:
    """Have queries for agents know ``word``; a second registration of the same name replaces the first. In ``AppConfig.ready``."""
    _words[word.name] = word


def query_words(user: Any = None) -> Mapping[str, Word]:
    """Those that ``user`` may use, by name; all of them without one, which is the portal itself."""
    return {
        name: word
        for name, word in sorted(_words.items())
        if user is None or not word.right or user.has_perm(word.right)
    }


def nearest(word: str, known: Sequence[str]) -> str | None:
    """What was probably meant."""
    near = get_close_matches(word.casefold(), known, n=1, cutoff=0.6)
    return near[0] if near else None
