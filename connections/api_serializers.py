"""How connection settings look as JSON."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.shown import message_shown
from connections.connections_shown import members_shown
from connections.models import RELEASE_SUBJECT, AgentConnection, ConnectionSettings, SettingsVersion
from connections.services.moving import MoveState
from connections.services.settings_edits import Saved
from foundation.api_input import Flag, Said, StrictSerializer, Text, Whole
from foundation.languages import in_readers_language
from rollouts.api_releasing import LARGEST, ReleaseFields, TargetedSelectorField, checked_policy
from rollouts.api_serializers import PolicyField, RolloutSummary
from rollouts.models import Release


@extend_schema_field(
    {
        "type": "object",
        "example": {
            "opamp": {"endpoint": "wss://opamp.example/v1/opamp", "tls": {"include_system_ca_certs_pool": True}},
            "own_metrics": {"endpoint": "https://otel.example/v1/metrics", "headers": {"Authorization": "Bearer …"}},
        },
    }
)
class ContentField(serializers.JSONField):
    """``opamp``, ``own_metrics``, ``own_traces``, ``own_logs`` and ``other_connections``; judged by the service."""

    def to_internal_value(self, data: Any) -> Any:
        """Raises `ValidationError` for what is no object."""
        if not isinstance(data, dict):
            text = serializers.DictField.default_error_messages["not_a_dict"]
            raise serializers.ValidationError(text.format(input_type=type(data).__name__))
        return super().to_internal_value(data)


class WarningSerializer(serializers.Serializer[Any]):
    """What was saved and should be looked at once more."""

    code = serializers.CharField(source="problem_code")
    message = Said(source="*")


class EditSerializer(StrictSerializer):
    """What can be said of settings, and how another content goes out."""

    description = Text(required=False, allow_blank=True, max_length=4_000)
    selector = TargetedSelectorField(required=False)
    match_all = Flag(required=False)
    priority = Whole(required=False, min_value=-LARGEST, max_value=LARGEST)
    enabled = Flag(required=False)
    rollout_policy = PolicyField(required=False, allow_null=True)
    content = ContentField(required=False, help_text="Secrets sent back as they are shown stay as they are.")
    note = Text(required=False, allow_blank=True, max_length=500, help_text="Of the new version.")
    release = PolicyField(
        required=False, allow_null=True, help_text="Without it as rollout_policy, else the site, says."
    )
    replace_rollout = Flag(required=False, default=False)

    def validate_rollout_policy(self, value: Any) -> Any:
        """Before any precondition: what is no policy is none of any edition."""
        return checked_policy(value)

    def validate_release(self, value: Any) -> Any:
        """Likewise."""
        return checked_policy(value)


class NewSettings(EditSerializer):
    """Settings to be made."""

    name = Text(max_length=100, help_text="Cannot be changed later.")
    content = ContentField()


class WholeSettings(EditSerializer):
    """Settings to be replaced: what is left out gets its default."""

    content = ContentField()


class MoveRequest(StrictSerializer):
    """Where to lead the agents; ``opamp`` as in the content."""

    opamp = ContentField()
    note = Text(required=False, allow_blank=True, max_length=500)
    release = PolicyField(required=False, allow_null=True)
    replace_rollout = Flag(required=False, default=False)

    def validate_release(self, value: Any) -> Any:
        """As in `EditSerializer`."""
        return checked_policy(value)


class ReleaseSettings(ReleaseFields):
    """How to release a version; without ``release`` as the settings have it, else the site."""

    def validate_release(self, value: Any) -> Any:
        """As in `EditSerializer`."""
        return checked_policy(value)


class SettingsSerializer(serializers.Serializer[Any]):
    """Settings with the content of their newest version, secrets hidden; ``agents`` and the numbers beside it count agents."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    description = serializers.CharField()
    selector = TargetedSelectorField()
    match_all = serializers.BooleanField()
    priority = serializers.IntegerField()
    enabled = serializers.BooleanField()
    rollout_policy = PolicyField(allow_null=True)
    version = serializers.IntegerField(help_text="The newest.")
    content = ContentField()
    agents = serializers.IntegerField(help_text="Agents that should have them.")
    applied = serializers.IntegerField()
    failed = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def to_representation(self, instance: ConnectionSettings) -> dict[str, Any]:
        """With the newest version and the counts, which are asked for each."""
        time = self.fields["created_at"].to_representation
        newest = instance.versions.order_by("-number").first()
        counts = _counts(AgentConnection.objects.filter(version__settings=instance))
        plain = ("id", "name", "description", "selector", "match_all", "priority", "enabled", "rollout_policy")
        return {
            **{name: getattr(instance, name) for name in plain},
            "version": newest.number if newest else 0,
            "content": newest.shown if newest else {},
            **counts,
            "created_at": time(instance.created_at),
            "updated_at": time(instance.updated_at),
        }


class SavedSerializer(SettingsSerializer):
    """Settings after an edit: the rollout, where it goes in stages, and warnings."""

    rollout = RolloutSummary(allow_null=True)
    warnings = WarningSerializer(many=True)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Of a `Saved`."""
        saved: Saved = instance
        return {
            **super().to_representation(saved.settings),
            "rollout": RolloutSummary(saved.rollout).data if saved.rollout else None,
            "warnings": warnings_json(saved.warnings),
        }


class SettingsVersionSerializer(serializers.Serializer[Any]):
    """One version; ``in_force`` for somebody."""

    number = serializers.IntegerField()
    content = ContentField(source="shown")
    note = serializers.CharField()
    author_name = serializers.CharField()
    created_at = serializers.DateTimeField()
    released_at = serializers.DateTimeField(allow_null=True)
    in_force = serializers.SerializerMethodField()
    agents = serializers.SerializerMethodField(help_text="Agents that should have it.")

    def get_in_force(self, row: SettingsVersion) -> bool:
        """Whether anybody should have it."""
        return Release.objects.of(RELEASE_SUBJECT, row.settings_id).live().filter(version_id=row.pk).exists()

    def get_agents(self, row: SettingsVersion) -> int:
        """Of any status."""
        return AgentConnection.objects.filter(version=row).count()


class ReleasedSettings(serializers.Serializer[Any]):
    """A version that was released, and its rollout where it goes in stages."""

    version = SettingsVersionSerializer()
    rollout = RolloutSummary(allow_null=True)


class MemberOfAgent(serializers.Serializer[Any]):
    """One member, and whether the agent takes it and was told."""

    name = serializers.CharField()
    endpoint = serializers.CharField()
    taken = serializers.BooleanField()
    told = serializers.BooleanField()


class AgentConnectionSerializer(serializers.Serializer[Any]):
    """What one agent should be connected to, and how far it is."""

    instance_uid = serializers.UUIDField(source="agent.instance_uid")
    agent_name = serializers.CharField(source="agent.name")
    connected = serializers.BooleanField(source="agent.connected")
    settings = serializers.SerializerMethodField()
    version = serializers.SerializerMethodField()
    status = serializers.ChoiceField(AgentConnection.Status.choices)
    status_at = serializers.DateTimeField()
    move = serializers.ChoiceField(["", *(state.value for state in MoveState)])
    reached = serializers.CharField(help_text="Where it was heard last.")
    by_certificate = serializers.BooleanField(
        help_text="It comes with a client certificate, so it is not led elsewhere."
    )
    offered_at = serializers.DateTimeField(allow_null=True)
    offer_hash = serializers.CharField(source="offered_hash")
    members = serializers.SerializerMethodField()
    error_message = serializers.SerializerMethodField()

    def get_settings(self, row: AgentConnection) -> str:
        """Their name."""
        return row.version.settings.name if row.version else ""

    def get_version(self, row: AgentConnection) -> int:
        """Its number; 0 for none."""
        return row.version.number if row.version else 0

    @extend_schema_field(MemberOfAgent(many=True))
    def get_members(self, row: AgentConnection) -> list[dict[str, Any]]:
        """Of its version."""
        return members_shown(row)

    def get_error_message(self, row: AgentConnection) -> str:
        """What the agent said, secrets hidden."""
        return message_shown(row.error_message)


class ReachSerializer(serializers.Serializer[Any]):
    """Numbers of agents; the first of those that cannot be told, and of those that are away, by name."""

    agents = serializers.IntegerField(help_text="They would have these settings.")
    offline = serializers.IntegerField()
    incapable = serializers.IntegerField(help_text="They take no member of them.")
    partly = serializers.IntegerField(help_text="They take some members.")
    without_opamp = serializers.IntegerField(
        help_text="They take no settings for this server: they are not led elsewhere."
    )
    by_certificate = serializers.IntegerField(
        help_text="They were heard last with a client certificate: they are not led elsewhere."
    )
    unchanged = serializers.IntegerField(help_text="They have the same already.")
    stronger = serializers.IntegerField(help_text="They match, and have settings of a higher priority.")
    incapable_names = serializers.ListField(child=serializers.CharField())
    offline_names = serializers.ListField(child=serializers.CharField())
    by_certificate_names = serializers.ListField(child=serializers.CharField())
    warnings = WarningSerializer(many=True)


class MoveCounts(serializers.Serializer[Any]):
    """Agents by how they stand to the place."""

    moved = serializers.IntegerField(help_text="Heard there since they were told.")
    here = serializers.IntegerField(help_text="Connected at another place.")
    away = serializers.IntegerField(help_text="Told, and not heard since.")
    offline = serializers.IntegerField(help_text="Not told yet.")
    failed = serializers.IntegerField(help_text="They stayed where they were.")
    incapable = serializers.IntegerField()


class MoveProgressSerializer(serializers.Serializer[Any]):
    """How far the agents are with going where their settings lead."""

    version = serializers.IntegerField()
    endpoint = serializers.CharField(allow_blank=True)
    rollout = RolloutSummary(allow_null=True)
    counts = MoveCounts()


def warnings_json(warnings: Any) -> list[dict[str, str]]:
    """In the reader's language, with their codes."""
    return [{"code": message.problem_code, "message": in_readers_language(message)} for message in warnings]


def _counts(rows: QuerySet[AgentConnection]) -> dict[str, int]:
    found = {row["status"]: row["n"] for row in rows.order_by().values("status").annotate(n=Count("*"))}
    applied = found.get(AgentConnection.Status.APPLIED, 0) + found.get(AgentConnection.Status.TOLD, 0)
    return {"agents": sum(found.values()), "applied": applied, "failed": found.get(AgentConnection.Status.FAILED, 0)}
