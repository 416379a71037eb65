"""The REST endpoints to freezes, and to the pause of one agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.api_of_agent import INSTANCE_UID, OfAgentView
from agents.filters import FactFilter
from agents.selectors import parse_selector
from foundation.api_input import Flag, NoBody, StrictSerializer, Text
from foundation.api_query import DeclaredQuery
from foundation.clock import clock
from rollouts.audiences import EVERYONE, Everyone, Matching
from rollouts.models import Freeze
from rollouts.reasons import LONGEST_REASON
from rollouts.services import freezing
from rollouts.services.replacing_pauses import replace_pause


class FreezeSerializer(serializers.ModelSerializer[Freeze]):
    """A freeze, or the pause of one agent, which has an ``instance_uid``."""

    match_all = serializers.SerializerMethodField()
    selector = serializers.SerializerMethodField()
    instance_uid = serializers.SerializerMethodField()
    started_by = serializers.CharField(source="started_by_name")
    ended_by = serializers.CharField(source="ended_by_name")
    active = serializers.BooleanField(source="is_active")

    class Meta:
        model = Freeze
        fields = [
            "id", "match_all", "selector", "instance_uid", "reason", "active", "started_by", "started_at", "expires_at",
            "ended_by", "ended_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_match_all(self, row: Freeze) -> bool:
        """Whether it holds the whole fleet."""
        return row.agent is None and row.parsed_audience() == EVERYONE

    @extend_schema_field({"type": "object", "nullable": True})
    def get_selector(self, row: Freeze) -> Any:
        """Whom it holds, ``null`` for one agent and for all."""
        return row.audience.get("selector")

    @extend_schema_field({"type": "string", "format": "uuid", "nullable": True})
    def get_instance_uid(self, row: Freeze) -> str | None:
        """The paused agent."""
        return None if row.agent is None else str(row.agent.instance_uid)


class PauseRequest(StrictSerializer):
    """Why and until when."""

    # Judged by `rollouts.reasons`, like what people type into forms.
    reason = Text(allow_blank=True, trim_whitespace=False, help_text=f"One line, at most {LONGEST_REASON} characters.")
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class NewFreeze(PauseRequest):
    """Whom to freeze: ``selector``, or ``match_all`` for the whole fleet."""

    selector = serializers.JSONField(required=False)
    match_all = Flag(default=False)

    def audience(self) -> Everyone | Matching:
        """Raises `InvalidSelector`, and `ValidationError` unless exactly one of the two is named."""
        values = self.validated_data
        if values["match_all"] == ("selector" in values):
            raise serializers.ValidationError({"selector": ["Send a selector, or match_all: true."]})
        if values["match_all"]:
            return EVERYONE
        selector = parse_selector(values["selector"])
        if not selector.requirements:
            raise serializers.ValidationError({"selector": ["It names no label; match_all: true freezes the fleet."]})
        return Matching(selector)


class FreezeFilter(django_filters.FilterSet):
    """By whether they are in force."""

    active = django_filters.ChoiceFilter(
        choices=[(value, value) for value in ("true", "false")], method="by_active", help_text="In force."
    )

    class Meta:
        model = Freeze
        fields: list[str] = []

    def by_active(self, queryset: QuerySet[Freeze], _name: str, value: str) -> QuerySet[Freeze]:
        """Those in force, or those that are over."""
        return queryset.filter(ended_at__isnull=bool(FactFilter.VALUES[value]))


class FreezeViewSet(DeclaredQuery, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """Freezes and pauses, the newest first."""

    queryset = Freeze.objects.all()
    serializer_class: type[serializers.BaseSerializer[Any]] = FreezeSerializer
    filterset_class: type[django_filters.FilterSet] | None = FreezeFilter
    lookup_value_regex = r"[0-9]{1,18}"
    # See `accounts.authentication.ModelPermissions`.
    right: str | None = None
    further_rights: Sequence[str] = ()

    def get_queryset(self) -> QuerySet[Freeze]:
        """What the caller may see."""
        return Freeze.objects.visible_to(self.request.user).select_related("agent").order_by("-pk")

    @extend_schema(request=NewFreeze, responses={201: FreezeSerializer})
    def create(self, request: Request) -> Response:
        """Offer nothing more to these agents until it ends; 409 when they are frozen already, which names the freeze."""
        asked = NewFreeze(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        row = freezing.start_freeze(
            asked.audience(),
            reason=values["reason"],
            by=signed_in(request),
            at=clock.now(),
            expires_at=values["expires_at"],
        )
        return Response(FreezeSerializer(row).data, status=201)

    @extend_schema(operation_id="freezes_end", request=None, responses=FreezeSerializer)
    @action(detail=True, methods=["post"], right="change", serializer_class=NoBody)
    def end(self, request: Request, pk: str) -> Response:
        """Go on: what waited is offered at once. 409 when it is over."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        return Response(FreezeSerializer(freezing.end_freeze(int(pk), by=signed_in(request), at=clock.now())).data)


class _AgentView(OfAgentView):
    serializer_class: Any = FreezeSerializer
    right = "change"


class PauseView(_AgentView):
    """That one agent is offered nothing."""

    serializer_class = PauseRequest

    @extend_schema(operation_id="agents_pause_retrieve", parameters=[INSTANCE_UID], responses=FreezeSerializer)
    def get(self, request: Request, instance_uid: str) -> Response:
        """Its pause; 404 when it is not paused."""
        row = Freeze.objects.active().filter(agent=self.agent(instance_uid)).select_related("agent").first()
        if row is None:
            raise NotFound
        return Response(FreezeSerializer(row).data)

    @extend_schema(
        operation_id="agents_pause_update", parameters=[INSTANCE_UID], request=PauseRequest, responses=FreezeSerializer
    )
    def put(self, request: Request, instance_uid: str) -> Response:
        """The agent keeps what it runs, for this reason and so long, instead of a pause that there is."""
        agent = self.agent(instance_uid)
        asked = PauseRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        row = replace_pause(agent, by=signed_in(request), at=clock.now(), **asked.validated_data)
        return Response(FreezeSerializer(row).data)

    @extend_schema(operation_id="agents_pause_destroy", parameters=[INSTANCE_UID], responses={204: None})
    def delete(self, request: Request, instance_uid: str) -> Response:
        """What waited is offered at once; 404 when it is not paused."""
        agent = self.agent(instance_uid)
        if not freezing.resume_agents([agent.pk], by=signed_in(request), at=clock.now()).asked:
            raise NotFound
        return Response(status=204)

    @extend_schema(
        operation_id="agents_pause",
        deprecated=True,
        parameters=[INSTANCE_UID],
        request=PauseRequest,
        responses=FreezeSerializer,
    )
    def post(self, request: Request, instance_uid: str) -> Response:
        """The former form of PUT; 409 when it is paused already."""
        agent = self.agent(instance_uid)
        asked = PauseRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        row = freezing.pause_agent(agent, by=signed_in(request), at=clock.now(), **asked.validated_data)
        return Response(FreezeSerializer(row).data)


class ResumeView(_AgentView):
    """Go on."""

    serializer_class = NoBody

    @extend_schema(
        operation_id="agents_resume", deprecated=True, parameters=[INSTANCE_UID], request=None, responses={204: None}
    )
    def post(self, request: Request, instance_uid: str) -> Response:
        """The former form of DELETE of the pause; 409 when the agent is not paused."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        freezing.resume_agent(self.agent(instance_uid), by=signed_in(request), at=clock.now())
        return Response(status=204)
