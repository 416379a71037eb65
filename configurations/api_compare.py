"""The REST endpoint that compares two revisions, or what agents run."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from configurations.comparing import compare_sides
from configurations.line_differences import DiffLine
from configurations.meaning import ROLES
from configurations.models import Configuration
from foundation.api_query import DeclaredQuery

_SIDE = (
    "`configuration:NAME` (its newest revision), `configuration:NAME@REVISION`, or `agent:UID` (what it says it runs)"
)
_NAMED = "`null` where a side has none."


class ComparedValue(serializers.Serializer[Any]):
    """One value, its secrets hidden; the same on both sides where what differs is hidden."""

    path = serializers.CharField()
    left = serializers.CharField(allow_null=True, allow_blank=True, help_text=_NAMED)
    right = serializers.CharField(allow_null=True, allow_blank=True, help_text=_NAMED)


class ComparedComponent(serializers.Serializer[Any]):
    """A component that only one side has, or that both have with other values."""

    kind = serializers.CharField(help_text="The section: `receivers`, `processors`, …")
    name = serializers.CharField()
    change = serializers.ChoiceField(choices=["added", "removed", "changed"])
    values = ComparedValue(many=True)


class PipelineMembers(serializers.Serializer[Any]):
    """What a pipeline is made of, in the order of the file."""

    receivers = serializers.ListField(child=serializers.CharField())
    processors = serializers.ListField(child=serializers.CharField())
    exporters = serializers.ListField(child=serializers.CharField())


class ComparedPipeline(serializers.Serializer[Any]):
    """A pipeline that differs; `reordered`: the same processors in another order."""

    name = serializers.CharField()
    change = serializers.ChoiceField(choices=["added", "removed", "changed", "reordered"])
    left = PipelineMembers()
    right = PipelineMembers()


class ComparisonSerializer(serializers.Serializer[Any]):
    """What `right` has otherwise than `left`."""

    left = serializers.CharField(help_text="The side as it was named, with the number of the revision.")
    right = serializers.CharField()
    text = serializers.CharField(
        allow_null=True, allow_blank=True, help_text="A unified diff, empty without a difference; `null`: too large."
    )
    readable = serializers.BooleanField(
        help_text="Whether both sides could be read as a Collector's configuration; else the lists are empty."
    )
    components = ComparedComponent(many=True)
    pipelines = ComparedPipeline(many=True)
    settings = ComparedValue(many=True, help_text="Values outside components and pipelines.")


class CompareView(DeclaredQuery, GenericAPIView[Any]):
    """Compare any two."""

    queryset = Configuration.objects.all()
    serializer_class = ComparisonSerializer
    filter_backends = []
    pagination_class = None
    query = frozenset({"left", "right"})

    @extend_schema(
        operation_id="compare_retrieve",
        parameters=[
            OpenApiParameter("left", str, required=True, description=_SIDE),
            OpenApiParameter("right", str, required=True, description=_SIDE),
        ],
    )
    def get(self, request: Request) -> Response:
        """Line by line and by meaning, secrets hidden; agents need the right `agents.view_agent`."""
        names = _Sides(data=request.query_params)
        names.is_valid(raise_exception=True)
        found = compare_sides(names.validated_data["left"], names.validated_data["right"], signed_in(request))
        meaning = found.meaning
        return Response(
            {
                "left": found.left.name,
                "right": found.right.name,
                "text": None if found.lines is None else "".join(f"{_text(line)}\n" for line in found.lines),
                "readable": meaning is not None,
                "components": ComparedComponent(meaning.components if meaning else (), many=True).data,
                "pipelines": [
                    {
                        "name": item.name,
                        "change": item.change,
                        "left": {role: list(item.left[role]) for role in ROLES},
                        "right": {role: list(item.right[role]) for role in ROLES},
                    }
                    for item in (meaning.pipelines if meaning else ())
                ],
                "settings": ComparedValue(meaning.settings if meaning else (), many=True).data,
            }
        )


class _Sides(serializers.Serializer[Any]):
    left = serializers.CharField(max_length=300)
    right = serializers.CharField(max_length=300)


def _text(line: DiffLine) -> str:
    return line.sign + str(line.text)
