"""Fields of forms that take whatever somebody types, and say what is wrong with it instead of failing at it."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput
from django.utils.translation import gettext as _

from foundation.nesting import check_json


class TypedJsonField(forms.JSONField):
    """JSON as people type it. Django's own raises at deep texts and long numbers, and at half a character, which no page shows."""

    def to_python(self, value: Any) -> Any:
        """Raises `ValidationError` for what is no JSON, or none that can be kept."""
        if isinstance(value, str) and value not in self.empty_values:
            try:
                return typed_json(value)
            except NameTwice as error:
                raise ValidationError(_("“%(key)s” is there twice."), params={"key": str(error)}) from error
            except (ValueError, RecursionError) as error:
                raise ValidationError(self.error_messages["invalid"], code="invalid", params={"value": ""}) from error
        return super().to_python(value)

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was typed, shown again as it is where it is no JSON."""
        if self.disabled:
            return initial
        if data is None:
            return None
        try:
            return typed_json(data)
        except (ValueError, RecursionError):
            return InvalidJSONInput(data)


def typed_json(text: str) -> Any:
    """The JSON of a text that somebody typed.

    Raises `NameTwice`, `foundation.nesting.NestedTooDeep`, or another `ValueError` for what is no JSON, or none that can be kept.
    """
    check_json(text)
    found = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    # Lone surrogates have no UTF-8 form.
    json.dumps(found, ensure_ascii=False).encode()
    return found


class NameTwice(ValueError):
    """One of two values would be lost."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise NameTwice(name[:100])
        found[name] = value
    return found


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")
