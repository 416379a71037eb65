"""How agents look as JSON, and what the REST endpoint to them takes."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError as InvalidForm
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.filters import filtered
from agents.models import Agent, AgentCommand, AgentEvent, AgentQuerySet, ConnectionRecord, ReportedState
from agents.reports import RemoteConfigStatuses, Status, capability_names
from agents.services.bulk_requests import MOST, BulkOutcome
from agents.services.commands import MAX_MESSAGE_BYTES, too_large
from agents.shown import MOST_SHOWN, event_shown, files_shown, message_shown, tree_shown, value_shown
from foundation.api_input import Flag, Said, StrictSerializer, Text, Uid
from foundation.languages import in_readers_language

# --- What is shown ---------------------------------------------------------------------------------------------------


def shows_secrets(field: serializers.Field[Any, Any, Any, Any]) -> bool:
    """Whether the view said, by its serializer's context, that the caller may see secrets and asked to."""
    return bool(field.context.get("secrets_shown"))


class ReportedMap(serializers.DictField):
    """A map as an agent reported it, its secrets hidden."""

    def to_representation(self, value: Any) -> Any:
        """Values keep their JSON types."""
        return value if shows_secrets(self) else value_shown(value)


class ReportedText(serializers.CharField):
    """A message of an agent, its secrets hidden."""

    def to_representation(self, value: Any) -> str:
        """A text."""
        return str(value) if shows_secrets(self) else message_shown(str(value))


class ReportedTree(serializers.DictField):
    """Health, components or packages as an agent reported them, secrets hidden."""

    def to_representation(self, value: Any) -> Any:
        """Values keep their JSON types."""
        return value if shows_secrets(self) else tree_shown(value)


class NamedConfiguration(serializers.Serializer[Any]):
    """What an agent should run."""

    name = serializers.CharField()
    revision = serializers.IntegerField()
    hash = serializers.CharField()


class ReportedOutcome(serializers.Serializer[Any]):
    """What an agent said of the last configuration it received."""

    status = serializers.ChoiceField(choices=[item.name.lower() for item in RemoteConfigStatuses])
    config_hash = serializers.CharField(allow_blank=True)
    error_message = serializers.CharField(allow_blank=True)


class AgentSerializer(serializers.ModelSerializer[Agent]):
    """One agent as lists show it."""

    status = serializers.ChoiceField(choices=[item.value for item in Status])
    capabilities = serializers.SerializerMethodField()
    identifying_attributes = ReportedMap(source="reported.identifying_attributes")
    non_identifying_attributes = ReportedMap(source="reported.non_identifying_attributes")
    labels = ReportedMap(child=serializers.CharField(allow_blank=True))
    operator_labels = serializers.DictField(child=serializers.CharField(allow_blank=True))
    asserted_labels = ReportedMap(
        child=serializers.CharField(allow_blank=True),
        help_text="What the agent says under keys for which only an operator's label counts; matched by nothing.",
    )
    health = ReportedTree(source="reported.health", allow_null=True)
    configuration = serializers.SerializerMethodField()
    remote_config_status = serializers.SerializerMethodField()
    drifted = serializers.BooleanField(
        source="config_drifted",
        help_text="It applied what it should run, and reports another effective configuration since.",
    )
    enrolled_by = serializers.CharField(help_text="The name of the enrolment token it came by last; empty for none.")
    sequence_num = serializers.IntegerField(source="presence.sequence_num")
    last_seen_at = serializers.DateTimeField(source="presence.last_seen_at")

    class Meta:
        model = Agent
        fields = [
            "instance_uid", "name", "notes", "service_name", "version", "hostname", "os_type", "architecture", "status",
            "connected", "healthy", "in_sync", "drifted", "approval", "enrolled_by", "transport",
            "remote_address", "labels", "operator_labels",
            "asserted_labels", "identifying_attributes", "non_identifying_attributes", "capabilities", "health", "configuration",
            "remote_config_status", "sequence_num", "first_seen_at", "connected_at", "last_seen_at",
        ]  # fmt: skip
        read_only_fields = fields

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
            "error_message": (
                agent.remote_config_error if shows_secrets(self) else message_shown(agent.remote_config_error)
            ),
        }


class CredentialSerializer(serializers.Serializer[Agent]):
    """How the agent's own credential stands; all null while the shared secret is all it needs.

    From ``used_at`` on the shared secret is not enough for it; with ``revoked_at`` it is shut out. The credential itself
    is shown nowhere.
    """

    issued_at = serializers.DateTimeField(source="credential_issued_at", allow_null=True)
    used_at = serializers.DateTimeField(source="credential_used_at", allow_null=True)
    revoked_at = serializers.DateTimeField(source="credential_revoked_at", allow_null=True)


class AgentDetailSerializer(AgentSerializer):
    """One agent with what is too large for lists, or of use for one agent only."""

    custom_capabilities = serializers.ListField(child=serializers.CharField(), source="reported.custom_capabilities")
    effective_config = serializers.SerializerMethodField()
    credential = CredentialSerializer(source="*")
    unstored = serializers.DictField(
        child=serializers.IntegerField(),
        source="reported.unstored",
        help_text="Parts of its last reports that there was no room for, with their bytes: their former state is kept.",
    )

    class Meta(AgentSerializer.Meta):
        fields = [*AgentSerializer.Meta.fields, "custom_capabilities", "effective_config", "credential", "unstored"]
        read_only_fields = fields

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_effective_config(self, agent: Agent) -> Any:
        """Files by config key, as reported, with their secrets hidden; of a long one the beginning, and then ``cut``."""
        document = agent.reported.effective_config
        if document is None or shows_secrets(self):
            return None if document is None else document.content
        return files_shown(document.content, most=MOST_SHOWN)


class EventSerializer(serializers.ModelSerializer[AgentEvent]):
    """One line of the timeline: ``at`` is when it happened first, ``last_at`` when last, of ``count`` times."""

    text = serializers.CharField(source="get_kind_display", read_only=True)
    last_at = serializers.SerializerMethodField()
    # The metaclass takes fields out of the class, so this hides nothing of the serializer's own.
    data = serializers.SerializerMethodField()  # type: ignore[assignment]

    class Meta:
        model = AgentEvent
        fields = ["at", "kind", "text", "data", "count", "last_at"]
        read_only_fields = fields

    def get_last_at(self, event: AgentEvent) -> datetime:
        """The same as ``at`` of what happened once."""
        return event.last_at or event.at

    @extend_schema_field(serializers.DictField())
    def get_data(self, event: AgentEvent) -> Any:
        """What the line is filled with, secrets hidden."""
        return event.data if shows_secrets(self) or not isinstance(event.data, dict) else event_shown(event.data)


class CommandSerializer(serializers.ModelSerializer[AgentCommand]):
    """One command and what was seen of it; of a custom message, which one."""

    requested_by = serializers.CharField(source="requested_by.username", default=None, allow_null=True)
    capability = serializers.CharField(source="payload.capability", default=None, allow_null=True)
    type = serializers.CharField(source="payload.type", default=None, allow_null=True, allow_blank=True)

    class Meta:
        model = AgentCommand
        fields = [
            "id", "kind", "capability", "type", "outcome", "requested_by", "requested_at", "sent_at", "outcome_at",
        ]  # fmt: skip
        read_only_fields = fields


class ConnectionSerializer(serializers.ModelSerializer[ConnectionRecord]):
    """One stay of an agent; ``disconnected_at`` is null while it lasts."""

    class Meta:
        model = ConnectionRecord
        fields = ["transport", "remote_address", "connected_at", "disconnected_at", "reason"]
        read_only_fields = fields


class ComponentsSerializer(serializers.Serializer[Any]):
    """Available components by id; null while unknown."""

    hash = serializers.CharField(source="components_hash", allow_blank=True)
    components = serializers.SerializerMethodField()

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_components(self, state: ReportedState) -> Any:
        """By id, secrets hidden."""
        if state.components is None or shows_secrets(self):
            return None if state.components is None else state.components.content
        return tree_shown({"components": state.components.content})["components"]


class NewUidSerializer(serializers.Serializer[Any]):
    """The uid an agent is to use from now on."""

    new_instance_uid = serializers.UUIDField()


class SummarySerializer(serializers.Serializer[Any]):
    """Counts of agents."""

    total = serializers.IntegerField()
    drifted = serializers.IntegerField(help_text="Agents that run something else than they applied.")
    pending = serializers.IntegerField(help_text="Agents that await approval.")
    status = serializers.DictField(child=serializers.IntegerField())
    version = serializers.DictField(child=serializers.IntegerField())
    os_type = serializers.DictField(child=serializers.IntegerField())


class SkippedSerializer(serializers.Serializer[Any]):
    """One agent that nothing was done for."""

    instance_uid = serializers.UUIDField()
    reason = Said()


class OutcomeSerializer(serializers.Serializer[BulkOutcome]):
    """What a request to many agents did; ``skipped_agents`` names the first 100."""

    asked = serializers.IntegerField()
    skipped = serializers.IntegerField()
    skipped_agents = serializers.SerializerMethodField()

    @extend_schema_field(SkippedSerializer(many=True))
    def get_skipped_agents(self, outcome: BulkOutcome) -> list[dict[str, Any]]:
        """Why, one by one."""
        return [{"instance_uid": str(uid), "reason": in_readers_language(reason)} for uid, reason in outcome.sample]


class MoveSerializer(serializers.Serializer[Any]):
    """So many agents whose configuration would change from one name to another; null for none."""

    agents = serializers.IntegerField()

    def to_representation(self, move: Any) -> dict[str, Any]:
        """Under names that Python keeps for itself."""
        return {"from": move.former or None, "to": move.then or None, "agents": move.agents}

    def get_fields(self) -> dict[str, Any]:
        """With those names in the schema."""
        names = {name: serializers.CharField(allow_null=True) for name in ("from", "to")}
        return {**names, **super().get_fields()}


class FragmentChangeSerializer(serializers.Serializer[Any]):
    """So many agents would get a fragment, so many would lose it."""

    name = serializers.CharField()
    added = serializers.IntegerField()
    removed = serializers.IntegerField()


class LabelPreviewSerializer(serializers.Serializer[Any]):
    """What changed labels would do: agents whose labels change, those skipped, and whose configuration or fragments change."""

    changed = serializers.IntegerField()
    skipped = serializers.IntegerField()
    moves = MoveSerializer(many=True)
    fragments = FragmentChangeSerializer(many=True)


# --- What is taken ---------------------------------------------------------------------------------------------------


def labels_field(**options: Any) -> serializers.DictField:
    """Operator labels; which keys and values may be kept, the service judges."""
    return serializers.DictField(child=Text(allow_blank=True, trim_whitespace=False), **options)


class AgentEdit(StrictSerializer):
    """What operators say about an agent. An empty ``name`` gives it back the one it reports."""

    name = Text(max_length=255, required=False, allow_blank=True)
    notes = Text(max_length=20_000, required=False, allow_blank=True)
    operator_labels = labels_field(required=False)


class CustomMessageRequest(StrictSerializer):
    """A custom message; ``data`` is text, ``data_base64`` anything."""

    capability = Text(max_length=255)
    type = Text(max_length=255, allow_blank=True, default="")
    # The metaclass takes fields out of the class, so this hides nothing of the serializer's own.
    data = Text(required=False, allow_blank=True, trim_whitespace=False)  # type: ignore[assignment]
    data_base64 = Text(required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Adds ``bytes``."""
        if "data" in attrs and "data_base64" in attrs:
            raise serializers.ValidationError({"data_base64": [_("Send data or data_base64, not both.")]})
        try:
            data = base64.b64decode(attrs.get("data_base64", ""), validate=True) or attrs.get("data", "").encode()
        except (binascii.Error, ValueError):
            raise serializers.ValidationError({"data_base64": [_("This is not base64.")]}) from None
        if len(data) > MAX_MESSAGE_BYTES:
            name = "data" if "data" in attrs else "data_base64"
            raise serializers.ValidationError({name: [in_readers_language(too_large(data))]})
        return {**attrs, "bytes": data}


class ChosenAgents(StrictSerializer):
    """Which agents: the list's filters, or uids, or all of them. Exactly one of the three."""

    filter = serializers.DictField(
        required=False, allow_empty=False, help_text="Names and values as in the list's query string, without ordering."
    )
    instance_uids = serializers.ListField(child=Uid(), required=False, allow_empty=False, max_length=MOST)
    match_all = Flag(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one choice."""
        if ("filter" in attrs) + ("instance_uids" in attrs) + attrs.get("match_all", False) != 1:
            raise serializers.ValidationError(
                {"filter": [_("Say which agents: send exactly one of filter, instance_uids, and match_all: true.")]}
            )
        return attrs

    def chosen(self, visible: AgentQuerySet) -> AgentQuerySet:
        """The agents, once validated; the request in the context says which words a query may have.

        Raises `ValidationError` with messages by filter.
        """
        values = self.validated_data
        if "instance_uids" in values:
            return visible.filter(instance_uid__in=set(values["instance_uids"]))
        try:
            return filtered(visible, values.get("filter", {}), self.context["request"])
        except InvalidForm as error:
            raise serializers.ValidationError({"filter": error.message_dict}) from error


class LabelsRequest(ChosenAgents):
    """Which agents, and the operator labels to set and to remove."""

    set = labels_field(required=False)
    remove = serializers.ListField(child=Text(), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Something to do, and no label in both."""
        both = {*attrs.get("set", ())} & {*attrs.get("remove", ())}
        if both:
            raise serializers.ValidationError(
                {"remove": [_("Set or remove %(keys)s, not both.") % {"keys": ", ".join(sorted(both))}]}
            )
        if not attrs.get("set") and not attrs.get("remove"):
            raise serializers.ValidationError({"set": [_("Name at least one label to set or to remove.")]})
        return super().validate(attrs)
