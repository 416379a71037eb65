"""The REST endpoint to rollouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django_filters import FilterSet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from foundation.api_input import NoBody, StrictSerializer, Text
from foundation.api_query import DeclaredQuery
from foundation.clock import clock
from foundation.messages import Message
from rollouts.api_serializers import MemberSerializer, RolloutDetail, RolloutSerializer, StepSerializer
from rollouts.filters import RolloutFilter
from rollouts.models import Rollout
from rollouts.progress import members_page, progress_of, staged_members
from rollouts.services import rolling_out
from rollouts.subjects import COUNTS, MemberState

SEES_AGENTS = ("agents.view_agent",)
_MOST_MEMBERS = 200
_DEEPEST = 100_000
# The five counts of a stage, and states that say more.
_MEMBER_STATES = [*COUNTS, *(item.value for item in MemberState if item.value not in COUNTS)]
MEMBER_PARAMETERS = [
    OpenApiParameter("stage", {"type": "integer", "minimum": 1}, description="Only agents of this stage, from 1."),
    OpenApiParameter(
        "state",
        {"type": "array", "items": {"type": "string", "enum": _MEMBER_STATES}},
        description="Any of these states or counts: given several times, or with commas.",
    ),
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": _MOST_MEMBERS, "default": 50}),
    OpenApiParameter("offset", {"type": "integer", "minimum": 0, "maximum": _DEEPEST, "default": 0}),
]


class ReasonRequest(StrictSerializer):
    """Why, in a line."""

    reason = Text(max_length=500, required=False, allow_blank=True)


@dataclass(frozen=True, slots=True)
class MemberQuery:
    """Which agents of a rollout are asked for."""

    stage: int | None
    states: frozenset[str]
    limit: int
    offset: int


class MemberQuerySerializer(serializers.Serializer[Any]):
    """The parameters of a list of a rollout's agents."""

    stage = serializers.IntegerField(min_value=1, max_value=100, required=False)
    limit = serializers.IntegerField(min_value=1, max_value=_MOST_MEMBERS, default=50)
    offset = serializers.IntegerField(min_value=0, max_value=_DEEPEST, default=0)
    state = serializers.ListField(child=serializers.ChoiceField(_MEMBER_STATES), default=list, max_length=20)

    @classmethod
    def asked(cls, request: Request) -> MemberQuery:
        """Raises `ValidationError`."""
        given: dict[str, Any] = {name: request.query_params[name] for name in request.query_params if name != "state"}
        texts = request.query_params.getlist("state")
        given["state"] = [part.strip() for text in texts for part in text.split(",") if part.strip()]
        query = cls(data=given)
        query.is_valid(raise_exception=True)
        values = query.validated_data
        return MemberQuery(values.get("stage"), frozenset(values["state"]), values["limit"], values["offset"])


class MembersPage(serializers.Serializer[Any]):
    """Some agents of a rollout, by stage, failures first, then by name."""

    count = serializers.IntegerField()
    results = MemberSerializer(many=True)


class RolloutViewSet(DeclaredQuery, mixins.ListModelMixin, viewsets.GenericViewSet[Any]):
    """Rollouts of every kind, the newest first."""

    queryset = Rollout.objects.all()
    serializer_class = RolloutSerializer
    filterset_class: type[FilterSet] | None = RolloutFilter
    lookup_value_regex = r"[0-9]{1,18}"
    # See `accounts.authentication.ModelPermissions`.
    right: str | None = None
    further_rights: Sequence[str] = ()

    def get_queryset(self) -> QuerySet[Rollout]:
        """What the caller may see."""
        return Rollout.objects.visible_to(self.request.user).order_by("-pk")

    @extend_schema(responses=RolloutDetail)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One rollout, its stages counted."""
        return self._shown(self._rollout(pk))

    @extend_schema(operation_id="rollouts_steps_list", responses=StepSerializer(many=True), filters=False)
    @action(detail=True, lists=True, filterset_class=None)
    def steps(self, request: Request, pk: str) -> Response:
        """Every transition, the oldest first."""
        page = self.paginate_queryset(self._rollout(pk).steps.order_by("pk"))
        return self.get_paginated_response(StepSerializer(page, many=True).data)

    @extend_schema(
        operation_id="rollouts_agents_list", responses=MembersPage, parameters=MEMBER_PARAMETERS, filters=False
    )
    @action(
        detail=True,
        filterset_class=None,
        pagination_class=None,
        further_rights=SEES_AGENTS,
        query=[parameter.name for parameter in MEMBER_PARAMETERS],
    )
    def agents(self, request: Request, pk: str) -> Response:
        """The agents that it concerns, each with its stage and how it stands."""
        asked = MemberQuerySerializer.asked(request)
        count, members = members_page(
            staged_members(self._rollout(pk), clock.now()),
            stage=asked.stage,
            states=asked.states,
            offset=asked.offset,
            limit=asked.limit,
        )
        return Response({"count": count, "results": [MemberSerializer().to_representation(each) for each in members]})

    @extend_schema(operation_id="rollouts_approve", request=None, responses=RolloutDetail)
    @action(detail=True, methods=["post"], right="approve", serializer_class=NoBody)
    def approve(self, request: Request, pk: str) -> Response:
        """Let a rollout begin that somebody else has started."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        return self._acted(request, pk, rolling_out.approve)

    @extend_schema(operation_id="rollouts_start", request=ReasonRequest, responses=RolloutDetail)
    @action(detail=True, methods=["post"], right="change", serializer_class=ReasonRequest)
    def start(self, request: Request, pk: str) -> Response:
        """Go on with a scheduled rollout before its window opens; 409 for any other, at a gate that is not passed, in a freeze."""
        reasons = self._reasons(request)
        return self._acted(request, pk, lambda *args, **named: rolling_out.begin_now(*args, reasons=reasons, **named))

    @extend_schema(operation_id="rollouts_pause", request=ReasonRequest, responses=RolloutDetail)
    @action(detail=True, methods=["post"], right="change", serializer_class=ReasonRequest)
    def pause(self, request: Request, pk: str) -> Response:
        """Stay at the present stage."""
        reasons = self._reasons(request)
        return self._acted(request, pk, lambda *args, **named: rolling_out.pause(*args, reasons=reasons, **named))

    @extend_schema(operation_id="rollouts_resume", request=None, responses=RolloutDetail)
    @action(detail=True, methods=["post"], right="change", serializer_class=NoBody)
    def resume(self, request: Request, pk: str) -> Response:
        """Go on after a pause."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        return self._acted(request, pk, rolling_out.resume)

    @extend_schema(operation_id="rollouts_abort", request=None, responses=RolloutDetail)
    @action(detail=True, methods=["post"], right="change", serializer_class=NoBody)
    def abort(self, request: Request, pk: str) -> Response:
        """End it where it is: who has got it keeps it."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        return self._acted(request, pk, rolling_out.abort)

    @extend_schema(operation_id="rollouts_roll_back", request=ReasonRequest, responses=RolloutDetail)
    @action(detail=True, methods=["post"], right="change", url_path="roll-back", serializer_class=ReasonRequest)
    def roll_back(self, request: Request, pk: str) -> Response:
        """Give each agent what it had before."""
        return self._rolled_back(request, pk)

    @extend_schema(
        operation_id="rollouts_roll_back_former", deprecated=True, request=ReasonRequest, responses=RolloutDetail
    )
    @action(detail=True, methods=["post"], right="change", url_path="roll_back", serializer_class=ReasonRequest)
    def roll_back_former(self, request: Request, pk: str) -> Response:
        """The former form of ``roll-back``."""
        return self._rolled_back(request, pk)

    # --- Shared ------------------------------------------------------------------------------------------------

    def _rollout(self, pk: str) -> Rollout:
        """Raises `Rollout.DoesNotExist`, which is answered as 404."""
        return self.get_queryset().get(pk=int(pk))

    def _rolled_back(self, request: Request, pk: str) -> Response:
        reasons = self._reasons(request)
        return self._acted(
            request, pk, lambda *args, **named: rolling_out.roll_back_rollout(*args, reasons=reasons, **named)
        )

    def _reasons(self, request: Request) -> list[Message]:
        asked = ReasonRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data.get("reason", "")
        return [Message("rollout-reason", "Reason given: {reason}", reason=said)] if said else []

    def _acted(self, request: Request, pk: str, act: Callable[..., Rollout]) -> Response:
        act(self._rollout(pk).pk, by=signed_in(request), at=clock.now())
        return self._shown(self._rollout(pk))

    def _shown(self, rollout: Rollout) -> Response:
        return Response(rollout_shown(rollout))


def rollout_shown(rollout: Rollout) -> dict[str, Any]:
    """With its stages counted."""
    progress = RolloutDetail().fields["progress"].to_representation(progress_of(rollout, clock.now()))
    return {**RolloutSerializer(rollout).data, "progress": progress}
