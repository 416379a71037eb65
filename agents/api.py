"""The REST door to agents: reads through the shared filter, writes through the services."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast
from uuid import UUID

from django.db.models import Count
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field, inline_serializer
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.filters import AgentFilter
from agents.models import Agent, AgentCommand, AgentEvent, AgentQuerySet
from agents.reports import Facts, RemoteConfigStatuses, Status, capability_names, derived_status
from agents.services import commands, editing


class NamedConfiguration(serializers.Serializer[Any]):
    """What an agent should run."""

    name = serializers.CharField()
    revision = serializers.IntegerField()
    hash = serializers.CharField()


class ReportedOutcome(serializers.Serializer[Any]):
    """What an agent said of the last configuration it received."""

    status = serializers.ChoiceField(choices=[item.name.lower() for item in RemoteConfigStatuses])
    config_hash = serializers.CharField()
    error_message = serializers.CharField()


class AgentSerializer(serializers.ModelSerializer[Agent]):
    """One agent as lists show it."""

    status = serializers.ChoiceField(choices=[item.value for item in Status], read_only=True)
    capabilities = serializers.SerializerMethodField()
    identifying_attributes = serializers.DictField(source="reported.identifying_attributes", read_only=True)
    non_identifying_attributes = serializers.DictField(source="reported.non_identifying_attributes", read_only=True)
    labels = serializers.DictField(child=serializers.CharField(), read_only=True)
    operator_labels = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False)
    health = serializers.DictField(source="reported.health", read_only=True, allow_null=True)
    configuration = serializers.SerializerMethodField()
    remote_config_status = serializers.SerializerMethodField()
    sequence_num = serializers.IntegerField(source="presence.sequence_num", read_only=True)
    last_seen_at = serializers.DateTimeField(source="presence.last_seen_at", read_only=True)
    name = serializers.CharField(max_length=255, required=False, allow_blank=True)

    class Meta:
        model = Agent
        fields = [
            "instance_uid", "name", "notes", "service_name", "version", "hostname", "os_type", "architecture", "status",
            "connected", "healthy", "in_sync", "transport", "remote_address", "labels", "operator_labels",
            "identifying_attributes", "non_identifying_attributes", "capabilities", "health", "configuration",
            "remote_config_status", "sequence_num", "first_seen_at", "connected_at", "last_seen_at",
        ]  # fmt: skip
        read_only_fields = [name for name in fields if name not in {"name", "notes", "operator_labels"}]

    def get_capabilities(self, agent: Agent) -> list[str]:
        """Names as in the specification."""
        return capability_names(agent.capabilities)

    @extend_schema_field(NamedConfiguration(allow_null=True))
    def get_configuration(self, agent: Agent) -> dict[str, Any] | None:
        """``None`` when nothing is desired."""
        if not agent.configuration_hash:
            return None
        return {
            "name": agent.configuration_name,
            "revision": agent.configuration_revision,
            "hash": agent.configuration_hash,
        }

    @extend_schema_field(ReportedOutcome)
    def get_remote_config_status(self, agent: Agent) -> dict[str, Any]:
        """As reported, whatever is desired now."""
        return {
            "status": RemoteConfigStatuses(agent.remote_config_status).name.lower(),
            "config_hash": agent.remote_config_hash,
            "error_message": agent.remote_config_error,
        }


class AgentDetailSerializer(AgentSerializer):
    """One agent with what is too large for lists."""

    effective_config = serializers.SerializerMethodField()

    class Meta(AgentSerializer.Meta):
        fields = [*AgentSerializer.Meta.fields, "effective_config"]

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_effective_config(self, agent: Agent) -> Any:
        """Files by config key, as reported."""
        document = agent.reported.effective_config
        return None if document is None else document.content


class EventSerializer(serializers.ModelSerializer[AgentEvent]):
    """One line of the timeline."""

    text = serializers.CharField(source="get_kind_display", read_only=True)

    class Meta:
        model = AgentEvent
        fields = ["at", "kind", "text", "data"]


class CommandSerializer(serializers.ModelSerializer[AgentCommand]):
    """One command and what was seen of it."""

    class Meta:
        model = AgentCommand
        fields = ["id", "kind", "outcome", "requested_at", "sent_at", "outcome_at"]


class AgentViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[Any]
):
    """Agents of the fleet."""

    queryset = Agent.objects.all()
    serializer_class = AgentSerializer
    filterset_class = AgentFilter
    lookup_field = "instance_uid"
    lookup_value_regex = r"[^/]+"

    def get_queryset(self) -> AgentQuerySet:
        """What the caller may see, with all that a page needs in one query."""
        visible = Agent.objects.visible_to(self.request.user).select_related("reported", "presence")
        return visible.select_related("reported__effective_config") if self.detail else visible

    def get_serializer_class(self) -> type[AgentSerializer]:
        """Detail has the effective configuration."""
        return AgentDetailSerializer if self.detail else AgentSerializer

    def get_object(self) -> Agent:
        """The agent named in the URL; anything that is no UUID names none."""
        try:
            self.kwargs["instance_uid"] = UUID(str(self.kwargs["instance_uid"]))
        except ValueError:
            raise NotFound from None
        return cast("Agent", super().get_object())

    def partial_update(self, request: Request, **_kwargs: str) -> Response:
        """Change what operators say: ``name``, ``notes``, ``operator_labels``."""
        agent = self.get_object()
        changes = self.get_serializer(agent, data=request.data, partial=True)
        changes.is_valid(raise_exception=True)
        values = changes.validated_data
        editing.edit_agent(
            agent.pk,
            by=signed_in(request),
            at=timezone.now(),
            custom_name=values.get("name"),
            notes=values.get("notes"),
            operator_labels=values.get("operator_labels"),
        )
        return Response(self.get_serializer(self.get_object()).data)

    def perform_destroy(self, instance: Agent) -> None:
        """Forget the agent with its history."""
        editing.forget_agents([instance.pk], by=signed_in(self.request))

    @extend_schema(responses=EventSerializer(many=True), filters=False)
    @action(detail=True, filterset_class=None)
    def timeline(self, request: Request, **_kwargs: str) -> Response:
        """What happened to the agent, newest first."""
        page = self.paginate_queryset(self.get_object().events.all())
        return self.get_paginated_response(EventSerializer(page, many=True).data)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True, url_path="effective-config")
    def effective_config(self, request: Request, **_kwargs: str) -> Response:
        """What the agent says it runs, by config key."""
        document = self.get_object().reported.effective_config
        return Response({} if document is None else document.content)

    @extend_schema(request=None, responses={202: CommandSerializer})
    @action(detail=True, methods=["post"])
    def restart(self, request: Request, **_kwargs: str) -> Response:
        """Ask the agent to restart; 409 when it does not accept that."""
        command = commands.request_restart(self.get_object(), by=signed_in(request), at=timezone.now())
        return Response(CommandSerializer(command).data, status=202)

    @extend_schema(
        filters=False,
        responses=inline_serializer(
            "AgentSummary",
            {
                "total": serializers.IntegerField(),
                "status": serializers.DictField(child=serializers.IntegerField()),
                "version": serializers.DictField(child=serializers.IntegerField()),
                "os_type": serializers.DictField(child=serializers.IntegerField()),
            },
        ),
    )
    @action(detail=False, pagination_class=None, filterset_class=None)
    def summary(self, request: Request) -> Response:
        """Counts by status, version and OS over all agents."""
        agents = Agent.objects.visible_to(request.user).order_by()
        by_status: Counter[str] = Counter({item.value: 0 for item in Status})
        facts = agents.values_list("connected", "healthy", "in_sync", "config_failed").annotate(number=Count("pk"))
        for connected, healthy, in_sync, config_failed, number in facts:
            status = derived_status(
                Facts(connected=connected, healthy=healthy, in_sync=in_sync, config_failed=config_failed)
            )
            by_status[status.value] += number
        return Response(
            {
                "total": sum(by_status.values()),
                "status": dict(by_status),
                "version": dict(agents.values_list("version").annotate(number=Count("pk"))),
                "os_type": dict(agents.values_list("os_type").annotate(number=Count("pk"))),
            }
        )
