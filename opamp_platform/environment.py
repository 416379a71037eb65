"""Strict reading of environment variables. Pure: the environment comes in as an argument, values or clear errors go out.

Only `opamp_platform.settings` uses it. Every reader also understands ``NAME_FILE``: the value is then the content of
that file with surrounding white space removed (mounted secrets end in a newline). A strange value raises
`StrangeValue`, which stops the start, instead of being taken for false or zero.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})
_SIZE_UNITS = {"kib": 1024, "mib": 1024**2, "gib": 1024**3, "k": 1024, "m": 1024**2, "g": 1024**3}


class StrangeValue(ValueError):
    """A variable holds something that cannot be meant; the text names the variable and what is accepted."""


class Environment:
    """Typed, strict access to one mapping of environment variables."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, default: str = "") -> str:
        """The stripped value of ``name``, or of the file named by ``name_FILE``; ``default`` when neither is set."""
        path = self._environ.get(f"{name}_FILE", "")
        if path:
            if self._environ.get(name):
                raise StrangeValue(f"{name} and {name}_FILE are both set: keep one of them.")
            try:
                return Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise StrangeValue(f"{name}_FILE: cannot read {path}: {error}") from error
        return self._environ.get(name, default).strip()

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean: 1/true/yes/on or 0/false/no/off."""
        value = self.text(name, "true" if default else "false").lower()
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise StrangeValue(f"{name}={value!r} is no boolean: use true or false.")

    def choice(self, name: str) -> bool | None:
        """A boolean, ``None`` when it is unset or empty: nobody has decided."""
        return self.flag(name) if self.text(name) else None

    def one_of(self, name: str, *words: str) -> str:
        """One of ``words``, of which the first is the default."""
        value = self.text(name) or words[0]
        if value not in words:
            raise StrangeValue(f"{name}={value!r} is unknown: use {' or '.join(words)}.")
        return value

    def integer(self, name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
        """A whole number within ``least``…``most``."""
        value = self.text(name) or str(default)
        try:
            number = int(value)
        except ValueError as error:
            raise StrangeValue(f"{name}={value!r} is no whole number.") from error
        if number < least or (most is not None and number > most):
            upper = "" if most is None else f" and at most {most}"
            raise StrangeValue(f"{name}={number} is out of range: at least {least}{upper}.")
        return number

    def size(self, name: str, default: int, *, least: int = 1) -> int:
        """Bytes: a whole number, optionally with KiB, MiB or GiB."""
        value = self.text(name).lower().replace(" ", "")
        if not value:
            return default
        unit = next((unit for unit in _SIZE_UNITS if value.endswith(unit)), "")
        digits = value[: len(value) - len(unit)] if unit else value
        if not digits.isdecimal():
            raise StrangeValue(f"{name}={value!r} is no size: use bytes, or a number with KiB, MiB or GiB.")
        size = int(digits) * _SIZE_UNITS.get(unit, 1)
        if size < least:
            raise StrangeValue(f"{name}={value} is too small: at least {least} bytes.")
        return size

    def json(self, name: str, default: str) -> Any:
        """A word as it is, or an object as JSON. Raises `StrangeValue`."""
        said = self.text(name) or default
        if not said.lstrip().startswith("{"):
            return said
        try:
            return json.loads(said)
        except ValueError as error:
            raise StrangeValue(f"{name} is no JSON: {error}") from None

    def items(self, name: str, default: str = "") -> list[str]:
        """A comma-separated list without empty items."""
        return [item.strip() for item in self.text(name, default).split(",") if item.strip()]
