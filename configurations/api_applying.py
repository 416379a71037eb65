"""``POST /api/v1/configurations:apply``: many configurations as a list says them, for pipelines; the plan is the answer.
``GET /api/v1/configurations:export`` is such a list of what there is.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.shown import files_shown
from configurations.api_serializers import ConfigurationSerializer, FindingSerializer
from configurations.manifests import manifest_data
from configurations.models import Configuration
from configurations.services.applying import Action, Step, apply_configurations, plan_configurations
from configurations.wanted_json import wanted_of
from foundation.api_input import Flag, StrictSerializer
from foundation.api_query import DeclaredQuery
from foundation.clock import clock


@extend_schema_field(ConfigurationSerializer(many=True))
class ConfigurationsField(serializers.ListField):
    """Judged one by one, so that errors stand under the name of the configuration."""


class ApplyRequest(StrictSerializer):
    """What there should be."""

    configurations = ConfigurationsField()
    dry_run = Flag(required=False, help_text="Only plan; nothing is changed, and no right to edit is needed.")
    prune = Flag(required=False, help_text="Delete configurations that are not in the list, which then is not empty.")


class PlannedStepSerializer(serializers.Serializer[Step]):
    """One line of the plan."""

    name = serializers.CharField()
    action = serializers.ChoiceField([(item.value, item.value) for item in Action])
    findings = FindingSerializer(many=True, help_text="Mistakes that do not keep it from being saved.")


class ApplyAnswer(serializers.Serializer[Any]):
    """The plan: carried out, or only made with ``dry_run``."""

    plan = PlannedStepSerializer(many=True)


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
            steps = apply_configurations(wanted, by=person, at=clock.now(), prune=prune)
        return Response(ApplyAnswer({"plan": steps}).data)


class ExportAnswer(serializers.Serializer[Any]):
    """What can be sent to `configurations:apply`."""

    configurations = serializers.ListField(child=serializers.DictField())


class ConfigurationsExportView(DeclaredQuery, GenericAPIView[Any]):
    """All configurations in one call."""

    queryset = Configuration.objects.all()
    serializer_class = ExportAnswer
    filter_backends = []
    pagination_class = None

    @extend_schema(operation_id="configurations_export", responses=ExportAnswer)
    def get(self, request: Request) -> Response:
        """By name, as `configurations:apply` takes them: what is published, secrets hidden. Sent back, it changes nothing."""
        rows = Configuration.objects.visible_to(request.user).select_related("current").order_by("name")
        listed = [
            manifest_data(row, files_shown(row.current.files) if row.current else {})
            for row in rows.iterator(chunk_size=100)
        ]
        return Response({"configurations": listed})
