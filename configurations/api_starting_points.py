"""REST: configurations to begin with."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from configurations.models import Configuration
from configurations.starting_points import CONTENT_TYPE, StartingPoint, starting_points
from foundation.api_query import DeclaredQuery
from foundation.languages import in_readers_language


class StartingPointSerializer(serializers.Serializer[StartingPoint]):
    """What there is to begin with; texts are in the language of the request."""

    name = serializers.CharField(help_text="What it is asked for by.")
    title = serializers.SerializerMethodField()
    description = serializers.SerializerMethodField()
    components = serializers.ListField(
        child=serializers.CharField(), help_text="Types that a Collector must have, such as `receivers/otlp`."
    )

    def get_title(self, row: StartingPoint) -> str:
        """In the language of the request."""
        return in_readers_language(row.title)

    def get_description(self, row: StartingPoint) -> str:
        """In the language of the request."""
        return in_readers_language(row.description)


class WholeStartingPointSerializer(StartingPointSerializer):
    """With the text, under the names that a configuration has: it can be posted as it is, with a selector."""

    content_type = serializers.SerializerMethodField()
    raw_config = serializers.CharField(source="text")

    def get_content_type(self, row: StartingPoint) -> str:
        """The same for all."""
        return CONTENT_TYPE


class StartingPointList(serializers.Serializer[Any]):
    """All of them; there are few, so the list has no pages."""

    count = serializers.IntegerField()
    results = StartingPointSerializer(many=True)


class StartingPointsView(DeclaredQuery, GenericAPIView[Any]):
    """What a configuration can begin as."""

    queryset = Configuration.objects.none()
    serializer_class = StartingPointList
    filter_backends = []
    pagination_class = None
    query = frozenset()

    @extend_schema(operation_id="configuration_templates_list")
    def get(self, request: Request) -> Response:
        """All templates of configurations, without their texts."""
        rows = list(starting_points().values())
        return Response(StartingPointList({"count": len(rows), "results": rows}).data)


class StartingPointView(DeclaredQuery, GenericAPIView[Any]):
    """One of them."""

    queryset = Configuration.objects.none()
    serializer_class = WholeStartingPointSerializer
    filter_backends = []
    pagination_class = None
    query = frozenset()

    @extend_schema(operation_id="configuration_templates_retrieve")
    def get(self, request: Request, name: str) -> Response:
        """A template of a configuration, with its text."""
        row = starting_points().get(name)
        if row is None:
            raise NotFound
        return Response(WholeStartingPointSerializer(row).data)
