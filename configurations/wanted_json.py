"""How a list of configurations as JSON becomes what is wanted of each; requests, folders and archives say it in one shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rest_framework.exceptions import ValidationError

from configurations.api_serializers import ConfigurationSerializer, drafted, plan_of
from configurations.services.applying import MAX_CONFIGURATIONS, TooMany, Wanted
from configurations.services.drafts import Draft, InvalidConfiguration
from foundation.errors import DomainError
from foundation.messages import Message
from rollouts.errors import InvalidPolicy


class UnreadableConfigurations(DomainError):
    """Some of a list are no configurations. ``errors`` maps a name, or the place in the list, to messages by field."""

    def __init__(self, errors: dict[str, Any]) -> None:
        super().__init__(
            Message(
                "configurations-unreadable",
                "Nothing was changed, for {count} of the configurations cannot be read.",
                count=len(errors),
            )
        )
        self.errors = errors


def wanted_of(items: Iterable[tuple[str, Any]]) -> list[Wanted]:
    """Each given with the name of its place, for what has no name of its own.

    A field left out has its default, as with PUT. Raises `UnreadableConfigurations` with the errors of all, `TooMany`.
    """
    errors: dict[str, Any] = {}
    wanted = []
    for number, (place, data) in enumerate(items):
        if number >= MAX_CONFIGURATIONS:
            raise TooMany(
                Message("too-many-configurations", "At most {most} configurations at once.", most=MAX_CONFIGURATIONS)
            )
        name = data.get("name") if isinstance(data, dict) else None
        key = name if isinstance(name, str) and name and name not in errors else place
        try:
            wanted.append(_wanted(data))
        except ValidationError as error:
            errors[key] = error.detail if isinstance(error.detail, dict) else {"": error.detail}
        except InvalidConfiguration as error:
            errors[key] = error.errors
        except InvalidPolicy as error:
            errors[key] = {"release": [error.message]}
    if errors:
        raise UnreadableConfigurations(errors)
    return wanted


def _wanted(data: Any) -> Wanted:
    serializer = ConfigurationSerializer(data=data)
    serializer.is_valid(raise_exception=True)
    values: dict[str, Any] = serializer.validated_data
    return Wanted(
        name=values["name"],
        draft=drafted(values, Draft()),
        keeps_policy="rollout_policy" not in values,
        revision=values.get("revision"),
        note=values.get("note", ""),
        force=values.get("force", False),
        plan=plan_of(values),
    )
