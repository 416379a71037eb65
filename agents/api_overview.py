"""The REST endpoints to what the overview says of failures and versions."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from agents.models import Agent
from agents.recent_failures import failures_of_the_day
from agents.services.fleet_versions import FleetVersion, fleet_versions
from foundation.api_query import DeclaredQuery
from foundation.clock import clock


class FailureGroupSerializer(serializers.Serializer[Any]):
    """One reason."""

    reason = serializers.CharField(
        help_text="As agents gave it, secrets hidden; or `rolled_back`, `refused`, `not_stored`."
    )
    agents = serializers.IntegerField(help_text="Agents that failed for it, each counted once.")
    in_error = serializers.IntegerField(help_text="Of these, those whose status is still `error`.")
    query = serializers.CharField(help_text="Finds exactly these agents, as `q` of `GET /agents`.")


class FailuresSerializer(serializers.Serializer[Any]):
    """Failures of the last 24 hours."""

    agents = serializers.IntegerField(help_text="Agents that failed, each counted once; `failed:today` finds them.")
    groups = FailureGroupSerializer(many=True, help_text="The largest first, at most 8.")
    more = serializers.IntegerField(help_text="Further reasons.")
    incomplete = serializers.BooleanField(
        source="partial", help_text="There were too many failures to look through: numbers are too small."
    )


class FleetVersionSerializer(serializers.Serializer[Any]):
    """One version that agents have."""

    version = serializers.CharField(allow_blank=True)
    agents = serializers.IntegerField(source="number")
    versions_behind = serializers.IntegerField(
        source="behind", allow_null=True, help_text="Newer versions in the fleet; null of what is no version."
    )
    first_seen_at = serializers.DateTimeField(
        source="seen.first_seen_at", allow_null=True, default=None, help_text="When agents of this portal had it first."
    )
    seen_since_earlier = serializers.BooleanField(
        source="seen.since_earlier",
        default=False,
        help_text="It was there already when the portal began to note versions.",
    )
    newer_since = serializers.DateTimeField(
        source="newer.first_seen_at", allow_null=True, default=None, help_text="When agents had a newer version first."
    )


class FailuresView(DeclaredQuery, GenericAPIView[Any]):
    """What failed within a day."""

    queryset = Agent.objects.all()
    serializer_class = FailuresSerializer
    filter_backends = []
    pagination_class = None

    @extend_schema(operation_id="agents_summary_failures_retrieve", parameters=[])
    def get(self, request: Request) -> Response:
        """Failures of the last 24 hours, grouped by the reason that agents gave."""
        return Response(FailuresSerializer(failures_of_the_day(clock.now())).data)


class VersionsView(DeclaredQuery, GenericAPIView[Any]):
    """The versions of the fleet."""

    queryset = Agent.objects.all()
    serializer_class = FleetVersionSerializer
    filter_backends = []
    pagination_class = None

    @extend_schema(
        operation_id="agents_summary_versions_list", responses=FleetVersionSerializer(many=True), parameters=[]
    )
    def get(self, request: Request) -> Response:
        """Versions that agents have, the newest first, and since when they are known here; at most 1,000."""
        rows: list[FleetVersion] = fleet_versions()[:1_000]
        return Response(FleetVersionSerializer(rows, many=True).data)
