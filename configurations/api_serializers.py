"""How configurations look as JSON, and how a request becomes a draft of one."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api_input import Flag, Said, StrictSerializer, Text, Whole
from agents.api_serializers import ReportedText, shows_secrets
from agents.redaction import HIDDEN
from agents.shown import files_shown
from configurations.checks import Finding, InvalidContentType, normalise_content_type
from configurations.models import Assignment, Configuration, Revision
from configurations.previewing import Preview, PreviewAgent
from configurations.remote_config import ConfigFile
from configurations.services.drafts import Draft
from configurations.targets import why


class FileSerializer(StrictSerializer):
    """One named file: text in ``body``, or anything in ``body_base64``."""

    body = Text(required=False, allow_blank=True, trim_whitespace=False)
    body_base64 = Text(required=False)
    content_type = Text(required=False, allow_blank=True, max_length=100)
    role = Text(required=False, allow_blank=True, max_length=255)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One body."""
        if "body" in attrs and "body_base64" in attrs:
            raise serializers.ValidationError({"body_base64": [_("Send body or body_base64, not both.")]})
        return attrs


@extend_schema_field(OpenApiTypes.OBJECT)
class SelectorField(serializers.JSONField):
    """A map, or Kubernetes' matchLabels and matchExpressions; judged by the service."""


class FindingSerializer(serializers.Serializer[Finding]):
    """One problem of a text, at its place."""

    severity = serializers.CharField()
    kind = serializers.CharField()
    message = Said()
    line = serializers.IntegerField()
    column = serializers.IntegerField()
    path = serializers.CharField(allow_blank=True)


def findings_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings as the API says them, in answers and in problems."""
    return [dict(FindingSerializer(finding).data) for finding in findings]


class ConfigurationSerializer(StrictSerializer):
    """A configuration as programs read and write it."""

    name = Text(max_length=100)
    display_name = Text(max_length=255, required=False, allow_blank=True)
    description = Text(required=False, allow_blank=True)
    content_type = Text(max_length=100, required=False)
    config_key = Text(max_length=255, required=False, allow_blank=True)
    raw_config = Text(required=False, allow_blank=True, trim_whitespace=False)
    files = serializers.DictField(child=FileSerializer(), required=False)
    selector = SelectorField(required=False)
    match_all = Flag(required=False)
    priority = Whole(required=False, min_value=-(2**31), max_value=2**31 - 1)
    enabled = Flag(required=False)
    revision = Whole(
        required=False, min_value=0, help_text="The revision an edit is based on; 409 when it is not the present one."
    )
    note = Text(max_length=500, required=False, allow_blank=True, write_only=True)
    config_hash = serializers.CharField(read_only=True)
    matched_agents = serializers.IntegerField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def to_representation(self, instance: Configuration) -> dict[str, Any]:
        """The contract's fields."""
        current = instance.current
        files = dict(current.files) if current else {}
        if not shows_secrets(self):
            files = files_shown(files)
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


class NewConfiguration(ConfigurationSerializer):
    """A configuration just written, with the findings that did not keep it from being saved."""

    warnings = FindingSerializer(many=True, read_only=True)


class ConfigurationEdit(NewConfiguration):
    """Like a new one; the URL has the name, and which other fields may be left out is the endpoint's to say."""

    name = Text(max_length=100, required=False)


class PreviewAgentSerializer(serializers.Serializer[PreviewAgent]):
    """One agent of the sample."""

    instance_uid = serializers.UUIDField()
    name = serializers.CharField()
    connected = serializers.BooleanField()


class PreviewSerializer(serializers.Serializer[Preview]):
    """`configurations.previewing.Preview` as JSON."""

    matched = serializers.IntegerField()
    assigned = serializers.IntegerField()
    gained = serializers.IntegerField()
    lost = serializers.IntegerField()
    offline = serializers.IntegerField()
    incapable = serializers.IntegerField()
    sample = PreviewAgentSerializer(many=True)
    findings = FindingSerializer(many=True)


class RevisionSummary(serializers.ModelSerializer[Revision]):
    """One revision without its files: those of a page of revisions could fill memory."""

    selector = SelectorField()

    class Meta:
        model = Revision
        fields = ["number", "hash", "selector", "match_all", "priority", "enabled", "author_name", "note", "created_at"]
        read_only_fields = fields


class RevisionSerializer(RevisionSummary):
    """One revision."""

    files = serializers.SerializerMethodField()

    class Meta(RevisionSummary.Meta):
        fields = [*RevisionSummary.Meta.fields, "files"]
        read_only_fields = fields

    @extend_schema_field(serializers.DictField(child=FileSerializer()))
    def get_files(self, revision: Revision) -> Any:
        """By config key, secrets hidden unless asked for."""
        return revision.files if shows_secrets(self) else files_shown(revision.files)


class RollbackRequest(StrictSerializer):
    """Which revision to go back to."""

    revision = Whole(min_value=1, max_value=2**31 - 1)
    note = Text(max_length=500, required=False, allow_blank=True)


class AssignmentSerializer(serializers.ModelSerializer[Assignment]):
    """How one agent stands to its configuration."""

    instance_uid = serializers.UUIDField(source="agent.instance_uid", read_only=True)
    agent_name = serializers.CharField(source="agent.name", read_only=True)
    connected = serializers.BooleanField(source="agent.connected", read_only=True)
    in_sync = serializers.BooleanField(source="agent.in_sync", read_only=True, allow_null=True)
    revision = serializers.IntegerField(source="agent.configuration_revision", read_only=True, allow_null=True)
    error_message = ReportedText(read_only=True)

    class Meta:
        model = Assignment
        fields = [
            "instance_uid", "agent_name", "connected", "in_sync", "revision", "status", "status_at", "error_message",
            "assigned_at", "offered_at", "offer_count",
        ]  # fmt: skip
        read_only_fields = fields


class ClauseSerializer(serializers.Serializer[Any]):
    """How one clause of a selector did."""

    clause = Said()
    key = serializers.CharField()
    satisfied = serializers.BooleanField()
    actual = serializers.CharField(allow_null=True, allow_blank=True)


class CandidateSerializer(serializers.Serializer[Any]):
    """One configuration that the agent might run."""

    name = serializers.CharField()
    priority = serializers.IntegerField()
    enabled = serializers.BooleanField()
    matches = serializers.BooleanField()
    wins = serializers.BooleanField()
    clauses = ClauseSerializer(many=True)


class DesiredSerializer(AssignmentSerializer):
    """What an agent should run, and why."""

    name = serializers.CharField(source="agent.configuration_name", allow_blank=True)
    candidates = serializers.SerializerMethodField()

    class Meta(AssignmentSerializer.Meta):
        fields = [*AssignmentSerializer.Meta.fields, "name", "candidates"]
        read_only_fields = fields

    @extend_schema_field(CandidateSerializer(many=True))
    def get_candidates(self, assignment: Assignment) -> list[dict[str, Any]]:
        """By priority, with the clauses of their selectors."""
        return why(assignment.agent)


def drafted(values: dict[str, Any], base: Draft) -> Draft:
    """``base`` changed by the validated fields of a request.

    ``files`` replaces the whole map; ``raw_config`` the file under ``config_key``, and must not contradict ``files``.
    An empty ``raw_config`` beside ``files`` says nothing: that is how a file that is no text is shown.
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
    if values.get("raw_config") or ("raw_config" in values and "files" not in values):
        body = values["raw_config"].encode("utf-8", "replace")
        known = files.get(draft.config_key)
        if "files" not in values or known is None:
            files[draft.config_key] = ConfigFile(body, content_type, known.role if known else "")
        elif known.body != body:
            raise serializers.ValidationError(
                {"raw_config": [_("raw_config and files name different texts for the same config key.")]}
            )
    elif "content_type" in values and "files" not in values and draft.config_key in files:
        files[draft.config_key] = dataclasses.replace(files[draft.config_key], content_type=content_type)
    return dataclasses.replace(draft, content_type=content_type, files=files)


def _file(key: str, entry: dict[str, Any], content_type: str) -> ConfigFile:
    # Of a file that is no text the whole is hidden, and the placeholder for it is one like any other.
    is_binary = "body_base64" in entry and entry["body_base64"] != HIDDEN
    try:
        body = (
            base64.b64decode(entry["body_base64"], validate=True)
            if is_binary
            else entry.get("body", entry.get("body_base64", "")).encode("utf-8", "replace")
        )
    except (binascii.Error, ValueError):
        raise serializers.ValidationError({f"files.{key}": [_("body_base64 is not base64.")]}) from None
    return ConfigFile(body, entry.get("content_type", content_type), entry.get("role", ""))
