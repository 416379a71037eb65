"""The REST endpoint to connection settings, their versions, and moving agents."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.api_of_agent import INSTANCE_UID, OfAgentView
from agents.models import Agent
from agents.selectors import parse_selector
from connections.api_serializers import (
    AgentConnectionSerializer,
    EditSerializer,
    MoveProgressSerializer,
    MoveRequest,
    NewSettings,
    ReachSerializer,
    ReleasedSettings,
    ReleaseSettings,
    SavedSerializer,
    SettingsSerializer,
    SettingsVersionSerializer,
    WholeSettings,
    warnings_json,
)
from connections.content import warnings_of
from connections.models import RELEASE_SUBJECT, AgentConnection, ConnectionSettings
from connections.services import connection_releases, settings_edits, telling_again
from connections.services.moving import MoveState, agents_of, counted_moves, with_move
from connections.services.settings_edits import (
    judged_content,
    newest_version,
    readable_content,
    settings_called,
    version_numbered,
)
from connections.services.settings_reach import reach_of
from connections.settings_editions import settings_editions_named
from foundation.api_input import NoBody
from foundation.api_query import DeclaredQuery, one_of
from foundation.clock import clock
from foundation.etags import IF_MATCH, edition_etag
from rollouts.api_releasing import NUMBER, SEES_AGENTS, version_plan_of
from rollouts.api_serializers import RolloutSummary, active_rollouts

_STATUS = OpenApiParameter(
    "status", OpenApiTypes.STR, enum=AgentConnection.Status.values, description="Only agents that stand so."
)
_MOVES = [state.value for state in MoveState]
_MOVE = OpenApiParameter(
    "move", OpenApiTypes.STR, enum=_MOVES, description="Only agents that stand so to the place they are led to."
)
_DEFAULTS: dict[str, Any] = {
    "description": "", "selector": {}, "match_all": False, "priority": 0, "enabled": True, "rollout_policy": None,
}  # fmt: skip


class ConnectionSettingsFilter(django_filters.FilterSet):
    """By name."""

    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", help_text="A part of the name.")
    enabled = django_filters.BooleanFilter(help_text="Whether they count.")

    class Meta:
        model = ConnectionSettings
        fields: list[str] = []


class ConnectionSettingsViewSet(DeclaredQuery, viewsets.GenericViewSet[Any]):
    """Connection settings by name or id."""

    queryset = ConnectionSettings.objects.all()
    serializer_class: Any = SettingsSerializer
    filterset_class: type[django_filters.FilterSet] | None = ConnectionSettingsFilter
    lookup_field = "name"
    lookup_value_regex = r"[^/]+"
    # See `accounts.authentication.ModelPermissions`.
    right: str | None = None
    further_rights: Sequence[str] = ()

    def get_serializer_class(self) -> Any:
        """Of what the page's form holds."""
        asked = {"create": NewSettings, "update": WholeSettings, "partial_update": EditSerializer}
        return asked.get(self.action, self.serializer_class)

    def get_queryset(self) -> QuerySet[ConnectionSettings]:
        """What the caller may see."""
        return ConnectionSettings.objects.visible_to(self.request.user).order_by("name")

    def list(self, request: Request) -> Response:
        """By name."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(SettingsSerializer(page, many=True).data)

    @extend_schema(responses=SettingsSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        """One; its ETag changes with every edit. Secrets are hidden."""
        row = self.settings_named(name)
        return Response(SettingsSerializer(row).data, headers={"ETag": edition_etag(row)})

    @extend_schema(request=NewSettings, responses={201: SavedSerializer})
    def create(self, request: Request) -> Response:
        """Make settings and release their first version, at once or in stages."""
        values = _asked(NewSettings(data=request.data))
        plan, note = version_plan_of(values), values.pop("note", "")
        saved = settings_edits.create_settings(values, by=signed_in(request), at=clock.now(), note=note, plan=plan)
        return _saved(saved, status=201)

    @extend_schema(parameters=[IF_MATCH], request=WholeSettings, responses=SavedSerializer)
    def update(self, request: Request, name: str) -> Response:
        """Replace them. Another content is a new version, released at once or in stages."""
        return self._edit(request, name, {**_DEFAULTS, **_asked(WholeSettings(data=request.data))})

    @extend_schema(parameters=[IF_MATCH], request=EditSerializer, responses=SavedSerializer)
    def partial_update(self, request: Request, name: str) -> Response:
        """Change them; fields left out stay."""
        return self._edit(request, name, _asked(EditSerializer(data=request.data, partial=True)))

    def _edit(self, request: Request, name: str, values: dict[str, Any]) -> Response:
        row = self.settings_named(name)
        plan, note = version_plan_of(values), values.pop("note", "")
        by, at, editions = signed_in(request), clock.now(), settings_editions_named(request)
        return _saved(
            settings_edits.update_settings(row.pk, values, by=by, at=at, editions=editions, note=note, plan=plan)
        )

    def destroy(self, request: Request, name: str) -> Response:
        """Delete them with their versions. 409 while agents should have them."""
        settings_edits.delete_settings(self.settings_named(name), by=signed_in(request), at=clock.now())
        return Response(status=204)

    @extend_schema(
        operation_id="connection_settings_versions_list", responses=SettingsVersionSerializer(many=True), filters=False
    )
    @action(detail=True, lists=True, filterset_class=None, serializer_class=SettingsVersionSerializer)
    def versions(self, request: Request, name: str) -> Response:
        """All versions, the newest first."""
        page = self.paginate_queryset(self.settings_named(name).versions.order_by("-number"))
        return self.get_paginated_response(SettingsVersionSerializer(page, many=True).data)

    @extend_schema(
        operation_id="connection_settings_versions_retrieve", parameters=[NUMBER], responses=SettingsVersionSerializer
    )
    @action(
        detail=True,
        url_path=r"versions/(?P<number>[0-9]{1,9})",
        filterset_class=None,
        serializer_class=SettingsVersionSerializer,
    )
    def version(self, request: Request, name: str, number: str) -> Response:
        """One version."""
        return Response(SettingsVersionSerializer(version_numbered(self.settings_named(name), int(number))).data)

    @extend_schema(
        operation_id="connection_settings_versions_release",
        parameters=[NUMBER],
        request=ReleaseSettings,
        responses=ReleasedSettings,
    )
    @action(
        detail=True,
        methods=["post"],
        right="change",
        url_path=r"versions/(?P<number>[0-9]{1,9})/release",
        filterset_class=None,
        serializer_class=ReleaseSettings,
    )
    def release(self, request: Request, name: str, number: str) -> Response:
        """Make a version what agents should have, a former one too. 409 where there is nothing to release."""
        version = version_numbered(self.settings_named(name), int(number))
        plan = version_plan_of(_asked(ReleaseSettings(data=request.data)))
        rollout = connection_releases.publish_settings(version, by=signed_in(request), at=clock.now(), plan=plan)
        version.refresh_from_db()
        shown = SettingsVersionSerializer(version).data
        return Response({"version": shown, "rollout": RolloutSummary(rollout).data if rollout else None})

    @extend_schema(
        operation_id="connection_settings_agents_list",
        responses=AgentConnectionSerializer(many=True),
        parameters=[_STATUS, _MOVE],
        filters=False,
    )
    @action(
        detail=True,
        lists=True,
        filterset_class=None,
        further_rights=SEES_AGENTS,
        query=["status", "move"],
        serializer_class=AgentConnectionSerializer,
    )
    def agents(self, request: Request, name: str) -> Response:
        """The agents that should have them, and how far they are."""
        seen = Agent.objects.visible_to(request.user)
        rows = with_move(agents_of(self.settings_named(name)).filter(agent__in=seen.order_by().values("pk")))
        for parameter, known in (("status", AgentConnection.Status.values), ("move", _MOVES)):
            if wanted := one_of(request, parameter, known):
                rows = rows.filter(**{parameter: wanted})
        page = self.paginate_queryset(rows.select_related("agent", "version__settings").order_by("pk"))
        return self.get_paginated_response(AgentConnectionSerializer(page, many=True).data)

    @extend_schema(
        operation_id="connection_settings_preview", request=EditSerializer, responses=ReachSerializer, filters=False
    )
    @action(
        detail=True,
        methods=["post"],
        right="view",
        filterset_class=None,
        further_rights=SEES_AGENTS,
        serializer_class=ReachSerializer,
    )
    def preview(self, request: Request, name: str) -> Response:
        """Whom an edit would reach, and who of them could do nothing with it. Changes nothing."""
        values = _asked(EditSerializer(data=request.data, partial=True))
        row = self.settings_named(name)
        newest = newest_version(row)
        given = values.get("content")
        content = readable_content(newest) if given is None else judged_content(given, newest)
        for field in ("selector", "match_all", "priority", "enabled"):
            setattr(row, field, values.get(field, getattr(row, field)))
        reach = reach_of(row, parse_selector(row.selector, match_all=row.match_all), content)
        return Response({**_without_members(reach), "warnings": warnings_json(warnings_of(content, clock.now()))})

    @extend_schema(operation_id="connection_settings_move_retrieve", responses=MoveProgressSerializer, filters=False)
    @action(detail=True, filterset_class=None, further_rights=SEES_AGENTS, serializer_class=MoveProgressSerializer)
    def move(self, request: Request, name: str) -> Response:
        """How far the agents are with going where these settings lead."""
        row = self.settings_named(name)
        version = newest_version(row)
        rollout = active_rollouts(RELEASE_SUBJECT, [row.pk]).get(row.pk)
        return Response(
            {
                "version": version.number,
                "endpoint": version.shown.get("opamp", {}).get("endpoint", ""),
                "rollout": RolloutSummary(rollout).data if rollout else None,
                "counts": counted_moves(row),
            }
        )

    @extend_schema(
        operation_id="connection_settings_move", parameters=[IF_MATCH], request=MoveRequest, responses=SavedSerializer
    )
    @move.mapping.post
    def start_move(self, request: Request, name: str) -> Response:
        """Lead the agents elsewhere: a new version with another ``opamp``, all else as it is. 409 where they are led already."""
        values = _asked(MoveRequest(data=request.data))
        row = self.settings_named(name)
        return _saved(
            settings_edits.move_agents(
                row.pk,
                values.pop("opamp"),
                by=signed_in(request),
                at=clock.now(),
                editions=settings_editions_named(request),
                note=values.pop("note", ""),
                plan=version_plan_of(values),
            )
        )

    def settings_named(self, name: str) -> ConnectionSettings:
        """By name or id. Raises `ConnectionSettings.DoesNotExist`, which is answered as 404."""
        return settings_called(name, ConnectionSettings.objects.visible_to(self.request.user))


class _AgentView(OfAgentView):
    serializer_class = AgentConnectionSerializer
    further_rights = ("connections.view_connectionsettings",)

    def shown(self, agent: Agent) -> Response:
        """What the agent has. Raises `NotFound` for one that never had any."""
        rows = AgentConnection.objects.filter(agent=agent).select_related("agent", "version__settings")
        row = with_move(rows).first()
        if row is None:
            raise NotFound
        return Response(AgentConnectionSerializer(row).data)


class AgentConnectionView(_AgentView):
    """The connection settings that one agent should have."""

    @extend_schema(operation_id="agents_connection_settings", parameters=[INSTANCE_UID])
    def get(self, request: Request, instance_uid: str) -> Response:
        """Also how it answered; 404 for an agent that should never have had any."""
        return self.shown(self.agent(instance_uid))


class OfferAgainView(_AgentView):
    """Have an agent told its connection settings once more."""

    right = "change"

    @extend_schema(operation_id="agents_connection_settings_retry", parameters=[INSTANCE_UID], request=None)
    def post(self, request: Request, instance_uid: str) -> Response:
        """409 when it has them, or is about to be told."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        agent = self.agent(instance_uid)
        telling_again.tell_again(agent.pk, by=signed_in(request), at=clock.now())
        return self.shown(agent)


def _asked(serializer: Any) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _saved(saved: settings_edits.Saved, *, status: int = 200) -> Response:
    saved.settings.refresh_from_db()
    return Response(SavedSerializer(saved).data, status=status, headers={"ETag": edition_etag(saved.settings)})


def _without_members(reach: Any) -> dict[str, Any]:
    return {field.name: getattr(reach, field.name) for field in dataclasses.fields(reach) if field.name != "members"}
