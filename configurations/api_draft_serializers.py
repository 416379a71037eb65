"""How drafts and deleted configurations look as JSON, and how requests about them become values."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.api_serializers import shows_secrets
from agents.shown import files_shown
from configurations.api_serializers import (
    ConfigurationEdit,
    FileSerializer,
    FindingSerializer,
    RevisionSummary,
    findings_json,
)
from configurations.models import ConfigurationDraft, DeletedConfiguration
from foundation.api_input import Flag, StrictSerializer, Text, Whole
from rollouts.api_serializers import PolicyField

_LARGEST = 2**31 - 1
_ON_EDITION = (
    "The edition of the draft that this is based on, unless If-Match has its ETag; 409 when it is not the present one."
)


class DraftSummary(serializers.ModelSerializer[ConfigurationDraft]):
    """A draft without what it wants."""

    author = serializers.CharField(source="author_name", read_only=True)
    saved_by = serializers.CharField(source="saved_by_name", read_only=True)
    base_revision = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="The revision it started from; null for a new configuration."
    )
    present_revision = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="The newest revision; null when there is no such configuration."
    )
    outdated = serializers.BooleanField(
        source="is_outdated",
        read_only=True,
        help_text="The configuration was edited or deleted since; publishing asks for a new base.",
    )
    blocked = serializers.BooleanField(
        source="is_blocked", read_only=True, help_text="Something in it keeps it from being published."
    )
    adopted_from = serializers.UUIDField(
        read_only=True, allow_null=True, help_text="The agent whose effective configuration it was made of."
    )
    findings = serializers.SerializerMethodField()

    class Meta:
        model = ConfigurationDraft
        fields = [
            "id", "name", "edition", "author", "saved_by", "note", "base_revision", "present_revision", "outdated", "blocked",
            "adopted_from", "findings", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(FindingSerializer(many=True))
    def get_findings(self, draft: ConfigurationDraft) -> list[dict[str, Any]]:
        """Those of its last save, in the reader's language."""
        return findings_json(draft.found)


class DraftSerializer(ConfigurationEdit):
    """A draft as programs read and write it: the fields of a configuration, and where it stands."""

    id = serializers.IntegerField(read_only=True)
    edition = Whole(required=False, min_value=1, max_value=_LARGEST, help_text=_ON_EDITION)
    author = serializers.CharField(read_only=True)
    saved_by = serializers.CharField(read_only=True)
    note = Text(max_length=500, required=False, allow_blank=True)
    base_revision = serializers.IntegerField(read_only=True, allow_null=True)
    present_revision = serializers.IntegerField(read_only=True, allow_null=True)
    outdated = serializers.BooleanField(read_only=True)
    blocked = serializers.BooleanField(read_only=True)
    adopted_from = serializers.UUIDField(read_only=True, allow_null=True)
    findings = FindingSerializer(many=True, read_only=True)
    # Of published ones.
    revision = force = release = replace_rollout = None  # type: ignore[assignment]
    config_hash = matched_agents = rollout = warnings = None  # type: ignore[assignment]

    def to_representation(self, instance: ConfigurationDraft) -> dict[str, Any]:  # type: ignore[override]
        """Summary, columns, and files with their secrets hidden unless asked for."""
        state = dict(instance.state)
        files = state.pop("files")
        if not shows_secrets(self):
            files = files_shown(files)
        main = files.get(state["config_key"], {})
        return {**DraftSummary(instance).data, **state, "raw_config": main.get("body", ""), "files": files}


class NewDraftSerializer(DraftSerializer):
    """A draft to be: of a new configuration, whose name it has."""

    name = Text(max_length=100)
    edition = serializers.IntegerField(read_only=True)  # type: ignore[assignment]


class DraftOfConfiguration(DraftSerializer):
    """A draft to be, of the configuration in the URL; fields left out are as they are there."""

    edition = serializers.IntegerField(read_only=True)  # type: ignore[assignment]
    base_revision = Whole(
        required=False,
        min_value=0,
        max_value=_LARGEST,
        allow_null=True,
        help_text="The revision it starts from, by default the newest; from an older one it is outdated at once.",
    )


class PublishRequest(StrictSerializer):
    """Which edition of a draft to publish."""

    edition = Whole(required=False, min_value=1, max_value=_LARGEST, help_text=_ON_EDITION)
    note = Text(max_length=500, required=False, allow_blank=True, help_text="By default that of the draft.")
    force = Flag(required=False, help_text="Also when nothing stands in it, or a Collector would refuse it.")
    release = PolicyField(required=False, help_text="How it is released: a policy, or its name.")
    replace_rollout = Flag(
        required=False, help_text="End a rollout that has not ended, instead of being refused for it."
    )


class RebaseRequest(StrictSerializer):
    """Which edition of a draft is to start from which revision."""

    edition = Whole(required=False, min_value=1, max_value=_LARGEST, help_text=_ON_EDITION)
    revision = Whole(
        required=False, min_value=0, max_value=_LARGEST, help_text="409 when this is not the newest revision; 0: none."
    )


def edition_problem() -> dict[str, list[str]]:
    """What somebody is told who does not say which edition they have seen."""
    return {"edition": [_("Say which edition of the draft this is based on, here or as If-Match.")]}


class DeletedSummary(serializers.ModelSerializer[DeletedConfiguration]):
    """A deleted configuration without its files."""

    display_name = serializers.CharField(read_only=True)
    deleted_by = serializers.CharField(source="deleted_by_name", read_only=True)
    revision = serializers.SerializerMethodField()
    revisions = serializers.SerializerMethodField()

    class Meta:
        model = DeletedConfiguration
        fields = ["id", "name", "display_name", "revision", "revisions", "deleted_by", "deleted_at"]
        read_only_fields = fields

    def get_revision(self, row: DeletedConfiguration) -> int:
        """The number of the revision that was the present one."""
        return int(row.present.get("number", 0))

    @extend_schema_field(RevisionSummary(many=True))
    def get_revisions(self, row: DeletedConfiguration) -> list[dict[str, Any]]:
        """Those that are kept, newest first, without their files."""
        return [{name: entry[name] for name in RevisionSummary.Meta.fields} for entry in row.revisions]


class DeletedSerializer(DeletedSummary):
    """A deleted configuration with the files of its present revision."""

    files = serializers.SerializerMethodField()

    class Meta(DeletedSummary.Meta):
        fields = [*DeletedSummary.Meta.fields, "files"]
        read_only_fields = fields

    @extend_schema_field(serializers.DictField(child=FileSerializer()))
    def get_files(self, row: DeletedConfiguration) -> Any:
        """By config key, secrets hidden unless asked for."""
        return row.present_files if shows_secrets(self) else files_shown(row.present_files)


class RestoreRequest(StrictSerializer):
    """Under which name to restore it."""

    name = Text(max_length=100, required=False, help_text="By default its own; 409 when that is taken.")
