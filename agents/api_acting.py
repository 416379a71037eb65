"""``POST /api/v1/agents:act``: an action on any number of agents, as a job."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.api_serializers import ChosenAgents
from agents.labels import InvalidLabels
from agents.models import Agent
from agents.services.acting import UnexpectedNumber, start_acting
from agents.services.actions import AgentAction, action_named, available_actions
from foundation.api_input import Text, Whole
from foundation.api_query import DeclaredQuery
from foundation.clock import clock
from foundation.languages import in_readers_language
from jobs.api import JobSerializer


class ActRequest(ChosenAgents):
    """Which agents, and what is done to them."""

    action = Text(
        max_length=60,
        help_text="restart, relabel, forget, revoke, allow_enrolment, approve, reject, pause, resume, unpin, offer_again.",
    )
    parameters = serializers.DictField(
        default=dict,
        help_text="relabel: `set` (labels) and `remove` (keys); pause: `reason` and `expires_at`; others none.",
    )
    expected = Whole(
        required=False,
        min_value=0,
        max_value=10_000_000,
        help_text="How many agents it should reach; 409 when it would be another number.",
    )


class ActView(DeclaredQuery, GenericAPIView[Any]):
    """Actions on many agents."""

    queryset = Agent.objects.all()
    serializer_class = ActRequest
    filter_backends = []
    pagination_class = None
    # Which right it needs beyond seeing them is known when the action is.
    right: str | None = "view"

    @extend_schema(
        operation_id="agents_act",
        request=ActRequest,
        responses={202: OpenApiResponse(JobSerializer, description="The job; `Location` is its address.")},
    )
    def post(self, request: Request) -> Response:
        """Start a job that does it to the agents that match now, however many; those it does not apply to are left out.

        Each agent is asked again when its turn comes, and has a result that says what became of it.
        """
        asked = ActRequest(data=request.data, context={"request": request})
        asked.is_valid(raise_exception=True)
        values, by = asked.validated_data, signed_in(request)
        action = _action(values["action"])
        if not by.has_perm(action.right):
            raise PermissionDenied
        try:
            parameters = action.read(values["parameters"], clock.now())
        except InvalidLabels as error:
            said = {key: [in_readers_language(text)] for key, text in error.errors}
            raise serializers.ValidationError({"parameters": said}) from error
        chosen = asked.chosen(Agent.objects.visible_to(by)).order_by()
        keys = list(action.reached(chosen).order_by("pk").values_list("pk", flat=True))
        if "expected" in values and values["expected"] != len(keys):
            raise UnexpectedNumber(len(keys))
        job = start_acting(action, keys, by=by, parameters=parameters)
        where = request.build_absolute_uri(reverse("job-detail", args=[job.pk]))
        return Response(JobSerializer(job).data, status=202, headers={"Location": where})


def _action(name: str) -> AgentAction:
    action = action_named(name)
    if action is None:
        known = ", ".join(action.name for action in available_actions())
        raise serializers.ValidationError(
            {"action": [_("There is no such action here; the actions are: %(known)s.") % {"known": known}]}
        )
    return action
