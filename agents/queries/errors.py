"""`InvalidQuery`: a query nobody can mean, with the place of the mistake."""

from __future__ import annotations

from foundation.errors import DomainError
from foundation.messages import Message


class InvalidQuery(DomainError):
    """``problem`` says what is wrong at ``position``, the 0-based character; ``message`` names the place too."""

    def __init__(self, position: int, problem: Message) -> None:
        self.position = position
        self.problem = problem
        super().__init__(
            Message("agent-query-at", "At character {place}: {problem}", place=position + 1, problem=problem)
        )


def mistake(position: int, problem: Message, hint: Message | None = None) -> InvalidQuery:
    """The error at a place, with what was probably meant."""
    return InvalidQuery(position, problem if hint is None else Message.listed([problem, hint]))
