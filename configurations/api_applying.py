"""``POST /api/v1/configurations:apply``: many configurations as a list says them, for pipelines; the plan is the answer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from accounts.models import User
from configurations.api_serializers import ConfigurationSerializer, FindingSerializer
from configurations.models import Configuration
from configurations.services.applying import Action, Permitted, Step, apply_configurations, plan_configurations
from configurations.wanted_json import wanted_of
from foundation.api_input import Flag, StrictSerializer
from foundation.api_query import DeclaredQuery
from foundation.clock import clock

_RIGHTS = {Action.CREATE: "add", Action.UPDATE: "change", Action.DELETE: "delete"}


@extend_schema_field(ConfigurationSerializer(many=True))
class ConfigurationsField(serializers.ListField):
    """Judged one by one, so that errors stand under the name of the configuration."""


class ApplyRequest(StrictSerializer):
    """What there should be."""

    configurations = ConfigurationsField()
    dry_run = Flag(required=False, help_text="Only plan; nothing is changed, and no right to edit is needed.")
    prune = Flag(required=False, help_text="Delete configurations that are not in the list, which then is not empty.")


class StepSerializer(serializers.Serializer[Step]):
    """One line of the plan."""

    name = serializers.CharField()
    action = serializers.ChoiceField([(item.value, item.value) for item in Action])
    findings = FindingSerializer(many=True, help_text="Mistakes that do not keep it from being saved.")


class ApplyAnswer(serializers.Serializer[Any]):
    """The plan: carried out, or only made with ``dry_run``."""

    plan = StepSerializer(many=True)


def permitted_to(person: User) -> Permitted:
    """For `apply_configurations`: raises `PermissionDenied` unless ``person`` has the rights that the single edits need."""

    def require(actions: Collection[Action]) -> None:
        for action, right in _RIGHTS.items():
            if action in actions and not person.has_perm(f"configurations.{right}_configuration"):
                raise PermissionDenied(
                    _("The plan needs the right %(right)s configuration; nothing was changed.") % {"right": right}
                )

    return require


class ApplyView(DeclaredQuery, GenericAPIView[Any]):
    """Many configurations at once."""

    queryset = Configuration.objects.all()
    serializer_class = ApplyRequest
    filter_backends = []
    pagination_class = None
    # What it needs beyond reading is known when there is a plan.
    right: str | None = "view"

    @extend_schema(operation_id="configurations_apply", request=ApplyRequest, responses=ApplyAnswer)
    def post(self, request: Request) -> Response:
        """Create, update and delete until everything is as listed: all of it or nothing. What is so already is not touched.

        Each is a configuration as PUT takes it: fields left out get their defaults, `[redacted]` stays what it is.
        """
        asked = ApplyRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        wanted = wanted_of((f"[{number}]", item) for number, item in enumerate(values["configurations"]))
        person, prune = signed_in(request), values.get("prune", False)
        if values.get("dry_run", False):
            steps = plan_configurations(wanted, by=person, at=clock.now(), prune=prune)
        else:
            steps = apply_configurations(wanted, by=person, at=clock.now(), prune=prune, permitted=permitted_to(person))
        return Response(ApplyAnswer({"plan": steps}).data)
