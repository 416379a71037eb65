"""What REST endpoints of released versions have in common: the plan of a release, and policies that are kept."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema_field
from rest_framework import serializers

from foundation.api_input import Flag, StrictSerializer
from foundation.languages import in_readers_language
from rollouts.api_serializers import PolicyField
from rollouts.errors import InvalidPolicy
from rollouts.policies import parse_policy
from rollouts.services.version_publishing import VersionPlan

LARGEST = 2**31 - 1
"""Of priorities and numbers of versions."""
NUMBER = OpenApiParameter("number", {"type": "integer", "minimum": 1}, OpenApiParameter.PATH)
SEES_AGENTS = ("agents.view_agent",)


@extend_schema_field(OpenApiTypes.OBJECT)
class TargetedSelectorField(serializers.JSONField):
    """A map, or Kubernetes' matchLabels and matchExpressions; judged by the service."""


class ReleaseFields(StrictSerializer):
    """How to release a version; without ``release`` as the row has it, else the site."""

    release = PolicyField(required=False, allow_null=True)
    replace_rollout = Flag(required=False, default=False)


def version_plan_of(values: dict[str, Any]) -> VersionPlan:
    """Taken out of validated data: how a version goes out. Raises `InvalidPolicy` where nobody judged it before."""
    given, replace = values.pop("release", None), values.pop("replace_rollout", False)
    if given is None:
        return VersionPlan(by_default=True, replace=replace)
    return VersionPlan(parse_policy(given), replace=replace)


def checked_policy(value: Any) -> Any:
    """``value`` that a field is to keep; ``None`` for as the site has it. Raises `ValidationError`.

    Before any precondition: what is no policy is none of any edition.
    """
    if value is not None:
        try:
            parse_policy(value)
        except InvalidPolicy as error:
            raise serializers.ValidationError(in_readers_language(error)) from error
    return value
