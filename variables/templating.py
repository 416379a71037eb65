"""Templates of configuration files: a small part of Jinja2's language, rendered within bounds.

A template sees ``labels``, ``vars`` and ``secrets`` and nothing else, and is checked node by node before it is compiled
(`variables.template_language`). What an agent says of itself is put into a text only where it cannot change its structure.
It must not know rows, nor who asks.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agents.redaction.documents import quoted
from foundation.messages import Message
from variables.template_language import OWN, PLAIN, QUOTED, STEPS, TemplateProblem, Uses, checked_tree

MOST_RENDERED = 1024 * 1024
"""Characters of one rendered file."""

MOST_VALUE = 256 * 1024
"""Characters of what one filter makes."""

MOST_ITEMS = 1_000
# What all loops of one rendering may do: items times the size of the loop's body, in nodes of the language.
MOST_STEPS = 200_000
# What an agent says of itself stands unquoted only if it cannot end a value, begin another one, or be replaced by the agent.
_HARMLESS = re.compile(r"(?:[\w/](?:[\w./@+=~()%-]|:(?=[\w./@+=~()%-])| (?=[\w./@+=~()%-]))*)?")


class RenderingFailure(Exception):
    """A template that has no result for an agent; ``line`` from 1, 0 where it is unknown. No text of it names a secret's value."""

    def __init__(self, message: Message, line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True, slots=True)
class Scope:
    """What one agent's templates see. A secret that cannot be read is ``None``."""

    labels: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str | None] = field(default_factory=dict)


class Template:
    """A checked and compiled template. ``uses`` are the names in it, ``unquoted`` the lines where labels stand bare."""

    def __init__(self, text: str) -> None:
        """Raises `TemplateProblem` with the line."""
        try:
            tree = _environment.parse(text)
        except TemplateSyntaxError as error:
            said = Message("template-syntax", "This is no template: {problem_text}", problem_text=error.message or "")
            raise TemplateProblem(said, error.lineno) from error
        except (RecursionError, ValueError, OverflowError) as error:
            raise TemplateProblem(_too_complex(), 1) from error
        self.uses, self.unquoted = checked_tree(tree)
        try:
            code = _environment.compile(tree)
            self._template = _environment.template_class.from_code(_environment, code, {})
        except (TemplateSyntaxError, RecursionError, SyntaxError, MemoryError, ValueError, OverflowError) as error:
            raise TemplateProblem(_too_complex(), 1) from error

    def render(self, scope: Scope) -> str:
        """The text for one agent. Raises `RenderingFailure`."""
        context = self._template.new_context(
            {
                "labels": _Values("labels", scope.labels),
                "vars": _Values("vars", scope.variables),
                "secrets": _Values("secrets", scope.secrets),
                STEPS: [MOST_STEPS],
            }
        )
        pieces: list[str] = []
        left = MOST_RENDERED
        try:
            for piece in self._template.root_render_func(context):
                left -= len(_allowed(piece, left))
                pieces.append(piece)
        except RenderingFailure as failure:
            raise RenderingFailure(failure.message, self._line_of(failure)) from None
        except UndefinedError as error:
            said = Message(
                "template-value-missing", "{name} has no value for this agent.", name=str(error.message or "")
            )
            raise RenderingFailure(said, self._line_of(error)) from None
        except (TypeError, ValueError, OverflowError, ArithmeticError, RecursionError, MemoryError) as error:
            said = Message("template-operation", "The values here do not go together.")
            # Not chained: a text of Python's may name a value.
            raise RenderingFailure(said, self._line_of(error)) from None
        return "".join(pieces)

    def _line_of(self, error: BaseException) -> int:
        """The line of the template that was worked on."""
        line, step = 0, error.__traceback__
        while step is not None:
            if step.tb_frame.f_code.co_filename == "<template>":
                line = self._template.get_corresponding_lineno(step.tb_lineno)
            step = step.tb_next
        return line


def _too_complex() -> Message:
    return Message("template-too-complex", "The template nests too deeply or is too long.")


def _too_long() -> Message:
    return Message("rendering-too-long", "What comes of the template is too long.")


class _Values:
    """One of the three maps; looked into by `_Environment` alone, so it has nothing that a template could call."""

    __slots__ = ("group", "values")

    def __init__(self, group: str, values: Mapping[str, str | None]) -> None:
        self.group = group
        self.values = values


class _Environment(ImmutableSandboxedEnvironment):
    """Items of the three maps, the counts of a loop, and no attribute of anything else."""

    def getitem(self, obj: Any, argument: Any) -> Any:
        """The value; an undefined one where there is none. Raises `RenderingFailure`."""
        if not isinstance(obj, _Values) or not isinstance(argument, str):
            return self.undefined(name=str(argument))
        name = f'labels["{argument}"]' if obj.group == "labels" else f"{obj.group}.{argument}"
        if argument not in obj.values:
            return self.undefined(hint=name)
        value = obj.values[argument]
        if value is None:
            said = Message(
                "secret-unreadable",
                "The secret {name} cannot be read: it was stored under a key that this server does not have.",
                name=argument,
            )
            raise RenderingFailure(said)
        if obj.group == "labels" and "${" in value:
            raise RenderingFailure(_refers(name))
        return value

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Raises nothing: what the language does not know was refused before."""
        if isinstance(obj, _Values):
            return self.getitem(obj, attribute)
        return super().getattr(obj, attribute)


def _refers(name: str) -> Message:
    return Message(
        "label-refers", "The agent says {name} with ${{ in it, which agents replace: it is not passed on.", name=name
    )


# --- Filters -------------------------------------------------------------------------------------------------------


def _allowed(piece: str, left: int) -> str:
    if len(piece) > left:
        raise RenderingFailure(_too_long())
    return piece


def _bounded(value: str) -> str:
    if len(value) > MOST_VALUE:
        raise RenderingFailure(_too_long())
    return value


def _text(value: Any) -> str:
    """As it stands in a text. Raises `RenderingFailure` for what is none, and UndefinedError."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return _bounded(str(value))
    if isinstance(value, StrictUndefined):
        return str(value)
    raise RenderingFailure(Message("template-no-text", "A list is no text: join it, or put it through yaml or json."))


def _plain(value: Any) -> str:
    """What came of an agent's label, unquoted."""
    text = _text(value)
    if not _HARMLESS.fullmatch(text):
        said = Message(
            "label-needs-quotes",
            "What the agent says of itself has signs here that could change the file: write it with | yaml or | json.",
        )
        raise RenderingFailure(said)
    return text


def _is_quoted(value: Any) -> str:
    """What came of an agent's label, put into quotes by a filter."""
    text = _text(value)
    if "${" in text:
        raise RenderingFailure(_refers("labels"))
    return text


def _json(value: Any) -> str:
    if isinstance(value, StrictUndefined):
        return str(value)
    return _bounded(json.dumps(value, ensure_ascii=False))


def _yaml(value: Any) -> str:
    return _bounded(quoted(value)) if isinstance(value, str) else _json(value)


def _replace(value: Any, old: Any, new: Any) -> str:
    text, before, after = _text(value), _text(old), _text(new)
    if len(text) + text.count(before) * max(len(after) - len(before), 0) > MOST_VALUE:
        raise RenderingFailure(_too_long())
    return text.replace(before, after)


def _split(value: Any, separator: Any = ",") -> list[str]:
    return [part.strip() for part in _text(value).split(_text(separator), MOST_ITEMS)]


def _join(value: Any, separator: Any = "") -> str:
    if not isinstance(value, list | tuple):
        return _text(value)
    texts, between = [_text(item) for item in value], _text(separator)
    if sum(map(len, texts)) + len(texts) * len(between) > MOST_VALUE:
        raise RenderingFailure(_too_long())
    return between.join(texts)


def _default(value: Any, other: Any = "") -> Any:
    return other if isinstance(value, StrictUndefined) else value


def _integer(value: Any) -> int:
    try:
        return int(_text(value)[:100])
    except ValueError:
        raise RenderingFailure(Message("template-no-number", "This is no whole number.")) from None


@pass_context
def _steps(context: Context, items: Any, weight: int) -> Iterator[Any]:
    """The items of a loop, each paid for. Raises `RenderingFailure` when too much is done."""
    left = context.resolve(STEPS)
    if isinstance(items, StrictUndefined):
        str(items)
    if not isinstance(items, list | tuple):
        raise RenderingFailure(Message("template-no-list", "Loops go over lists: split the text."))
    if len(items) > MOST_ITEMS:
        raise RenderingFailure(_too_much())
    for item in items:
        left[0] -= weight
        if left[0] < 0:
            raise RenderingFailure(_too_much())
        yield item


def _too_much() -> Message:
    return Message("template-loops-too-long", "The loops of the template go on for too long.")


def _made_environment() -> _Environment:
    environment = _Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False, cache_size=0, extensions=()
    )
    environment.globals.clear()
    environment.filters.clear()
    environment.filters |= {
        "yaml": _yaml,
        "json": _json,
        "default": _default,
        "lower": lambda value: _text(value).lower(),
        "upper": lambda value: _bounded(_text(value).upper()),
        "trim": lambda value: _text(value).strip(),
        "replace": _replace,
        "split": _split,
        "join": _join,
        "length": lambda value: len(value) if isinstance(value, list | tuple) else len(_text(value)),
        "int": _integer,
        "b64encode": lambda value: _bounded(base64.b64encode(_text(value).encode()).decode()),
        "urlencode": lambda value: _bounded(quote(_text(value), safe="")),
        PLAIN: _plain,
        QUOTED: _is_quoted,
        OWN: _text,
        STEPS: _steps,
    }
    tests = {name: environment.tests[name] for name in ("defined", "undefined")}
    environment.tests.clear()
    environment.tests |= tests
    return environment


_environment = _made_environment()

__all__ = ["MOST_RENDERED", "RenderingFailure", "Scope", "Template", "TemplateProblem", "Uses"]
