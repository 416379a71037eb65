"""The numbers that a kind of rule takes: named, bounded, with a default. Pure; it must not know any kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foundation.messages import Message


@dataclass(frozen=True, slots=True)
class Parameter:
    """A whole number from ``least`` to ``most``; ``label`` and ``help_text`` are for people, lazily translated."""

    name: str
    label: Any
    default: int
    least: int = 0
    most: int = 1_000_000
    help_text: Any = ""


def read_parameters(known: Sequence[Parameter], given: Any) -> tuple[dict[str, int], dict[str, list[Message]]]:
    """All parameters with their values, and what is wrong by name; what is not given has its default."""
    if not isinstance(given, Mapping):
        said = Message("alert-parameters-object", "The parameters are an object of names and whole numbers.")
        return {}, {"parameters": [said]}
    problems: dict[str, list[Message]] = {}
    names = [parameter.name for parameter in known]
    for name in list(given)[:50]:
        if name not in names:
            said = Message(
                "alert-no-such-parameter", "There is no such parameter; there are: {known}.", known=", ".join(names)
            )
            problems[f"parameters.{str(name)[:100]}"] = [said]
    values: dict[str, int] = {}
    for parameter in known:
        value = given.get(parameter.name, parameter.default)
        if isinstance(value, bool) or not isinstance(value, int) or not parameter.least <= value <= parameter.most:
            problems[f"parameters.{parameter.name}"] = [
                Message(
                    "alert-parameter-range",
                    "A whole number from {least} to {most}.",
                    least=parameter.least,
                    most=parameter.most,
                )
            ]
        else:
            values[parameter.name] = value
    return values, problems


def reaches(count: int, total: int, *, least: int, percent: int) -> bool:
    """Whether ``count`` of ``total`` is ``least`` or more, or ``percent`` or more; 0 leaves a bound out.

    None of none reaches nothing.
    """
    if count <= 0:
        return False
    return (least > 0 and count >= least) or (percent > 0 and total > 0 and count * 100 >= percent * total)
