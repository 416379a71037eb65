"""`Message`: what the lower layers say to people: a stable code for programs, an English template, and the values it names.

Pure: who reads it, and in which language, is unknown here; entry points ask `foundation.languages.in_readers_language`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias, Union

Parameter: TypeAlias = Union[str, int, "Message"]


@dataclass(frozen=True, slots=True, init=False)
class Message:
    """``code`` in kebab case and ``template`` belong together everywhere; parameters may be messages themselves.

    Both are written out where the message is made, since that is where translations and codes are collected from; what came
    from outside is a parameter. `str()` is the English text, for logs, rows and agents. A message within an f-string raises
    TypeError: the text would be English for every reader.
    """

    code: str
    template: str
    _parameters: tuple[tuple[str, Parameter], ...]

    def __init__(self, code: str, template: str, /, **parameters: Parameter) -> None:
        object.__setattr__(self, "code", code)
        object.__setattr__(self, "template", template)
        object.__setattr__(self, "_parameters", tuple(sorted(parameters.items())))
        # A template that names something else raises KeyError where it is made, not where it is shown.
        str(self)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """By the name the template gives them."""
        return dict(self._parameters)

    @property
    def problem_code(self) -> str:
        """The code for programs: of the message under ``problem`` where this one only says more about it, else its own."""
        problem = self.parameters.get("problem")
        return problem.problem_code if isinstance(problem, Message) else self.code

    def text(self, translated: Callable[[str], str]) -> str:
        """The whole text, with templates as ``translated`` gives them, also in the messages within."""
        values = {
            name: value.text(translated) if isinstance(value, Message) else value for name, value in self._parameters
        }
        return translated(self.template).format(**values)

    def with_texts(self, change: Callable[[str], str]) -> Message:
        """The same message with every text in it as ``change`` gives it, also in the messages that are parameters of it."""
        parameters = {
            name: value.with_texts(change)
            if isinstance(value, Message)
            else change(value)
            if isinstance(value, str)
            else value
            for name, value in self._parameters
        }
        return Message(self.code, self.template, **parameters)

    def as_json(self) -> dict[str, object]:
        """For a row that is shown to readers of any language later; `from_json` reads it."""
        values = {name: value.as_json() if isinstance(value, Message) else value for name, value in self._parameters}
        return {"code": self.code, "template": self.template, "parameters": values}

    @classmethod
    def from_json(cls, form: Any) -> Message:
        """The inverse of `as_json`; only for what it made."""
        values = {
            name: cls.from_json(value) if isinstance(value, dict) else value
            for name, value in form["parameters"].items()
        }
        return cls(form["code"], form["template"], **values)

    def __str__(self) -> str:
        """In English."""
        return self.text(_as_it_is)

    def __format__(self, form: str) -> str:
        """Raises TypeError always; ``!s`` asks for the English text."""
        raise TypeError(
            "a message loses its translation in another text: make it a parameter of a Message, or ask for "
            "in_readers_language(message), or for the English text with str(message)"
        )

    @staticmethod
    def at(place: str, problem: Message) -> Message:
        """``problem`` under the name of what has it, if it has one."""
        return Message("at-place", "{place}: {problem}", place=place, problem=problem) if place else problem

    @staticmethod
    def listed(messages: Sequence[Message]) -> Message:
        """A few in one, at least one; each lies within the next, so not for hundreds."""
        return reduce(
            lambda these, another: Message("several-problems", "{problem}; {hint}", problem=these, hint=another),
            messages,
        )


def _as_it_is(template: str) -> str:
    return template
