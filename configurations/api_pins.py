"""The REST endpoints that pin one agent, and unpin it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.models import Agent
from configurations.api_desired import PinSerializer
from configurations.services import pinning
from foundation.api_input import NoBody, StrictSerializer, Text, Whole
from foundation.api_query import DeclaredQuery
from foundation.clock import clock
from rollouts.reasons import LONGEST_REASON

_INSTANCE_UID = OpenApiParameter("instance_uid", OpenApiTypes.UUID, OpenApiParameter.PATH)


class PinRequest(StrictSerializer):
    """To what, why and until when; without ``revision`` the agent follows the configuration."""

    configuration = Text(max_length=100)
    revision = Whole(min_value=1, max_value=2**31 - 1, required=False, allow_null=True, default=None)
    # Judged by `rollouts.reasons`, like what people type into forms.
    reason = Text(allow_blank=True, trim_whitespace=False, help_text=f"One line, at most {LONGEST_REASON} characters.")
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class _AgentView(DeclaredQuery, GenericAPIView[Any]):
    """A view below one agent's URL."""

    queryset = Agent.objects.all()
    serializer_class: type[serializers.BaseSerializer[Any]] = PinRequest
    filter_backends = []
    pagination_class = None
    right = "change"
    further_rights: Sequence[str] = ("configurations.view_configuration",)

    def agent(self, instance_uid: str) -> Agent:
        """The agent named in the URL."""
        try:
            uid = UUID(instance_uid)
        except ValueError:
            raise NotFound from None
        return Agent.objects.visible_to(self.request.user).get(instance_uid=uid)


class PinView(_AgentView):
    """Have one agent run what somebody chose for it."""

    @extend_schema(operation_id="agents_pin", parameters=[_INSTANCE_UID], request=PinRequest, responses=PinSerializer)
    def post(self, request: Request, instance_uid: str) -> Response:
        """Instead of a pin that there is. 409 for what is disabled or not released."""
        agent = self.agent(instance_uid)
        asked = PinRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        pin = pinning.pin_agent(agent.pk, by=signed_in(request), at=clock.now(), **asked.validated_data)
        return Response(PinSerializer(pin).data)


class UnpinView(_AgentView):
    """Have selectors say again what it runs."""

    serializer_class = NoBody

    @extend_schema(operation_id="agents_unpin", parameters=[_INSTANCE_UID], request=None, responses={204: None})
    def post(self, request: Request, instance_uid: str) -> Response:
        """409 when the agent is not pinned."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        pinning.unpin_agent(self.agent(instance_uid), by=signed_in(request), at=clock.now())
        return Response(status=204)
