"""The REST endpoint to counts of the fleet over time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from agents.models import Agent, FleetSample
from agents.services.fleet_samples import COUNTS, LONGEST, samples_since
from foundation.api_query import DeclaredQuery
from foundation.clock import clock

_SINCE = f"Not before it; without, a day ago. What is older than {LONGEST.days} days is not kept."


class FleetSampleSerializer(serializers.ModelSerializer[FleetSample]):
    """How the fleet stood at one time; all but `total` are of agents that were connected."""

    class Meta:
        model = FleetSample
        fields = ("at", *COUNTS)
        read_only_fields = fields


class FleetHistorySerializer(serializers.Serializer[Any]):
    """Counts over time."""

    resolution = serializers.IntegerField(
        help_text="Seconds of each point: 60 within a day, 900 within 30 days, else 21600."
    )
    points = FleetSampleSerializer(many=True, help_text="Oldest first; times in which no portal ran have none.")


class _Asked(serializers.Serializer[Any]):
    since = serializers.DateTimeField(required=False)


class FleetHistoryView(DeclaredQuery, GenericAPIView[Any]):
    """The fleet over time."""

    queryset = Agent.objects.all()
    serializer_class = FleetHistorySerializer
    filter_backends = []
    pagination_class = None
    query = ("since",)

    @extend_schema(
        operation_id="agents_summary_history_retrieve",
        parameters=[OpenApiParameter("since", OpenApiTypes.DATETIME, description=_SINCE)],
    )
    def get(self, request: Request) -> Response:
        """Counts of the fleet since a time, in slots as wide as that time is long ago."""
        asked = _Asked(data=request.query_params)
        asked.is_valid(raise_exception=True)
        until = clock.now()
        since = asked.validated_data.get("since", until - timedelta(days=1))
        if since > until:
            raise ValidationError({"since": [_("That is in the future.")]})
        resolution, points = samples_since(max(since, until - LONGEST), until)
        return Response(FleetHistorySerializer({"resolution": resolution, "points": points}).data)
