"""The REST endpoint to what one agent gets of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from agents.models import Agent
from configurations.api_serializers import FileSerializer
from configurations.models import Configuration
from configurations.rendered_files import RenderedFiles, shown_for
from foundation.api_input import Said
from foundation.api_query import DeclaredQuery

_AGENT = OpenApiParameter("agent", OpenApiTypes.UUID, required=True, description="The instance uid of an agent.")


class RenderedSerializer(serializers.Serializer[RenderedFiles]):
    """What one agent would get, for people: secrets are hidden."""

    revision = serializers.IntegerField()
    config_hash = serializers.CharField(allow_blank=True, help_text="What the agent is offered it under.")
    files = serializers.DictField(child=FileSerializer())
    error = Said(allow_null=True, help_text="Why there is nothing for this agent, which keeps what it runs.")


class RenderedView(DeclaredQuery, GenericAPIView[Any]):
    """The newest revision of a configuration as one agent would get it."""

    queryset = Configuration.objects.all()
    serializer_class = RenderedSerializer
    filter_backends = []
    pagination_class = None
    further_rights: Sequence[str] = ("agents.view_agent",)
    query = ("agent",)

    @extend_schema(operation_id="configurations_rendered_retrieve", parameters=[_AGENT])
    def get(self, request: Request, name: str) -> Response:
        """Templates rendered, secrets hidden; `error` says why there is nothing for the agent."""
        if "\x00" in name:
            raise NotFound
        row = Configuration.objects.visible_to(request.user).select_related("current").get(name=name)
        try:
            uid = UUID(request.query_params.get("agent", ""))
        except ValueError:
            raise ValidationError({"agent": [_("Name an agent by its instance uid.")]}) from None
        agent = Agent.objects.visible_to(request.user).get(instance_uid=uid)
        return Response(RenderedSerializer(shown_for(row, agent.labels)).data)
