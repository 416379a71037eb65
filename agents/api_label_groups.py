"""``GET /api/v1/agents:groups``: how many agents of a query have each value of a label."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from agents.label_groups import MOST_GROUPED, MOST_GROUPS, LabelGroup, LabelGroups, label_groups
from agents.labels import label_key_problem
from agents.models import Agent
from agents.query_conditions import agents_matching
from foundation.api_query import DeclaredQuery
from foundation.languages import in_readers_language


class LabelGroupSerializer(serializers.Serializer[LabelGroup]):
    """One value."""

    value = serializers.CharField(allow_null=True, allow_blank=True, help_text="Null: agents without the label.")
    agents = serializers.IntegerField(source="number")
    query = serializers.CharField(
        source="term",
        allow_null=True,
        help_text="What to add to a query to ask for exactly these; null where the value is too long for a query.",
    )


class LabelGroupsSerializer(serializers.Serializer[LabelGroups]):
    """The largest groups first."""

    groups = LabelGroupSerializer(many=True)
    others = serializers.IntegerField(help_text="Agents in smaller groups, or with values that look like secrets.")
    is_partial = serializers.BooleanField(
        source="partial", help_text=f"There are more agents than the first {MOST_GROUPED:,}, which were counted."
    )


class LabelGroupsView(DeclaredQuery, GenericAPIView[Any]):
    """Agents by a label."""

    queryset = Agent.objects.all()
    serializer_class = LabelGroupsSerializer
    filter_backends = []
    pagination_class = None
    query = ("q", "label")

    @extend_schema(
        operation_id="agents_groups_by_label",
        parameters=[
            OpenApiParameter("label", OpenApiTypes.STR, required=True, description="The key of the label."),
            OpenApiParameter(
                "q", OpenApiTypes.STR, description="A query, as the list takes it; all agents without one."
            ),
        ],
        description=f"How many agents of a query have each value of a label: the {MOST_GROUPS} largest groups.",
    )
    def get(self, request: Request) -> Response:
        """Counted within the query."""
        key = request.query_params.get("label", "").strip()
        problem = label_key_problem(key) if key else _("Name the key of a label.")
        if problem:
            raise ValidationError({"label": [in_readers_language(problem)]})
        agents = agents_matching(request.query_params.get("q", "").strip(), request.user)
        return Response(LabelGroupsSerializer(label_groups(agents, key)).data)
