"""`Sentence`: what the lower layers say to people, in English, and remembered so that it can be said in another language.

Pure: who reads it, and in which language, is unknown here; entry points ask `foundation.languages.in_readers_language`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Self


class Sentence(str):
    """English text made of a ``template`` and named ``values``; a value may be a sentence itself.

    Everywhere it is the English text: in logs, rows, JSON and comparisons. `str()` and ``f""`` forget the rest. The template
    is written out where the sentence is made, since that is where translations are collected from; what came from
    outside is a value.
    """

    __slots__ = ("template", "values")

    template: str
    values: dict[str, str | int]

    def __new__(cls, template: str, /, **values: str | int) -> Self:
        sentence = super().__new__(cls, template.format(**values))
        sentence.template, sentence.values = template, values
        return sentence

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        """Copies and pickles are sentences too."""
        return (self.template,), self.values

    def with_texts(self, change: Callable[[str], str]) -> Self:
        """The same sentence with every text in it as ``change`` gives it, also in the sentences that are values of it."""
        values = {
            name: value.with_texts(change)
            if isinstance(value, Sentence)
            else change(value)
            if isinstance(value, str)
            else value
            for name, value in self.values.items()
        }
        return type(self)(self.template, **values)

    @staticmethod
    def at(place: str, problem: Sentence) -> Sentence:
        """``problem`` under the name of what has it, if it has one."""
        return Sentence("{place}: {problem}", place=place, problem=problem) if place else problem

    @staticmethod
    def listed(sentences: Sequence[Sentence]) -> Sentence:
        """A few in one; each lies within the next, so not for hundreds."""
        return reduce(lambda these, another: Sentence("{problem}; {hint}", problem=these, hint=another), sentences)
