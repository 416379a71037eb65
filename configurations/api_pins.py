"""The REST endpoint to the pin of one agent, and the former forms that pin and unpin it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.api_of_agent import INSTANCE_UID, OfAgentView
from configurations.api_desired import PinSerializer
from configurations.pins_shown import pin_of
from configurations.services import pinning
from foundation.api_input import NoBody, StrictSerializer, Text, Whole
from foundation.clock import clock
from rollouts.reasons import LONGEST_REASON


class PinRequest(StrictSerializer):
    """To what, why and until when; without ``revision`` the agent follows the configuration."""

    configuration = Text(max_length=100)
    revision = Whole(min_value=1, max_value=2**31 - 1, required=False, allow_null=True, default=None)
    # Judged by `rollouts.reasons`, like what people type into forms.
    reason = Text(allow_blank=True, trim_whitespace=False, help_text=f"One line, at most {LONGEST_REASON} characters.")
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class _AgentView(OfAgentView):
    serializer_class: Any = PinRequest
    right = "change"
    further_rights: Sequence[str] = ("configurations.view_configuration",)


class PinView(_AgentView):
    """What one agent runs because somebody chose it."""

    @extend_schema(operation_id="agents_pin_retrieve", parameters=[INSTANCE_UID], responses=PinSerializer)
    def get(self, request: Request, instance_uid: str) -> Response:
        """Its pin; 404 when it is not pinned."""
        pin = pin_of(self.agent(instance_uid))
        if pin is None:
            raise NotFound
        return Response(PinSerializer(pin).data)

    @extend_schema(
        operation_id="agents_pin_update", parameters=[INSTANCE_UID], request=PinRequest, responses=PinSerializer
    )
    def put(self, request: Request, instance_uid: str) -> Response:
        """Have it run this, instead of a pin that there is. 409 for what is disabled or not released."""
        agent = self.agent(instance_uid)
        asked = PinRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        pin = pinning.pin_agent(agent.pk, by=signed_in(request), at=clock.now(), **asked.validated_data)
        return Response(PinSerializer(pin).data)

    @extend_schema(operation_id="agents_pin_destroy", parameters=[INSTANCE_UID], responses={204: None})
    def delete(self, request: Request, instance_uid: str) -> Response:
        """Selectors say again what it runs; 404 when it is not pinned."""
        agent = self.agent(instance_uid)
        if not pinning.unpin_agents([agent.pk], by=signed_in(request), at=clock.now()).asked:
            raise NotFound
        return Response(status=204)

    @extend_schema(
        operation_id="agents_pin",
        deprecated=True,
        parameters=[INSTANCE_UID],
        request=PinRequest,
        responses=PinSerializer,
    )
    def post(self, request: Request, instance_uid: str) -> Response:
        """The former form of PUT."""
        return self.put(request, instance_uid)


class UnpinView(_AgentView):
    """Have selectors say again what it runs."""

    serializer_class = NoBody

    @extend_schema(
        operation_id="agents_unpin", deprecated=True, parameters=[INSTANCE_UID], request=None, responses={204: None}
    )
    def post(self, request: Request, instance_uid: str) -> Response:
        """The former form of DELETE of the pin; 409 when the agent is not pinned."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        pinning.unpin_agent(self.agent(instance_uid), by=signed_in(request), at=clock.now())
        return Response(status=204)
