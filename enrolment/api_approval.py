"""The REST endpoints that approve and reject agents, one and many."""

from __future__ import annotations

from collections.abc import Callable
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
from agents.api_many import to_many
from agents.api_serializers import ChosenAgents, OutcomeSerializer
from agents.models import Agent
from agents.services.bulk_requests import BulkOutcome
from enrolment.services import approval
from foundation.api_input import NoBody
from foundation.api_query import DeclaredQuery
from foundation.clock import clock

_INSTANCE_UID = OpenApiParameter("instance_uid", OpenApiTypes.UUID, OpenApiParameter.PATH)


class DecidedSerializer(serializers.ModelSerializer[Agent]):
    """What was decided."""

    class Meta:
        model = Agent
        fields = ("instance_uid", "approval")
        read_only_fields = fields


class _DecideView(DeclaredQuery, GenericAPIView[Any]):
    """A view below one agent's URL."""

    queryset = Agent.objects.all()
    serializer_class = NoBody
    filter_backends = []
    pagination_class = None
    right = "change"

    def decide(self, request: Request, instance_uid: str, act: Callable[..., None]) -> Response:
        """Do it to the agent named in the URL."""
        try:
            uid = UUID(instance_uid)
        except ValueError:
            raise NotFound from None
        agents = Agent.objects.visible_to(request.user)
        agent = agents.get(instance_uid=uid)
        NoBody(data=request.data).is_valid(raise_exception=True)
        act(agent, by=signed_in(request), at=clock.now())
        return Response(DecidedSerializer(agents.get(pk=agent.pk)).data)


class ApproveView(_DecideView):
    """Let an agent take part."""

    @extend_schema(operation_id="agents_approve", parameters=[_INSTANCE_UID], request=None, responses=DecidedSerializer)
    def post(self, request: Request, instance_uid: str) -> Response:
        """What waits for the agent is offered at once. 409 when it is approved already."""
        return self.decide(request, instance_uid, approval.approve_agent)


class RejectView(_DecideView):
    """Refuse an agent that waits for approval."""

    @extend_schema(operation_id="agents_reject", parameters=[_INSTANCE_UID], request=None, responses=DecidedSerializer)
    def post(self, request: Request, instance_uid: str) -> Response:
        """It is disconnected and refused, whatever it shows, until it is approved. 409 when it does not wait."""
        return self.decide(request, instance_uid, approval.reject_agent)


class _DecideManyView(DeclaredQuery, GenericAPIView[Any]):
    """What is done to many agents at once."""

    queryset = Agent.objects.all()
    serializer_class = ChosenAgents
    filter_backends = []
    pagination_class = None
    right = "change"

    def decide(self, request: Request, act: Callable[..., BulkOutcome]) -> Response:
        """Do it to the agents that the body names."""
        by, at = signed_in(request), clock.now()
        return to_many(
            ChosenAgents(data=request.data, context={"request": request}),
            request.user,
            lambda keys: act(keys, by=by, at=at),
        )


class ApproveManyView(_DecideManyView):
    """Let many agents take part."""

    @extend_schema(operation_id="agents_approve_many", request=ChosenAgents, responses=OutcomeSerializer)
    def post(self, request: Request) -> Response:
        """As for one, at most 10,000; those that are approved already are skipped."""
        return self.decide(request, approval.approve_many)


class RejectManyView(_DecideManyView):
    """Refuse many agents that wait for approval."""

    @extend_schema(operation_id="agents_reject_many", request=ChosenAgents, responses=OutcomeSerializer)
    def post(self, request: Request) -> Response:
        """As for one, at most 10,000; those that do not wait are skipped."""
        return self.decide(request, approval.reject_many)
