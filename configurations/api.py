"""The REST endpoint to configurations, and to what each agent should run and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import FilterSet
from django_filters.utils import translate_validation
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.api_secrets import SECRETS, SecretsOnDemand
from agents.filters import FactFilter
from agents.models import Agent
from configurations.api_desired import AssignmentSerializer, DesiredSerializer
from configurations.api_force import FORCE, FORCING_ACTIONS, forced
from configurations.api_preconditions import IF_MATCH, IF_NONE_MATCH, Preconditions, etag_of
from configurations.api_serializers import (
    ConfigurationEdit,
    ConfigurationSerializer,
    NewConfiguration,
    PreviewSerializer,
    RevisionSerializer,
    RevisionSummary,
    RollbackRequest,
    drafted,
    findings_json,
    plan_of,
)
from configurations.checks import Finding
from configurations.filters import AssignedAgentFilter, ConfigurationFilter
from configurations.models import RELEASE_SUBJECT, Assignment, Configuration, agents_running
from configurations.previewing import preview, targeting_findings
from configurations.services import publishing, retrying
from configurations.services.drafts import Draft, blank_over, draft_of
from configurations.services.edit_errors import NameTaken, StaleEdition, StaleRevision, UnknownRevision
from configurations.services.publishing import BasedOn
from foundation.api_input import NoBody
from foundation.api_query import DeclaredQuery
from foundation.clock import clock
from rollouts.api_serializers import active_rollouts

T = TypeVar("T")

SEES_AGENTS = ("agents.view_agent",)
ASSIGNED_PARAMETERS = [
    OpenApiParameter(
        "status",
        {"type": "array", "items": {"type": "string", "enum": [item.value for item in Assignment.Status]}},
        description="Any of these: given several times, or with commas (`failed,pending`).",
    ),
    OpenApiParameter("connected", enum=[*FactFilter.VALUES]),
]
# An edit without If-Match that meets another one is based on the newest state again, this often at most.
_ATTEMPTS = 5


class ConfigurationViewSet(SecretsOnDemand, viewsets.GenericViewSet[Any]):
    """Configurations by name."""

    queryset = Configuration.objects.all()
    serializer_class = ConfigurationSerializer
    lookup_field = "name"
    lookup_value_regex = r"[^/]+"
    filterset_class: type[FilterSet] | None = ConfigurationFilter
    # See `accounts.authentication.ModelPermissions`.
    right: str | None = None
    further_rights: Sequence[str] = ()
    reveals = frozenset({"retrieve", "revision"})

    def get_queryset(self) -> QuerySet[Configuration]:
        """What the caller may see, with its count of assigned agents."""
        visible = Configuration.objects.visible_to(self.request.user).select_related("current")
        return visible.with_matched_agents().order_by("name")

    def get_object(self) -> Configuration:
        """The configuration named in the URL. Raises `Configuration.DoesNotExist`."""
        row = self._present(str(self.kwargs["name"]))
        if row is None:
            raise Configuration.DoesNotExist
        return row

    def list(self, request: Request) -> Response:
        """Configurations, by name unless told otherwise."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        context = {
            **self.get_serializer_context(),
            "rollouts": active_rollouts(RELEASE_SUBJECT, [row.pk for row in page]),
        }
        return self.get_paginated_response(ConfigurationSerializer(page, many=True, context=context).data)

    @extend_schema(parameters=[SECRETS])
    def retrieve(self, request: Request, name: str) -> Response:
        """One configuration; its ETag changes with every edit. Secrets are hidden unless asked for."""
        row = self.get_object()
        self.reveal_if_asked(row, f"revision {row.current.number if row.current else 0}")
        return self._shown(row)

    @extend_schema(parameters=[FORCE], request=NewConfiguration, responses={201: NewConfiguration})
    def create(self, request: Request) -> Response:
        """Make a configuration and assign it to the agents it matches."""
        values = self._validated(request, NewConfiguration)
        return self._made(request, values["name"], values)

    @extend_schema(
        parameters=[IF_MATCH, IF_NONE_MATCH, FORCE],
        request=ConfigurationEdit,
        responses={200: NewConfiguration, 201: NewConfiguration},
    )
    def update(self, request: Request, name: str) -> Response:
        """Replace a configuration, or make it: fields left out get their defaults. Making one needs the right *add* too."""
        values = self._edit(request, name)
        wanted = Preconditions.of(request)
        for attempt in range(1, _ATTEMPTS + 1):
            present = self._present(name)
            wanted.require(present)
            if present is not None:
                return self._update(request, name, values, wanted, keep=False)
            try:
                return self._put_new(request, name, values)
            except NameTaken:
                # Somebody made it in this moment; it is replaced then.
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    @extend_schema(parameters=[IF_MATCH, FORCE], request=ConfigurationEdit, responses=NewConfiguration)
    def partial_update(self, request: Request, name: str) -> Response:
        """Change a configuration: fields left out stay."""
        present = self.get_object()
        values = self._edit(request, name)
        wanted = Preconditions.of(request)
        wanted.require(present)
        return self._update(request, name, values, wanted, keep=True)

    @extend_schema(parameters=[IF_MATCH])
    def destroy(self, request: Request, name: str) -> Response:
        """Delete; agents get what matches them next, or keep what they run."""
        wanted = Preconditions.of(request)
        wanted.require(self.get_object())
        publishing.delete_configuration(
            name, by=signed_in(request), at=clock.now(), based_on=BasedOn(editions=wanted.editions)
        )
        return Response(status=204)

    @extend_schema(operation_id="configurations_revisions_list", responses=RevisionSummary(many=True), filters=False)
    @action(detail=True, lists=True, filterset_class=None)
    def revisions(self, request: Request, name: str) -> Response:
        """All revisions, newest first, without their files."""
        page = self.paginate_queryset(self.get_object().revisions.defer("files"))
        return self.get_paginated_response(RevisionSummary(page, many=True).data)

    @extend_schema(
        parameters=[OpenApiParameter("number", {"type": "integer", "minimum": 1}, OpenApiParameter.PATH), SECRETS],
        responses=RevisionSerializer,
    )
    @action(detail=True, url_path=r"revisions/(?P<number>[0-9]{1,9})")
    def revision(self, request: Request, name: str, number: str) -> Response:
        """One revision. Secrets are hidden unless asked for."""
        configuration = self.get_object()
        row = configuration.revisions.filter(number=int(number)).first()
        if row is None:
            raise UnknownRevision(name, int(number))
        shown = self.reveal_if_asked(configuration, f"revision {row.number}")
        return Response(RevisionSerializer(row, context={"secrets_shown": shown}).data)

    @extend_schema(
        operation_id="configurations_rollback",
        parameters=[IF_MATCH, FORCE],
        request=RollbackRequest,
        responses=NewConfiguration,
    )
    @action(detail=True, methods=["post"], right="change", serializer_class=RollbackRequest)
    def rollback(self, request: Request, name: str) -> Response:
        """Make an older revision's files and targeting the newest revision."""
        present = self.get_object()
        asked = RollbackRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted = Preconditions.of(request)
        wanted.require(present)

        def go_back(_present: Configuration, based_on: BasedOn) -> tuple[Configuration, list[Finding]]:
            return publishing.roll_back(
                name,
                asked.validated_data["revision"],
                by=signed_in(request),
                at=clock.now(),
                based_on=based_on,
                note=asked.validated_data.get("note", ""),
                force=forced(request, asked.validated_data),
            )

        _configuration, findings = self._on_the_newest(BasedOn(editions=wanted.editions), go_back)
        return self._shown(self.get_object(), findings)

    @extend_schema(
        operation_id="configurations_agents_list",
        responses=AssignmentSerializer(many=True),
        parameters=ASSIGNED_PARAMETERS,
        filters=False,
    )
    @action(
        detail=True,
        lists=True,
        filterset_class=None,
        further_rights=SEES_AGENTS,
        query=[parameter.name for parameter in ASSIGNED_PARAMETERS],
    )
    def agents(self, request: Request, name: str) -> Response:
        """The agents that should run it, and how they stand."""
        rows = Agent.objects.filter(agents_running(self.get_object())).select_related("assignment")
        found = AssignedAgentFilter(request.query_params, queryset=rows)
        if not found.is_valid():  # type: ignore[no-untyped-call]
            raise translate_validation(found.errors)
        page = [agent.assignment for agent in self.paginate_queryset(found.qs.in_order("name")) or ()]
        return self.get_paginated_response(AssignmentSerializer(page, many=True).data)

    @extend_schema(
        operation_id="configurations_preview",
        parameters=[FORCE],
        request=ConfigurationEdit,
        responses=PreviewSerializer,
    )
    @action(detail=True, methods=["post"], right="view", further_rights=SEES_AGENTS, serializer_class=ConfigurationEdit)
    def preview(self, request: Request, name: str) -> Response:
        """What an edit would change; nothing is saved. Fields left out stay as they are."""
        values = self._edit(request, name)
        row = self.get_object()
        draft, present = self._draft(values, row), draft_of(row)
        found = preview(draft, name=name, present=present, force=values["force"], plan=plan_of(values))
        return Response(PreviewSerializer(found, context={"names_agents": True}).data)

    @extend_schema(
        operation_id="configurations_preview_new",
        parameters=[FORCE],
        request=ConfigurationEdit,
        responses=PreviewSerializer,
    )
    @action(
        detail=False,
        methods=["post"],
        url_path="preview",
        right="view",
        further_rights=SEES_AGENTS,
        serializer_class=ConfigurationEdit,
    )
    def preview_new(self, request: Request) -> Response:
        """What a configuration that does not exist yet would change; nothing is saved."""
        values = self._validated(request, ConfigurationEdit)
        found = preview(drafted(values, Draft()), name=values.get("name"), force=values["force"], plan=plan_of(values))
        return Response(PreviewSerializer(found, context={"names_agents": True}).data)

    # --- Shared ------------------------------------------------------------------------------------------------

    def _validated(self, request: Request, kind: type[ConfigurationSerializer]) -> dict[str, Any]:
        serializer = kind(data=request.data)
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        values["force"] = forced(self.request, values)
        return values

    def known_query(self) -> set[str]:
        """With ``force`` where it means something."""
        return super().known_query() | ({"force"} if self.action in FORCING_ACTIONS else set())

    def _draft(self, values: dict[str, Any], present: Configuration, *, keep: bool = True) -> Draft:
        """The edit of ``present``; with ``keep`` fields left out stay, else they get their defaults."""
        base = draft_of(present).edited_by(signed_in(self.request))
        return drafted(values, base if keep else blank_over(base))

    def _edit(self, request: Request, name: str) -> dict[str, Any]:
        """The validated body of a request about the configuration in the URL."""
        values = self._validated(request, ConfigurationEdit)
        if values.get("name", name) != name:
            raise ValidationError({"name": [_("The name of a configuration cannot change.")]})
        return {**values, "name": name}

    def _present(self, name: str) -> Configuration | None:
        """The configuration of this name, if there is one that the caller may see."""
        return None if "\x00" in name else self.get_queryset().filter(name=name).first()

    def _put_new(self, request: Request, name: str, values: dict[str, Any]) -> Response:
        """Make what PUT found missing. Raises `PermissionDenied`, `NameTaken`."""
        if not request.user.has_perm("configurations.add_configuration"):
            raise PermissionDenied
        if values.get("revision"):
            raise StaleRevision(expected=values["revision"], current=0)
        return self._made(request, name, values)

    def _made(self, request: Request, name: str, values: dict[str, Any]) -> Response:
        configuration, findings = publishing.create_configuration(
            name,
            drafted(values, Draft()),
            by=signed_in(request),
            at=clock.now(),
            note=values.get("note", ""),
            force=values["force"],
            plan=plan_of(values),
        )
        return self._shown(self.get_queryset().get(pk=configuration.pk), findings, status=201)

    def _update(
        self, request: Request, name: str, values: dict[str, Any], wanted: Preconditions, *, keep: bool
    ) -> Response:
        def edit(present: Configuration, based_on: BasedOn) -> tuple[Configuration, list[Finding]]:
            return publishing.update_configuration(
                name,
                self._draft(values, present, keep=keep),
                by=signed_in(request),
                at=clock.now(),
                based_on=based_on,
                note=values.get("note", ""),
                force=values["force"],
                plan=plan_of(values),
            )

        based_on = BasedOn(values.get("revision"), wanted.editions)
        configuration, findings = self._on_the_newest(based_on, edit)
        return self._shown(self.get_queryset().get(pk=configuration.pk), findings)

    def _on_the_newest(self, based_on: BasedOn, edit: Callable[[Configuration, BasedOn], T]) -> T:
        """``edit`` given the present state and what it is based on.

        An edit between reading and writing is what `StaleEdition` says. A caller who named no edition meant the newest
        one, so then his edit is made anew on top of the other; neither is lost.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            present = self.get_object()
            editions = (present.edition,) if based_on.editions is None else based_on.editions
            try:
                return edit(present, BasedOn(based_on.revision, editions))
            except StaleEdition:
                if based_on.editions is not None or attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _shown(self, row: Configuration, findings: Sequence[Finding] | None = None, *, status: int = 200) -> Response:
        body = dict(ConfigurationSerializer(row, context={"secrets_shown": self.secrets_shown}).data)
        if findings is not None:
            told = [*findings, *targeting_findings(row)]
            body["warnings"] = findings_json(told, name_agents=self.request.user.has_perms(SEES_AGENTS))
        return Response(body, status=status, headers={"ETag": etag_of(row, secrets_shown=self.secrets_shown)})


class _AgentView(DeclaredQuery, GenericAPIView[Any]):
    """A view below one agent's URL."""

    queryset = Agent.objects.all()
    serializer_class = AssignmentSerializer
    filter_backends = []
    pagination_class = None
    right: str | None = None
    further_rights: Sequence[str] = ("configurations.view_configuration",)

    def agent(self, instance_uid: str) -> Agent:
        """The agent named in the URL."""
        try:
            uid = UUID(instance_uid)
        except ValueError:
            raise NotFound from None
        return Agent.objects.visible_to(self.request.user).select_related("assignment").get(instance_uid=uid)


_INSTANCE_UID = OpenApiParameter("instance_uid", OpenApiTypes.UUID, OpenApiParameter.PATH)


class DesiredView(_AgentView):
    """What one agent should run, and why."""

    serializer_class = DesiredSerializer

    @extend_schema(operation_id="agents_configuration_retrieve", parameters=[_INSTANCE_UID])
    def get(self, request: Request, instance_uid: str) -> Response:
        """The assignment, and all candidates by priority with the clauses of their selectors."""
        return Response(DesiredSerializer(self.agent(instance_uid).assignment).data)


class RetryView(_AgentView):
    """Offer the configuration once more."""

    right = "change"

    @extend_schema(operation_id="agents_configuration_retry", parameters=[_INSTANCE_UID], request=None)
    def post(self, request: Request, instance_uid: str) -> Response:
        """409 when there is nothing to offer."""
        NoBody(data=request.data).is_valid(raise_exception=True)
        retrying.retry_offer(self.agent(instance_uid).pk, by=signed_in(request), at=clock.now())
        return Response(AssignmentSerializer(self.agent(instance_uid).assignment).data)
