"""The REST endpoint to agents: reads through the shared filter, writes through the services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.db.models import Count, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.api_secrets import SECRETS, SecretsOnDemand
from agents.api_serializers import (
    AgentDetailSerializer,
    AgentEdit,
    AgentSerializer,
    ChosenAgents,
    CommandSerializer,
    ComponentsSerializer,
    ConnectionSerializer,
    CredentialSerializer,
    CustomMessageRequest,
    EventSerializer,
    LabelPreviewSerializer,
    LabelsRequest,
    NewUidSerializer,
    OutcomeSerializer,
    SummarySerializer,
)
from agents.filters import AgentFilter
from agents.labels import InvalidLabels, validate_labels
from agents.models import Agent, AgentQuerySet
from agents.query_conditions import agents_matching
from agents.services import commands, credentials, editing
from agents.services.bulk_requests import MOST, BulkOutcome
from agents.services.identity import assign_instance_uid
from agents.services.label_previews import preview_labels, set_and_remove
from agents.shown import MOST_SHOWN, files_shown, tree_shown
from foundation.api_input import NoBody
from foundation.clock import clock
from foundation.languages import in_readers_language
from foundation.messages import Message

QUERY = OpenApiParameter("q", OpenApiTypes.STR, description="A query, as the list takes it; all agents without one.")
INSTANCE_UID = OpenApiParameter("instance_uid", OpenApiTypes.UUID, OpenApiParameter.PATH)


@extend_schema_view(
    list=extend_schema(operation_id="agents_list"),
    retrieve=extend_schema(parameters=[INSTANCE_UID, SECRETS]),
    destroy=extend_schema(parameters=[INSTANCE_UID]),
)
class AgentViewSet(
    SecretsOnDemand,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[Any],
):
    """Agents of the fleet."""

    queryset = Agent.objects.all()
    serializer_class = AgentSerializer
    filterset_class = AgentFilter
    lookup_field = "instance_uid"
    lookup_value_regex = r"[^/]+"
    # What a POST below an agent needs; see `accounts.authentication.ModelPermissions`.
    right: str | None = None
    reveals = frozenset({"retrieve", "timeline", "effective_config", "components", "packages"})

    def get_queryset(self) -> AgentQuerySet:
        """What the caller may see, with all that a page needs in one query."""
        visible = Agent.objects.visible_to(self.request.user).select_related("reported", "presence")
        return visible.select_related("reported__effective_config") if self.detail else visible

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        """Detail has the effective configuration; an edit takes only what operators say; actions may name their own."""
        if self.serializer_class is not AgentSerializer:
            return self.serializer_class
        if self.action == "partial_update":
            return AgentEdit
        return AgentDetailSerializer if self.detail else AgentSerializer

    def get_object(self) -> Agent:
        """The agent named in the URL; anything that is no UUID names none."""
        try:
            self.kwargs["instance_uid"] = UUID(str(self.kwargs["instance_uid"]))
        except ValueError:
            raise NotFound from None
        return cast("Agent", super().get_object())

    def get_serializer_context(self) -> dict[str, Any]:
        """With whether secrets are shown."""
        return {**super().get_serializer_context(), "secrets_shown": self.secrets_shown}

    def retrieve(self, request: Request, *_args: Any, **_kwargs: str) -> Response:
        """One agent, with its effective configuration."""
        agent = self.get_object()
        self.reveal_if_asked(agent, "agent")
        return Response(self.get_serializer(agent).data)

    @extend_schema(parameters=[INSTANCE_UID], request=AgentEdit, responses=AgentDetailSerializer)
    def partial_update(self, request: Request, **_kwargs: str) -> Response:
        """Change what operators say: ``name``, ``notes``, ``operator_labels``."""
        agent = self.get_object()
        changes = AgentEdit(data=request.data, partial=True)
        changes.is_valid(raise_exception=True)
        values = changes.validated_data
        editing.edit_agent(
            agent.pk,
            by=signed_in(request),
            at=clock.now(),
            custom_name=values.get("name"),
            notes=values.get("notes"),
            operator_labels=values.get("operator_labels"),
        )
        return Response(AgentDetailSerializer(self.get_object()).data)

    def perform_destroy(self, instance: Agent) -> None:
        """Forget the agent with its history; one that still talks registers itself anew. 409 for one that is shut out."""
        editing.forget_agent(instance.pk, by=signed_in(self.request))

    # --- Below one agent -------------------------------------------------------------------------------------------

    @extend_schema(
        operation_id="agents_timeline_list",
        parameters=[INSTANCE_UID, SECRETS],
        responses=EventSerializer(many=True),
        filters=False,
    )
    @action(detail=True, lists=True, filterset_class=None)
    def timeline(self, request: Request, **_kwargs: str) -> Response:
        """What happened to the agent, newest first."""
        agent = self.get_object()
        self.reveal_if_asked(agent, "timeline")
        return self._page(agent.events.all(), EventSerializer)

    @extend_schema(
        operation_id="agents_connections_list",
        parameters=[INSTANCE_UID],
        responses=ConnectionSerializer(many=True),
        filters=False,
    )
    @action(detail=True, lists=True, filterset_class=None)
    def connections(self, request: Request, **_kwargs: str) -> Response:
        """Each stay of the agent, newest first."""
        return self._page(self.get_object().connections.all(), ConnectionSerializer)

    @extend_schema(
        operation_id="agents_commands_list",
        parameters=[INSTANCE_UID],
        responses=CommandSerializer(many=True),
        filters=False,
    )
    @action(detail=True, lists=True, filterset_class=None)
    def commands(self, request: Request, **_kwargs: str) -> Response:
        """What the agent was asked, newest first, and what was seen of it."""
        return self._page(self.get_object().commands.select_related("requested_by").order_by("-id"), CommandSerializer)

    @extend_schema(parameters=[INSTANCE_UID, SECRETS], responses=OpenApiTypes.OBJECT)
    @action(detail=True, url_path="effective-config")
    def effective_config(self, request: Request, **_kwargs: str) -> Response:
        """What the agent says it runs, by config key. Secrets are hidden unless asked for (S-116).

        Of more than 512 KiB the beginning is shown: such a file has `cut`, and its whole `size` in bytes. With secrets
        shown everything is.
        """
        agent = self.get_object()
        document = agent.reported.effective_config
        files = {} if document is None else document.content
        shown = self.reveal_if_asked(agent, "effective configuration")
        return Response(files if shown else files_shown(files, most=MOST_SHOWN))

    @extend_schema(parameters=[INSTANCE_UID, SECRETS], responses=ComponentsSerializer)
    @action(detail=True)
    def components(self, request: Request, **_kwargs: str) -> Response:
        """Which components the agent says it has."""
        agent = self.get_object()
        self.reveal_if_asked(agent, "components")
        return Response(ComponentsSerializer(agent.reported, context=self.get_serializer_context()).data)

    @extend_schema(parameters=[INSTANCE_UID, SECRETS], responses=OpenApiTypes.OBJECT)
    @action(detail=True)
    def packages(self, request: Request, **_kwargs: str) -> Response:
        """Package statuses as reported."""
        agent = self.get_object()
        statuses = agent.reported.package_statuses or {}
        return Response(statuses if self.reveal_if_asked(agent, "packages") else tree_shown(statuses))

    @extend_schema(
        operation_id="agents_restart", parameters=[INSTANCE_UID], request=None, responses={202: CommandSerializer}
    )
    @action(detail=True, methods=["post"], right="change")
    def restart(self, request: Request, **_kwargs: str) -> Response:
        """Ask the agent to restart; 409 when it does not accept that."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        command = commands.request_restart(self.get_object(), by=signed_in(request), at=clock.now())
        return Response(CommandSerializer(command).data, status=202)

    @extend_schema(
        operation_id="agents_custom_message",
        parameters=[INSTANCE_UID],
        request=CustomMessageRequest,
        responses={202: CommandSerializer},
    )
    @action(
        detail=True, methods=["post"], url_path="custom-message", right="change", serializer_class=CustomMessageRequest
    )
    def custom_message(self, request: Request, **_kwargs: str) -> Response:
        """Send a custom message; 409 when the agent does not list the capability."""
        agent = self.get_object()
        wanted = CustomMessageRequest(data=request.data)
        wanted.is_valid(raise_exception=True)
        values = wanted.validated_data
        command = commands.send_custom_message(
            agent,
            capability=values["capability"],
            message_type=values["type"],
            data=values["bytes"],
            by=signed_in(request),
            at=clock.now(),
        )
        return Response(CommandSerializer(command).data, status=202)

    @extend_schema(
        operation_id="agents_new_instance_uid",
        parameters=[INSTANCE_UID],
        request=None,
        responses={202: NewUidSerializer},
    )
    @action(detail=True, methods=["post"], url_path="new-instance-uid", right="change")
    def new_instance_uid(self, request: Request, **_kwargs: str) -> Response:
        """Have the agent take a new uid (S-30): its history moves there with its first message under it."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        uid = assign_instance_uid(self.get_object(), by=signed_in(request), at=clock.now())
        return Response(NewUidSerializer({"new_instance_uid": uid}).data, status=202)

    @extend_schema(
        operation_id="agents_revoke_credential",
        parameters=[INSTANCE_UID],
        request=None,
        responses=CredentialSerializer,
    )
    @action(detail=True, methods=["post"], url_path="revoke-credential", right="change")
    def revoke_credential(self, request: Request, **_kwargs: str) -> Response:
        """Shut the agent out, whatever it shows, until its enrolment is allowed; its connection is closed at once."""
        return self._change_credential(request, credentials.revoke_credentials)

    @extend_schema(
        operation_id="agents_allow_enrolment",
        parameters=[INSTANCE_UID],
        request=None,
        responses=CredentialSerializer,
    )
    @action(detail=True, methods=["post"], url_path="allow-enrolment", right="change")
    def allow_enrolment(self, request: Request, **_kwargs: str) -> Response:
        """Let the agent in with the shared secret once more, to be given a new credential; a revoked one stays refused."""
        return self._change_credential(request, credentials.allow_enrolment)

    # --- Over many agents ------------------------------------------------------------------------------------------

    @extend_schema(
        operation_id="agents_summary_retrieve", filters=False, parameters=[QUERY], responses=SummarySerializer
    )
    @action(detail=False, pagination_class=None, filterset_class=None, query=("q",))
    def summary(self, request: Request) -> Response:
        """Counts by status, version and OS over all agents, or over those that a query finds."""
        agents = agents_matching(request.query_params.get("q", "").strip(), request.user).order_by()
        by_status = agents.count_by_status()
        return Response(
            {
                "total": by_status.total(),
                "drifted": agents.drifted().count(),
                "pending": agents.awaiting_approval().count(),
                "status": {status.value: number for status, number in by_status.items()},
                "version": dict(agents.values_list("version").annotate(number=Count("*"))),
                "os_type": dict(agents.values_list("os_type").annotate(number=Count("*"))),
            }
        )

    @extend_schema(operation_id="agents_restart_many", filters=False, request=ChosenAgents, responses=OutcomeSerializer)
    @action(
        detail=False,
        methods=["post"],
        url_path="restart",
        right="change",
        filterset_class=None,
        serializer_class=ChosenAgents,
    )
    def restart_many(self, request: Request) -> Response:
        """Ask many agents to restart, at most 10,000; those that do not accept that are skipped."""
        by, at = signed_in(request), clock.now()
        return self._to_many(
            ChosenAgents(data=request.data, context={"request": request}),
            lambda keys: commands.request_restarts(keys, by=by, at=at),
        )

    @extend_schema(operation_id="agents_labels_many", filters=False, request=LabelsRequest, responses=OutcomeSerializer)
    @action(
        detail=False,
        methods=["post"],
        url_path="labels",
        right="change",
        filterset_class=None,
        serializer_class=LabelsRequest,
    )
    def label_many(self, request: Request) -> Response:
        """Set and remove operator labels of many agents, at most 10,000; those that have them so already are skipped."""
        by, at = signed_in(request), clock.now()
        wanted = LabelsRequest(data=request.data, context={"request": request})

        def edit(keys: list[int]) -> BulkOutcome:
            values = wanted.validated_data
            return editing.edit_labels(
                keys, assign=values.get("set", {}), remove=set(values.get("remove", ())), by=by, at=at
            )

        try:
            return self._to_many(wanted, edit)
        except InvalidLabels as error:
            raise _labels_refused(error) from error

    @extend_schema(
        operation_id="agents_labels_preview", filters=False, request=LabelsRequest, responses=LabelPreviewSerializer
    )
    @action(
        detail=False,
        methods=["post"],
        url_path="labels/preview",
        right="change",
        filterset_class=None,
        serializer_class=LabelsRequest,
    )
    def preview_label_many(self, request: Request) -> Response:
        """What setting and removing operator labels of many agents would do to their configurations; nothing is saved."""
        wanted = LabelsRequest(data=request.data, context={"request": request})
        keys = list(self._chosen(wanted))
        values = wanted.validated_data
        try:
            validate_labels(values.get("set", {}))
        except InvalidLabels as error:
            raise _labels_refused(error) from error
        change = set_and_remove(values.get("set", {}), set(values.get("remove", ())))
        found = preview_labels(Agent.objects.filter(pk__in=keys), change)
        return Response(LabelPreviewSerializer(found).data)

    # --- Shared ----------------------------------------------------------------------------------------------------

    def _page(self, rows: QuerySet[Any], kind: type[serializers.BaseSerializer[Any]]) -> Response:
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(kind(page, many=True, context=self.get_serializer_context()).data)

    def _change_credential(self, request: Request, change: Callable[..., int]) -> Response:
        NoBody(data=request.data).is_valid(raise_exception=True)
        change([self.get_object().pk], by=signed_in(request), at=clock.now())
        return Response(CredentialSerializer(self.get_object()).data)

    def _chosen(self, wanted: ChosenAgents) -> dict[int, UUID]:
        """The chosen agents' keys and uids. Raises `ValidationError` when they are more than one request may touch."""
        wanted.is_valid(raise_exception=True)
        found = wanted.chosen(Agent.objects.visible_to(self.request.user)).order_by()
        keys = dict(found.values_list("pk", "instance_uid")[: MOST + 1])
        if len(keys) > MOST:
            most = {"most": f"{MOST:,}"}
            raise serializers.ValidationError(
                {"filter": [_("More than %(most)s agents match: narrow the filter and send several requests.") % most]}
            )
        return keys

    def _to_many(self, wanted: ChosenAgents, act: Callable[[list[int]], BulkOutcome]) -> Response:
        """Do it to the chosen agents."""
        keys = self._chosen(wanted)
        outcome = act(list(keys))
        for uid in set(wanted.validated_data.get("instance_uids", ())) - set(keys.values()):
            outcome.skip(uid, Message("no-such-agent", "There is no such agent."))
        return Response(OutcomeSerializer(outcome).data)


def _labels_refused(error: InvalidLabels) -> serializers.ValidationError:
    """The messages by label."""
    return serializers.ValidationError({"set": {key: [in_readers_language(text)] for key, text in error.errors}})
