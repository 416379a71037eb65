"""The REST endpoint to what one agent measured of itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from agents.models import Agent
from foundation.api_query import DeclaredQuery
from foundation.clock import clock
from telemetry.measures import MEASURES
from telemetry.services.series import telemetry_of
from telemetry.slots import DAYS, SLOT_SECONDS, Values

_INSTANCE_UID = OpenApiParameter("instance_uid", OpenApiTypes.UUID, OpenApiParameter.PATH)
_RESOLUTIONS = (SLOT_SECONDS, 900, 3_600, 6 * 3_600)
_SINCE = f"Not before it; without, a day ago. What is older than {DAYS} days is not kept."
_HELP = {
    "cpu": "Cores: 1 is one core, busy all the time.",
    "memory": "Bytes of resident memory.",
    "accepted": "Spans, data points, log records and profile samples that receivers took, a second.",
    "refused": "The same, that receivers could not hand on.",
    "failed": "The same, that exporters could not send.",
    "queue": "How full the fullest sending queue of an exporter is, 0 to 1.",
}


class MeasuresSerializer(serializers.Serializer[Any]):
    """Values of one time; ``null``: not measured."""

    at = serializers.DateTimeField(allow_null=True)
    cpu = serializers.FloatField(allow_null=True, help_text=_HELP["cpu"])
    memory = serializers.FloatField(allow_null=True, help_text=_HELP["memory"])
    accepted = serializers.FloatField(allow_null=True, help_text=_HELP["accepted"])
    refused = serializers.FloatField(allow_null=True, help_text=_HELP["refused"])
    failed = serializers.FloatField(allow_null=True, help_text=_HELP["failed"])
    queue = serializers.FloatField(allow_null=True, help_text=_HELP["queue"])


class TelemetrySerializer(serializers.Serializer[Any]):
    """What an agent measured of itself."""

    resolution = serializers.IntegerField(help_text="Seconds of each point.")
    latest = MeasuresSerializer(allow_null=True, help_text="As received last; `null`: it never sent any.")
    points = MeasuresSerializer(many=True, help_text="Means from `at` on, for times in which something was measured.")


class _Asked(serializers.Serializer[Any]):
    since = serializers.DateTimeField(required=False)
    resolution = serializers.ChoiceField(
        [str(each) for each in _RESOLUTIONS], required=False, default=str(SLOT_SECONDS)
    )


class TelemetryView(DeclaredQuery, GenericAPIView[Any]):
    """One agent's own metrics."""

    queryset = Agent.objects.all()
    serializer_class = TelemetrySerializer
    filter_backends = []
    pagination_class = None
    query = ("since", "resolution")

    @extend_schema(
        operation_id="agents_telemetry_retrieve",
        parameters=[
            _INSTANCE_UID,
            OpenApiParameter("since", OpenApiTypes.DATETIME, description=_SINCE),
            OpenApiParameter("resolution", int, enum=_RESOLUTIONS, default=SLOT_SECONDS, description="Seconds."),
        ],
    )
    def get(self, request: Request, instance_uid: str) -> Response:
        """Its latest values, and means of each `resolution` seconds, oldest first."""
        try:
            uid = UUID(instance_uid)
        except ValueError:
            raise NotFound from None
        agent = Agent.objects.visible_to(request.user).get(instance_uid=uid)
        asked = _Asked(data=request.query_params)
        asked.is_valid(raise_exception=True)
        until, step = clock.now(), int(asked.validated_data["resolution"])
        earliest = until - timedelta(days=DAYS)
        since = max(asked.validated_data.get("since", until - timedelta(days=1)), earliest)
        found = telemetry_of([agent.pk], since=since, until=until).get(agent.pk)
        latest = None if found is None else found.latest
        steps = [] if found is None else found.steps(since, until, step)
        values = None if latest is None else tuple(getattr(latest, measure.value) for measure in MEASURES)
        answer = {
            "resolution": step,
            "latest": None if latest is None or values is None else _named(latest.received_at, values),
            "points": [_named(at, means) for at, means in steps if any(value is not None for value in means)],
        }
        return Response(TelemetrySerializer(answer).data)


def _named(at: datetime | None, values: Values) -> dict[str, Any]:
    return {"at": at, **dict(zip((measure.value for measure in MEASURES), values, strict=True))}
