"""How packages look as JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from agents.shown import message_shown
from foundation.api_input import Flag, StrictSerializer, Text, Whole
from packages.models import Artefact, Installation, Package, PackageVersion
from rollouts.api_releasing import LARGEST, ReleaseFields, TargetedSelectorField, checked_policy
from rollouts.api_serializers import PolicyField, RolloutSummary


class PackageSerializer(StrictSerializer):
    """A package without its versions; ``agents`` and ``installed`` count agents."""

    id = serializers.IntegerField(read_only=True)
    name = Text(max_length=100, help_text="What agents know it by; cannot be changed later.")
    kind = serializers.ChoiceField(Package.Kind.choices, required=False, help_text="Cannot be changed later.")
    selector = TargetedSelectorField(required=False)
    match_all = Flag(required=False)
    priority = Whole(required=False, min_value=-LARGEST, max_value=LARGEST)
    enabled = Flag(required=False)
    notes = Text(required=False, allow_blank=True, max_length=4_000)
    rollout_policy = PolicyField(required=False, allow_null=True)
    newest_version = serializers.CharField(read_only=True, help_text="Released or not; empty without any.")
    agents = serializers.IntegerField(read_only=True, help_text="Agents that should have it.")
    installed = serializers.IntegerField(read_only=True)
    failed = serializers.IntegerField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def validate_rollout_policy(self, value: Any) -> Any:
        """Before any precondition."""
        return checked_policy(value)

    def to_representation(self, instance: Package) -> dict[str, Any]:
        """With the counts that `packages_shown.counted` annotates."""
        time = self.fields["created_at"].to_representation
        return {
            **{name: getattr(instance, name) for name in ("id", "name", "kind", "selector", "match_all", "priority")},
            **{name: getattr(instance, name) for name in ("enabled", "notes", "rollout_policy")},
            "newest_version": getattr(instance, "newest_version", None) or "",
            "agents": getattr(instance, "agent_count", 0),
            "installed": getattr(instance, "installed_count", 0),
            "failed": getattr(instance, "failed_count", 0),
            "created_at": time(instance.created_at),
            "updated_at": time(instance.updated_at),
        }


class ArtefactSerializer(serializers.ModelSerializer[Artefact]):
    """A file of a version; of its headers the names alone, since their values let somebody in."""

    headers = serializers.SerializerMethodField()

    class Meta:
        model = Artefact
        fields = [
            "id", "os_type", "architecture", "filename", "url", "size", "sha256", "signature", "headers", "uploaded_at",
            "uploaded_by_name",
        ]  # fmt: skip
        read_only_fields = fields

    def get_headers(self, row: Artefact) -> list[str]:
        """Sorted names."""
        return sorted(row.headers)


class VersionSerializer(StrictSerializer):
    """A version with its files; ``in_force`` for somebody."""

    number = serializers.IntegerField(read_only=True)
    version = Text(max_length=100)
    note = Text(required=False, allow_blank=True, max_length=500)
    author_name = serializers.CharField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    released_at = serializers.DateTimeField(read_only=True, allow_null=True)
    in_force = serializers.BooleanField(read_only=True)
    agents = serializers.IntegerField(read_only=True, help_text="Agents that should have it.")
    files = ArtefactSerializer(many=True, read_only=True, source="artefacts")

    def to_representation(self, instance: PackageVersion) -> dict[str, Any]:
        """With what `packages_shown.versions_of` counted."""
        time = self.fields["created_at"].to_representation
        return {
            **{name: getattr(instance, name) for name in ("number", "version", "note", "author_name")},
            "created_at": time(instance.created_at),
            "released_at": time(instance.released_at) if instance.released_at else None,
            "in_force": getattr(instance, "in_force", False),
            "agents": getattr(instance, "agent_count", 0),
            "files": ArtefactSerializer(instance.artefacts.all(), many=True).data,
        }


class FileFactsSerializer(StrictSerializer):
    """What is said of a file; an empty operating system or architecture is any."""

    filename = Text(required=False, allow_blank=True, max_length=200)
    os_type = Text(required=False, allow_blank=True, max_length=40, help_text="As in the label os.type: linux.")
    architecture = Text(required=False, allow_blank=True, max_length=40, help_text="As in host.arch: amd64.")
    sha256 = Text(required=False, allow_blank=True, max_length=64, help_text="What the file should have.")
    signature = Text(
        required=False, allow_blank=True, max_length=200, help_text="Ed25519, of the SHA-256 (32 bytes), in base64."
    )


class AddressSerializer(FileFactsSerializer):
    """A file that somebody else keeps."""

    url = Text(max_length=2_000, help_text="https.")
    sha256 = Text(max_length=64)
    size = Whole(required=False, allow_null=True, min_value=1, max_value=2**53)
    headers = serializers.DictField(child=Text(max_length=2_000), required=False, help_text="Sent with the download.")


class UploadForm(FileFactsSerializer):
    """The form of an upload."""

    file = serializers.FileField(help_text="The file itself.")


class ReleaseRequest(ReleaseFields):
    """How to release a version; without ``release`` as the package has it, else the site."""


class ReleasedSerializer(serializers.Serializer[Any]):
    """A version that was released, and its rollout where it goes in stages."""

    version = VersionSerializer()
    rollout = RolloutSummary(allow_null=True)


class InstallationSerializer(serializers.Serializer[Any]):
    """One package that one agent should have."""

    instance_uid = serializers.UUIDField(source="agent.instance_uid")
    agent_name = serializers.CharField(source="agent.name")
    connected = serializers.BooleanField(source="agent.connected")
    package = serializers.CharField(source="package.name")
    package_id = serializers.IntegerField()
    version = serializers.CharField(source="version.version")
    hash = serializers.CharField()
    status = serializers.ChoiceField(Installation.Status.choices)
    status_at = serializers.DateTimeField()
    percent = serializers.FloatField(allow_null=True, help_text="Downloaded, where the agent tells it.")
    error_message = serializers.SerializerMethodField()

    def get_error_message(self, row: Installation) -> str:
        """What the agent said, secrets hidden."""
        return message_shown(row.error_message)
