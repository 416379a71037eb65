"""``GET /api/v1/agents:export``: all agents of a query as CSV or as JSON lines."""

from __future__ import annotations

from typing import Any, cast

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from accounts.authentication import signed_in
from agents.agent_columns import EXPORTED, InvalidColumns, columns_named
from agents.agent_files import CSV, JSONL, agent_file_response
from agents.api_serializers import AgentSerializer
from agents.filters import AgentFilter
from agents.models import Agent, AgentQuerySet
from foundation.api_query import DeclaredQuery
from foundation.languages import in_readers_language


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


class ExportView(DeclaredQuery, GenericAPIView[Any]):
    """The whole list."""

    queryset = Agent.objects.all()
    serializer_class = AgentSerializer
    filterset_class = AgentFilter
    pagination_class = None
    renderer_classes = [CsvRenderer, JsonLinesRenderer]
    query = ("columns",)
    lists = True

    def get_queryset(self) -> AgentQuerySet:
        """What the caller may see."""
        return Agent.objects.visible_to(self.request.user)

    def known_query(self) -> set[str]:
        """The filters of the list; the order is that of the keys, which is the only one that holds while agents come and go."""
        return super().known_query() - {"ordering"}

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
        try:
            columns = columns_named(names)
        except InvalidColumns as error:
            raise ValidationError({"columns": [in_readers_language(error)]}) from error
        agents = cast("AgentQuerySet", self.filter_queryset(self.get_queryset()))
        query = "&".join(
            f"{name}={value}" for name, value in request.query_params.items() if name not in {"columns", "format"}
        )
        kind: str = request.accepted_renderer.format
        return agent_file_response(request._request, agents, columns, kind, by=signed_in(request), query=query)  # noqa: SLF001
