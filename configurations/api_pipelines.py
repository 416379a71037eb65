"""The REST endpoints to the pipelines that pages draw: of a configuration, and of what an agent says it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from agents.extensions import component_rates
from agents.models import Agent
from agents.reports import JsonObject
from agents.shown import files_shown
from configurations.meaning import ROLES
from configurations.models import Configuration
from configurations.pipelines_shown import LaneShown, NodeShown, PipelinesShown, Rates, pipelines_shown
from foundation.api_query import DeclaredQuery
from foundation.clock import clock

_INSTANCE_UID = OpenApiParameter("instance_uid", OpenApiTypes.UUID, OpenApiParameter.PATH)


class PipelineComponentSerializer(serializers.Serializer[Any]):
    """A component in a pipeline."""

    name = serializers.CharField()
    connector = serializers.BooleanField(help_text="It joins pipelines: what it exports here another one receives.")
    file = serializers.CharField(allow_null=True, allow_blank=True, help_text="Key of the file that defines it.")
    line = serializers.IntegerField(allow_null=True, help_text="From 1; `null` where nothing defines it.")
    healthy = serializers.BooleanField(allow_null=True, help_text="As the agent says; `null`: it does not.")
    status = serializers.CharField(allow_blank=True, help_text="What the agent says of it.")
    rate = serializers.FloatField(
        allow_null=True,
        help_text="Items of the signal a second that it takes or sends, in all pipelines together; `null`: not measured.",
    )


class PipelineSerializer(serializers.Serializer[Any]):
    """A pipeline, its members in the order in which data meets them."""

    name = serializers.CharField()
    signal = serializers.CharField(help_text="`traces`, `metrics`, `logs`, …")
    receivers = PipelineComponentSerializer(many=True)
    processors = PipelineComponentSerializer(many=True)
    exporters = PipelineComponentSerializer(many=True)


class PipelineJoinSerializer(serializers.Serializer[Any]):
    """A connector between two pipelines, both by name."""

    connector = serializers.CharField()
    exported_by = serializers.CharField()
    received_by = serializers.CharField()


class PipelinesSerializer(serializers.Serializer[Any]):
    """Pipelines as a graph."""

    readable = serializers.BooleanField(
        help_text="Whether the files are a Collector's with pipelines; else the lists are empty."
    )
    pipelines = PipelineSerializer(many=True)
    joins = PipelineJoinSerializer(many=True)
    left_out = serializers.IntegerField(help_text="Pipelines, components and joins beyond what is listed.")


class ConfigurationPipelinesView(DeclaredQuery, GenericAPIView[Any]):
    """The pipelines of a configuration's newest revision."""

    queryset = Configuration.objects.all()
    serializer_class = PipelinesSerializer
    filter_backends = []
    pagination_class = None

    @extend_schema(operation_id="configurations_pipelines_retrieve")
    def get(self, request: Request, name: str) -> Response:
        """Pipelines, their components, and the connectors that join them."""
        if "\x00" in name:
            raise NotFound
        row = Configuration.objects.visible_to(request.user).select_related("current").get(name=name)
        files = {} if row.current is None else files_shown(row.current.files)
        return Response(_answer(files))


class AgentPipelinesView(DeclaredQuery, GenericAPIView[Any]):
    """The pipelines that an agent says it runs."""

    queryset = Agent.objects.all()
    serializer_class = PipelinesSerializer
    filter_backends = []
    pagination_class = None

    @extend_schema(operation_id="agents_pipelines_retrieve", parameters=[_INSTANCE_UID])
    def get(self, request: Request, instance_uid: str) -> Response:
        """Those of its effective configuration, with the health of each component where it says, and what they pass on."""
        try:
            uid = UUID(instance_uid)
        except ValueError:
            raise NotFound from None
        rows = Agent.objects.visible_to(request.user).select_related("reported__effective_config")
        agent = rows.get(instance_uid=uid)
        effective = agent.reported.effective_config
        files = {} if effective is None else files_shown(effective.content)
        return Response(_answer(files, agent.reported.health, component_rates(agent.pk, clock.now())))


def _answer(
    files: Mapping[str, JsonObject], health: Mapping[str, Any] | None = None, rates: Rates | None = None
) -> dict[str, Any]:
    shown = pipelines_shown(files, targets={key: key for key in files}, health=health, rates=rates)
    if shown is None:
        return {"readable": False, "pipelines": [], "joins": [], "left_out": 0}
    return {
        "readable": True,
        "pipelines": [_pipeline(lane) for lane in shown.lanes],
        "joins": _joins(shown),
        "left_out": shown.left_out,
    }


def _pipeline(lane: LaneShown) -> dict[str, Any]:
    members = {role: [_component(node) for node in nodes] for role, nodes in zip(ROLES, lane.roles, strict=True)}
    return {"name": lane.name, "signal": lane.signal, **members}


def _component(node: NodeShown) -> dict[str, Any]:
    return {
        "name": node.name,
        "connector": node.connector,
        "file": node.target if node.line else None,
        "line": node.line or None,
        "healthy": node.healthy,
        "status": node.said,
        "rate": node.rate,
    }


def _joins(shown: PipelinesShown) -> list[dict[str, str]]:
    return [{"connector": name, "exported_by": source, "received_by": target} for name, source, target in shown.joins]
