"""What every REST endpoint asks of a request body: JSON types as they are, and no member that nobody reads.

DRF's own fields turn ``5`` into ``"5"`` and ``"yes"`` into ``true``; a program that sends the wrong type has a mistake
that should be seen. And what answers say in words. It must not know any model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from rest_framework import serializers

from foundation.languages import in_readers_language


class Text(serializers.CharField):
    """A JSON string."""

    def to_internal_value(self, data: Any) -> str:
        """Raises `ValidationError` for any other type."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A JSON number without fraction; ``3.0`` is ``3``, as in JSON Schema."""

    def to_internal_value(self, data: Any) -> int:
        """Raises `ValidationError` for any other type."""
        if isinstance(data, bool) or not isinstance(data, int | float) or data != data // 1:
            self.fail("invalid")
        return super().to_internal_value(int(data))


class Flag(serializers.BooleanField):
    """``true`` or ``false``."""

    def to_internal_value(self, data: Any) -> bool:
        """Raises `ValidationError` for any other type."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Uid(serializers.UUIDField):
    """A UUID as text."""

    def to_internal_value(self, data: Any) -> UUID:
        """Raises `ValidationError` for any other type."""
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class Said(serializers.CharField):
    """What lower layers say, in the language of the caller."""

    def to_representation(self, value: Any) -> str:
        """Translated."""
        return in_readers_language(value)


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members it does not declare, by name. Read-only ones may be sent back and count for nothing."""

    def to_internal_value(self, data: Any) -> Any:
        """Raises `ValidationError` with one message per unknown member."""
        if isinstance(data, Mapping):
            unknown = [str(name) for name in data if name not in self.fields]
            if unknown:
                known = ", ".join(name for name, field in self.fields.items() if not field.read_only)
                message = _("There is no such field; the fields are: %(known)s.") % {
                    "known": known or _("none, send no body")
                }
                raise serializers.ValidationError({name: [message] for name in unknown[:20]})
        return super().to_internal_value(data)


class NoBody(StrictSerializer):
    """The body of a request whose URL says everything."""
