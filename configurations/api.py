"""The REST door to configurations, and to what each agent should run and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_input import NoBody
from accounts.authentication import signed_in
from accounts.clock import clock
from agents.api_secrets import SECRETS, SecretsOnDemand
from agents.models import Agent
from configurations.api_serializers import (
    AssignmentSerializer,
    ConfigurationEdit,
    ConfigurationSerializer,
    DesiredSerializer,
    NewConfiguration,
    PreviewSerializer,
    RevisionSerializer,
    RevisionSummary,
    RollbackRequest,
    drafted,
    findings_json,
)
from configurations.checks import Finding
from configurations.models import Configuration
from configurations.previewing import preview
from configurations.services import offers, publishing
from configurations.services.drafts import Draft, blank_over, draft_of
from configurations.services.publishing import StaleRevision

T = TypeVar("T")

SEES_AGENTS = ("agents.view_agent",)
IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description='The ETag that the edit is based on, such as `"3"`; 412 when it is not the present one.',
)
# Another representation has another ETag; that of either says which revision an edit is based on.
_SHOWN = "-shown"
_ETAG = re.compile(rf'(?:W/)?"([0-9]{{1,9}})(?:{_SHOWN})?"')
# An edit without If-Match that meets another one is based on the newest state again, this often at most.
_ATTEMPTS = 5


class NoSuchTag(APIException):
    """If-Match names something that never was an ETag of a configuration."""

    status_code = 412
    default_detail = _('If-Match is not the ETag of this configuration; it looks like "3".')


class ConfigurationViewSet(SecretsOnDemand, viewsets.GenericViewSet[Any]):
    """Configurations by name."""

    queryset = Configuration.objects.all()
    serializer_class = ConfigurationSerializer
    lookup_field = "name"
    lookup_value_regex = r"[^/]+"
    filter_backends = []
    # See `accounts.authentication.ModelPermissions`.
    right: str | None = None
    further_rights: Sequence[str] = ()
    reveals = frozenset({"retrieve", "revision"})

    def get_queryset(self) -> QuerySet[Configuration]:
        """What the caller may see, with its count of assigned agents."""
        visible = Configuration.objects.visible_to(self.request.user).select_related("current")
        return visible.with_matched_agents().order_by("name")

    def list(self, request: Request) -> Response:
        """All configurations, by name."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(parameters=[SECRETS])
    def retrieve(self, request: Request, name: str) -> Response:
        """One configuration; the ETag is its revision. Secrets are hidden unless asked for."""
        row = self.get_object()
        self.reveal_if_asked(row, f"revision {row.current.number if row.current else 0}")
        return self._shown(row)

    @extend_schema(request=NewConfiguration, responses={201: NewConfiguration})
    def create(self, request: Request) -> Response:
        """Make a configuration and assign it to the agents it matches."""
        values = self._validated(request, NewConfiguration)
        configuration, findings = publishing.create_configuration(
            values["name"],
            drafted(values, Draft()),
            by=signed_in(request),
            at=clock.now(),
            note=values.get("note", ""),
        )
        return self._shown(self.get_queryset().get(pk=configuration.pk), findings, status=201)

    @extend_schema(parameters=[IF_MATCH], request=ConfigurationEdit, responses=NewConfiguration)
    def update(self, request: Request, name: str) -> Response:
        """Replace a configuration: fields left out get their defaults."""
        return self._update(request, name, keep=False)

    @extend_schema(parameters=[IF_MATCH], request=ConfigurationEdit, responses=NewConfiguration)
    def partial_update(self, request: Request, name: str) -> Response:
        """Change a configuration: fields left out stay."""
        return self._update(request, name, keep=True)

    @extend_schema(parameters=[IF_MATCH])
    def destroy(self, request: Request, name: str) -> Response:
        """Delete; agents get what matches them next, or keep what they run."""
        self.get_object()
        publishing.delete_configuration(
            name,
            by=signed_in(request),
            at=clock.now(),
            expected_revision=self._expected(request, {}),
        )
        return Response(status=204)

    @extend_schema(operation_id="configurations_revisions_list", responses=RevisionSummary(many=True))
    @action(detail=True)
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
            raise NotFound
        shown = self.reveal_if_asked(configuration, f"revision {row.number}")
        return Response(RevisionSerializer(row, context={"secrets_shown": shown}).data)

    @extend_schema(
        operation_id="configurations_rollback",
        parameters=[IF_MATCH],
        request=RollbackRequest,
        responses=NewConfiguration,
    )
    @action(detail=True, methods=["post"], right="change", serializer_class=RollbackRequest)
    def rollback(self, request: Request, name: str) -> Response:
        """Make an older revision's files and targeting the newest revision."""
        self.get_object()
        wanted = RollbackRequest(data=request.data)
        wanted.is_valid(raise_exception=True)

        def go_back(_present: Configuration, expected: int) -> tuple[Configuration, list[Finding]]:
            return publishing.roll_back(
                name,
                wanted.validated_data["revision"],
                by=signed_in(request),
                at=clock.now(),
                expected_revision=expected,
                note=wanted.validated_data.get("note", ""),
            )

        _configuration, findings = self._on_the_newest(self._expected(request, {}), go_back)
        return self._shown(self.get_object(), findings)

    @extend_schema(operation_id="configurations_agents_list", responses=AssignmentSerializer(many=True))
    @action(detail=True, further_rights=SEES_AGENTS)
    def agents(self, request: Request, name: str) -> Response:
        """The agents that should run it, and how they stand."""
        # Every agent bears the name of what is assigned to it, with an index on that and its own name.
        rows = Agent.objects.filter(configuration_name=self.get_object().name).select_related("assignment")
        page = [agent.assignment for agent in self.paginate_queryset(rows.in_order("name")) or ()]
        return self.get_paginated_response(AssignmentSerializer(page, many=True).data)

    @extend_schema(operation_id="configurations_preview", request=ConfigurationEdit, responses=PreviewSerializer)
    @action(detail=True, methods=["post"], right="view", further_rights=SEES_AGENTS, serializer_class=ConfigurationEdit)
    def preview(self, request: Request, name: str) -> Response:
        """What an edit would change; nothing is saved. Fields left out stay as they are."""
        values = self._validated(request, ConfigurationEdit)
        return Response(PreviewSerializer(preview(self._draft(values, self.get_object()), name=name)).data)

    @extend_schema(operation_id="configurations_preview_new", request=ConfigurationEdit, responses=PreviewSerializer)
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
        return Response(PreviewSerializer(preview(drafted(values, Draft()), name=values.get("name"))).data)

    # --- Shared ------------------------------------------------------------------------------------------------

    def _validated(self, request: Request, kind: type[ConfigurationSerializer]) -> dict[str, Any]:
        serializer = kind(data=request.data)
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def _draft(self, values: dict[str, Any], present: Configuration, *, keep: bool = True) -> Draft:
        """The edit of ``present``; with ``keep`` fields left out stay, else they get their defaults."""
        base = draft_of(present).edited_by(signed_in(self.request))
        return drafted(values, base if keep else blank_over(base))

    def _update(self, request: Request, name: str, *, keep: bool) -> Response:
        self.get_object()
        values = self._validated(request, ConfigurationEdit)
        if values.get("name", name) != name:
            raise ValidationError({"name": [_("The name of a configuration cannot change.")]})

        def edit(present: Configuration, expected: int) -> tuple[Configuration, list[Finding]]:
            return publishing.update_configuration(
                name,
                self._draft(values, present, keep=keep),
                by=signed_in(request),
                at=clock.now(),
                expected_revision=expected,
                note=values.get("note", ""),
            )

        configuration, findings = self._on_the_newest(self._expected(request, values), edit)
        return self._shown(self.get_queryset().get(pk=configuration.pk), findings)

    def _on_the_newest(self, expected: int | None, edit: Callable[[Configuration, int], T]) -> T:
        """``edit`` given the present state and the revision it is based on.

        An edit between reading and writing is what `StaleRevision` says. A caller who did not name a revision meant the
        newest one, so then his edit is made anew on top of the other; neither is lost.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            present = self.get_object()
            based_on = present.current.number if expected is None and present.current else expected
            try:
                return edit(present, based_on or 0)
            except StaleRevision:
                if expected is not None or attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _expected(self, request: Request, values: dict[str, Any]) -> int | None:
        """The revision an edit is based on: If-Match, else the body's ``revision``."""
        tag = request.headers.get("If-Match", "").strip()
        if tag and tag != "*":
            found = _ETAG.fullmatch(tag)
            if found is None:
                raise NoSuchTag
            return int(found[1])
        revision: int | None = values.get("revision")
        return revision

    def _shown(self, row: Configuration, findings: Sequence[Finding] | None = None, *, status: int = 200) -> Response:
        body = dict(ConfigurationSerializer(row, context={"secrets_shown": self.secrets_shown}).data)
        if findings is not None:
            body["warnings"] = findings_json(findings)
        return Response(
            body, status=status, headers={"ETag": f'"{body["revision"]}{_SHOWN if self.secrets_shown else ""}"'}
        )


class _AgentView(GenericAPIView[Any]):
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
        offers.retry_offer(self.agent(instance_uid).pk, by=signed_in(request), at=clock.now())
        return Response(AssignmentSerializer(self.agent(instance_uid).assignment).data)
