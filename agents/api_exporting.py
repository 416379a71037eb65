"""``GET /api/v1/agents:export``: all agents of a query as CSV or as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.agent_columns import EXPORTED, MOST_COLUMNS, AgentColumn, InvalidColumns, columns_named
from agents.agent_files import CSV, JSONL, agent_file_response
from agents.api_serializers import AgentSerializer, ChosenAgents
from agents.filters import AgentFilter
from agents.models import Agent, AgentQuerySet
from agents.services.export_jobs import start_export
from foundation.api_input import Text
from foundation.api_query import DeclaredQuery
from foundation.languages import in_readers_language
from jobs.api import JobSerializer


class _FileRenderer(BaseRenderer):
    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> Any:
        """Problems have a renderer of their own."""
        return b""


class CsvRenderer(_FileRenderer):
    """Lets a client ask for CSV."""

    media_type, format, charset = "text/csv", CSV, "utf-8"


class JsonLinesRenderer(_FileRenderer):
    """Lets a client ask for JSON lines."""

    media_type, format, charset = "application/jsonl", JSONL, "utf-8"


class ExportRequest(ChosenAgents):
    """Which agents, and what of them stands in the file."""

    format = serializers.ChoiceField(choices=[(CSV, CSV), (JSONL, JSONL)], default=CSV)
    columns = serializers.ListField(
        child=Text(max_length=300),
        required=False,
        max_length=MOST_COLUMNS,
        help_text="As of the file that is sent at once.",
    )


class ExportView(DeclaredQuery, GenericAPIView[Any]):
    """The whole list."""

    queryset = Agent.objects.all()
    serializer_class = AgentSerializer
    filterset_class = AgentFilter
    pagination_class = None
    renderer_classes = [CsvRenderer, JsonLinesRenderer]
    query = ("columns",)
    lists = True
    right = "view"

    def get_queryset(self) -> AgentQuerySet:
        """What the caller may see."""
        return Agent.objects.visible_to(self.request.user)

    def known_query(self) -> set[str]:
        """The filters of the list; the order is that of the keys, which is the only one that holds while agents come and go."""
        return set() if self._starts_a_job() else super().known_query() - {"ordering"}

    @extend_schema(
        operation_id="agents_export",
        parameters=[
            OpenApiParameter(
                "format", OpenApiTypes.STR, enum=[CSV, JSONL], description="`csv` unless `Accept` says otherwise."
            ),
            OpenApiParameter(
                "columns",
                OpenApiTypes.STR,
                description="Names with commas between them, in this order; `label:env` is a label. Without it, most facts.",
            ),
            OpenApiParameter("ordering", exclude=True),
        ],
        responses={(200, "text/csv"): OpenApiTypes.STR, (200, "application/jsonl"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponseBase:
        """All agents that the filters and the query find, however many, as one file; it leaves an entry in the audit trail."""
        asked = request.query_params.get("columns", "")
        names = [name.strip() for name in asked.split(",") if name.strip()] or list(EXPORTED)
        columns = _columns(names)
        agents = cast("AgentQuerySet", self.filter_queryset(self.get_queryset()))
        query = "&".join(
            f"{name}={value}" for name, value in request.query_params.items() if name not in {"columns", "format"}
        )
        kind: str = request.accepted_renderer.format
        return agent_file_response(request._request, agents, columns, kind, by=signed_in(request), query=query)  # noqa: SLF001

    def get_renderers(self) -> list[BaseRenderer]:
        """A job is JSON."""
        return [JSONRenderer()] if self._starts_a_job() else super().get_renderers()

    def _starts_a_job(self) -> bool:
        # The schema asks without a request.
        return getattr(self.request, "method", None) == "POST"

    @extend_schema(
        operation_id="agents_export_start",
        request=ExportRequest,
        parameters=[OpenApiParameter("ordering", exclude=True)],
        filters=False,
        responses={202: OpenApiResponse(JobSerializer, description="The job; `Location` is its address.")},
    )
    def post(self, request: Request) -> Response:
        """Have the file made by a job, of the agents that match now; when it is done it has a `file`."""
        asked = ExportRequest(data=request.data, context={"request": request})
        asked.is_valid(raise_exception=True)
        values, by = asked.validated_data, signed_in(request)
        columns = _columns(values.get("columns") or EXPORTED)
        chosen = asked.chosen(Agent.objects.visible_to(by)).order_by("pk")
        query = json.dumps(values.get("filter", {}), ensure_ascii=False)
        job = start_export(list(chosen.values_list("pk", flat=True)), columns, values["format"], by=by, query=query)
        where = request.build_absolute_uri(reverse("job-detail", args=[job.pk]))
        return Response(JobSerializer(job).data, status=202, headers={"Location": where})


def _columns(names: Sequence[str]) -> list[AgentColumn]:
    try:
        return columns_named(names)
    except InvalidColumns as error:
        raise ValidationError({"columns": [in_readers_language(error)]}) from error
