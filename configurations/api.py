"""The REST door to configurations, and to what each agent should run and why."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.models import Agent
from configurations.checks import Finding, InvalidContentType, normalise_content_type
from configurations.models import Assignment, Configuration, Revision
from configurations.previewing import preview
from configurations.remote_config import ConfigFile
from configurations.services import offers, publishing
from configurations.services.publishing import Draft, draft_of
from configurations.targets import why


class FileSerializer(serializers.Serializer[Any]):
    """One named file: text in ``body``, or anything in ``body_base64``."""

    body = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    body_base64 = serializers.CharField(required=False)
    content_type = serializers.CharField(required=False, allow_blank=True, max_length=100)
    role = serializers.CharField(required=False, allow_blank=True, max_length=255)


class SelectorField(serializers.JSONField):
    """A map, or Kubernetes' matchLabels and matchExpressions; judged by the service."""


class ConfigurationSerializer(serializers.Serializer[Configuration]):
    """A configuration as programs read and write it."""

    name = serializers.CharField(max_length=100)
    display_name = serializers.CharField(max_length=255, required=False, allow_blank=True)
    description = serializers.CharField(required=False, allow_blank=True)
    content_type = serializers.CharField(max_length=100, required=False)
    config_key = serializers.CharField(max_length=255, required=False, allow_blank=True)
    raw_config = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    files = serializers.DictField(child=FileSerializer(), required=False)
    selector = SelectorField(required=False)
    match_all = serializers.BooleanField(required=False)
    priority = serializers.IntegerField(required=False, min_value=-(2**31), max_value=2**31 - 1)
    enabled = serializers.BooleanField(required=False)
    revision = serializers.IntegerField(required=False, min_value=0)
    note = serializers.CharField(max_length=500, required=False, allow_blank=True, write_only=True)
    config_hash = serializers.CharField(read_only=True)
    matched_agents = serializers.IntegerField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def to_representation(self, instance: Configuration) -> dict[str, Any]:
        """The contract's fields."""
        current = instance.current
        files = dict(current.files) if current else {}
        return {
            "name": instance.name,
            "display_name": instance.display_name,
            "description": instance.description,
            "content_type": instance.content_type,
            "config_key": instance.config_key,
            "raw_config": files.get(instance.config_key, {}).get("body", ""),
            "files": files,
            "selector": instance.selector,
            "match_all": instance.match_all,
            "priority": instance.priority,
            "enabled": instance.enabled,
            "revision": current.number if current else 0,
            "config_hash": current.hash if current else "",
            "matched_agents": getattr(instance, "matched_agents", 0),
            "created_at": self.fields["created_at"].to_representation(instance.created_at),
            "updated_at": self.fields["updated_at"].to_representation(instance.updated_at),
        }


class PreviewRequest(ConfigurationSerializer):
    """Like a configuration; nothing is required."""

    name = serializers.CharField(max_length=100, required=False)


class RevisionSerializer(serializers.ModelSerializer[Revision]):
    """One revision."""

    class Meta:
        model = Revision
        fields = [
            "number", "hash", "files", "selector", "match_all", "priority", "enabled", "author_name", "note", "created_at",
        ]  # fmt: skip


class RollbackSerializer(serializers.Serializer[Any]):
    """Which revision to go back to."""

    revision = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    note = serializers.CharField(max_length=500, required=False, allow_blank=True)


class AssignmentSerializer(serializers.ModelSerializer[Assignment]):
    """How one agent stands to its configuration."""

    instance_uid = serializers.UUIDField(source="agent.instance_uid", read_only=True)
    agent_name = serializers.CharField(source="agent.name", read_only=True)
    connected = serializers.BooleanField(source="agent.connected", read_only=True)
    in_sync = serializers.BooleanField(source="agent.in_sync", read_only=True, allow_null=True)
    revision = serializers.IntegerField(source="agent.configuration_revision", read_only=True, allow_null=True)

    class Meta:
        model = Assignment
        fields = [
            "instance_uid", "agent_name", "connected", "in_sync", "revision", "status", "status_at", "error_message",
            "assigned_at", "offered_at", "offer_count",
        ]  # fmt: skip


def drafted(values: dict[str, Any], base: Draft) -> Draft:
    """``base`` changed by the validated fields of a request.

    ``files`` replaces the whole map; ``raw_config`` the file under ``config_key``, and must not contradict ``files``.
    """
    columns = (
        "display_name",
        "description",
        "priority",
        "enabled",
        "selector",
        "match_all",
        "content_type",
        "config_key",
    )
    draft = dataclasses.replace(base, **{key: values[key] for key in columns if key in values})
    try:
        content_type = normalise_content_type(draft.content_type)
    except InvalidContentType:
        content_type = draft.content_type  # the service refuses it with a message
    files = dict(draft.files)
    if base.config_key != draft.config_key and base.config_key in files:
        files[draft.config_key] = files.pop(base.config_key)
    if "files" in values:
        files = {key: _file(key, entry, content_type) for key, entry in values["files"].items()}
    if "raw_config" in values:
        file = ConfigFile(values["raw_config"].encode("utf-8", "replace"), content_type)
        if "files" in values and draft.config_key in files and files[draft.config_key].body != file.body:
            raise ValidationError(
                {"raw_config": ["raw_config and files name different texts for the same config key."]}
            )
        files[draft.config_key] = file
    elif "content_type" in values and "files" not in values and draft.config_key in files:
        files[draft.config_key] = dataclasses.replace(files[draft.config_key], content_type=content_type)
    return dataclasses.replace(draft, content_type=content_type, files=files)


def _file(key: str, entry: dict[str, Any], content_type: str) -> ConfigFile:
    try:
        body = (
            base64.b64decode(entry["body_base64"], validate=True)
            if "body_base64" in entry
            else entry.get("body", "").encode("utf-8", "replace")
        )
    except (binascii.Error, ValueError):
        raise ValidationError({f"files.{key}": ["body_base64 is not base64."]}) from None
    return ConfigFile(body, entry.get("content_type", content_type), entry.get("role", ""))


class ConfigurationViewSet(viewsets.GenericViewSet[Any]):
    """Configurations by name."""

    queryset = Configuration.objects.all()
    serializer_class = ConfigurationSerializer
    lookup_field = "name"
    lookup_value_regex = r"[^/]+"
    filter_backends = []

    def get_queryset(self) -> QuerySet[Configuration]:
        """What the caller may see, with its count of assigned agents."""
        visible = Configuration.objects.visible_to(self.request.user).select_related("current")
        return visible.annotate(matched_agents=Count("assignments")).order_by("name")

    def list(self, request: Request) -> Response:
        """All configurations, by name."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def retrieve(self, request: Request, name: str) -> Response:
        """One configuration; the ETag is its revision."""
        return self._shown(self.get_object())

    @extend_schema(responses={201: ConfigurationSerializer})
    def create(self, request: Request) -> Response:
        """Make a configuration and assign it to the agents it matches."""
        values = self._validated(request)
        configuration, findings = publishing.create_configuration(
            values["name"],
            drafted(values, Draft()),
            by=signed_in(request),
            at=timezone.now(),
            note=values.get("note", ""),
        )
        return self._shown(self.get_queryset().get(pk=configuration.pk), findings, status=201)

    def update(self, request: Request, name: str) -> Response:
        """Replace a configuration: fields left out get their defaults."""
        return self._update(request, name, keep=False)

    def partial_update(self, request: Request, name: str) -> Response:
        """Change a configuration: fields left out stay."""
        return self._update(request, name, keep=True)

    def destroy(self, request: Request, name: str) -> Response:
        """Delete; agents get what matches them next, or keep what they run."""
        self.get_object()
        publishing.delete_configuration(
            name,
            by=signed_in(request),
            at=timezone.now(),
            expected_revision=self._expected(request, {}),
        )
        return Response(status=204)

    @extend_schema(responses=RevisionSerializer(many=True))
    @action(detail=True)
    def revisions(self, request: Request, name: str) -> Response:
        """All revisions, newest first."""
        page = self.paginate_queryset(self.get_object().revisions.all())
        return self.get_paginated_response(RevisionSerializer(page, many=True).data)

    @extend_schema(responses=RevisionSerializer)
    @action(detail=True, url_path=r"revisions/(?P<number>[0-9]{1,9})")
    def revision(self, request: Request, name: str, number: str) -> Response:
        """One revision."""
        row = self.get_object().revisions.filter(number=int(number)).first()
        if row is None:
            raise NotFound
        return Response(RevisionSerializer(row).data)

    @extend_schema(request=RollbackSerializer, responses=ConfigurationSerializer)
    @action(detail=True, methods=["post"])
    def rollback(self, request: Request, name: str) -> Response:
        """Make an older revision's files and targeting the newest revision."""
        self.get_object()
        wanted = RollbackSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        publishing.roll_back(
            name,
            wanted.validated_data["revision"],
            by=signed_in(request),
            at=timezone.now(),
            expected_revision=self._expected(request, {}),
            note=wanted.validated_data.get("note", ""),
        )
        return self._shown(self.get_object())

    @extend_schema(responses=AssignmentSerializer(many=True))
    @action(detail=True)
    def agents(self, request: Request, name: str) -> Response:
        """The agents that should run it, and how they stand."""
        rows = self.get_object().assignments.select_related("agent").order_by("agent__name", "agent_id")
        return self.get_paginated_response(AssignmentSerializer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(request=PreviewRequest, responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["post"])
    def preview(self, request: Request, name: str) -> Response:
        """What an edit would change; nothing is saved."""
        values = self._validated(request, PreviewRequest)
        found = preview(drafted(values, draft_of(self.get_object())), name=name)
        return Response({**dataclasses.asdict(found), "findings": [_finding(item) for item in found.findings]})

    # --- Shared ------------------------------------------------------------------------------------------------

    def _validated(
        self, request: Request, kind: type[ConfigurationSerializer] = ConfigurationSerializer, *, partial: bool = False
    ) -> dict[str, Any]:
        serializer = kind(data=request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def _update(self, request: Request, name: str, *, keep: bool) -> Response:
        present = self.get_object()
        values = self._validated(request, partial=True)
        if values.get("name", name) != name:
            raise ValidationError({"name": ["The name of a configuration cannot change."]})
        configuration, findings = publishing.update_configuration(
            name,
            drafted(values, draft_of(present) if keep else Draft()),
            by=signed_in(request),
            at=timezone.now(),
            expected_revision=self._expected(request, values),
            note=values.get("note", ""),
        )
        return self._shown(self.get_queryset().get(pk=configuration.pk), findings)

    def _expected(self, request: Request, values: dict[str, Any]) -> int | None:
        """The revision an edit is based on: If-Match, else the body's ``revision``."""
        tag = request.headers.get("If-Match", "").strip()
        if tag and tag != "*":
            number = tag.removeprefix("W/").strip('"')
            if not number.isdecimal() or len(number) > 9:
                raise ValidationError({"If-Match": ['Send the ETag of the configuration, such as "3".']})
            return int(number)
        revision: int | None = values.get("revision")
        return revision

    def _shown(self, row: Configuration, findings: Sequence[Finding] | None = None, *, status: int = 200) -> Response:
        body = self.get_serializer(row).data
        if findings is not None:
            body = {**body, "warnings": [_finding(item) for item in findings]}
        return Response(body, status=status, headers={"ETag": f'"{body["revision"]}"'})


def _finding(item: Finding) -> dict[str, Any]:
    return {
        "severity": str(item.severity),
        "message": item.message,
        "line": item.line,
        "column": item.column,
        "path": item.path,
    }


class _AgentView(GenericAPIView[Any]):
    """A view below one agent's URL."""

    queryset = Agent.objects.all()
    serializer_class = AssignmentSerializer
    filter_backends = []
    pagination_class = None

    def agent(self, instance_uid: str) -> Agent:
        """The agent named in the URL."""
        try:
            uid = UUID(instance_uid)
        except ValueError:
            raise NotFound from None
        return Agent.objects.visible_to(self.request.user).select_related("assignment").get(instance_uid=uid)


class DesiredView(_AgentView):
    """What one agent should run, and why."""

    @extend_schema(operation_id="agents_configuration", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, instance_uid: str) -> Response:
        """The assignment, and all candidates by priority with the clauses of their selectors."""
        agent = self.agent(instance_uid)
        return Response(
            {**AssignmentSerializer(agent.assignment).data, "name": agent.configuration_name, "candidates": why(agent)}
        )


class RetryView(_AgentView):
    """Offer the configuration once more."""

    @extend_schema(operation_id="agents_configuration_retry", request=None, responses=AssignmentSerializer)
    def post(self, request: Request, instance_uid: str) -> Response:
        """409 when there is nothing to offer."""
        offers.retry_offer(self.agent(instance_uid).pk, by=signed_in(request), at=timezone.now())
        return Response(AssignmentSerializer(self.agent(instance_uid).assignment).data)
