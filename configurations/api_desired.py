"""How it looks as JSON what agents should run, why, and what keeps it back."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.api_serializers import ReportedText
from configurations.advice import advice_on
from configurations.models import Assignment, Pin, Revision
from configurations.pending_stages import WaitsFor, waits_for
from configurations.pins_shown import pin_of
from configurations.targets import fragments_for, running, why
from foundation.api_input import Said
from foundation.clock import clock
from foundation.languages import in_readers_language
from rollouts.services.freezing import ActiveFreeze, holding


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
    asserted = serializers.CharField(
        allow_null=True,
        allow_blank=True,
        help_text="What the agent says under the key when only an operator's label counts for it, else null.",
    )


class CandidateSerializer(serializers.Serializer[Any]):
    """One configuration that the agent might run."""

    name = serializers.CharField()
    revision = serializers.IntegerField(allow_null=True, help_text="What is released to this agent, or pinned.")
    priority = serializers.IntegerField()
    enabled = serializers.BooleanField()
    matches = serializers.BooleanField()
    wins = serializers.BooleanField()
    pinned = serializers.BooleanField()
    waiting_for = serializers.IntegerField(
        allow_null=True, help_text="A newer revision whose release has not come to this agent."
    )
    clauses = ClauseSerializer(many=True)


class RunningSerializer(serializers.ModelSerializer[Revision]):
    """What an agent says is applied: files of ours."""

    name = serializers.CharField(source="configuration.name")
    revision = serializers.IntegerField(source="number")

    class Meta:
        model = Revision
        fields = ["name", "revision", "hash"]
        read_only_fields = fields


class WaitsForSerializer(serializers.Serializer[WaitsFor]):
    """A rollout that has yet to come to the agent."""

    rollout = serializers.IntegerField(source="rollout.pk")
    configuration = serializers.CharField(source="rollout.name")
    revision = serializers.IntegerField(source="rollout.version_number")
    state = serializers.SerializerMethodField()
    stage = serializers.IntegerField(help_text="The agent's, from 1.")
    stage_name = serializers.CharField(help_text="Empty for one without a name.")

    def get_state(self, waits: WaitsFor) -> str:
        """Of the rollout, now."""
        return waits.rollout.state_at(clock.now()).value


class FragmentSerializer(serializers.Serializer[Any]):
    """One fragment that the agent might get."""

    name = serializers.CharField()
    revision = serializers.IntegerField(allow_null=True, help_text="What is released to this agent.")
    priority = serializers.IntegerField()
    enabled = serializers.BooleanField()
    matches = serializers.BooleanField()
    added = serializers.BooleanField(source="wins", help_text="Its files are added to what the agent gets.")
    waiting_for = serializers.IntegerField(
        allow_null=True, help_text="The number of a newer revision that has not come to this agent."
    )
    clauses = ClauseSerializer(many=True)


class PinSerializer(serializers.ModelSerializer[Pin]):
    """What an agent is pinned to; ``revision`` is ``null`` when it follows the configuration."""

    configuration = serializers.CharField(source="configuration.name")
    revision = serializers.IntegerField(source="revision.number", allow_null=True, default=None)
    pinned_by = serializers.CharField(source="pinned_by_name")

    class Meta:
        model = Pin
        fields = ["configuration", "revision", "reason", "pinned_by", "pinned_at", "expires_at"]
        read_only_fields = fields


class HeldSerializer(serializers.Serializer[ActiveFreeze]):
    """The freeze or the pause that keeps offers back."""

    freeze = serializers.IntegerField(source="id")
    kind = serializers.SerializerMethodField()
    reason = serializers.CharField()
    by = serializers.CharField()
    since = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field({"type": "string", "enum": ["freeze", "pause"]})
    def get_kind(self, freeze: ActiveFreeze) -> str:
        """Of this agent alone, or of several."""
        return "freeze" if freeze.agent_id is None else "pause"


class DesiredSerializer(AssignmentSerializer):
    """What an agent should run, and why."""

    name = serializers.CharField(source="agent.configuration_name", allow_blank=True)
    running = serializers.SerializerMethodField()
    advice = serializers.SerializerMethodField()
    pin = serializers.SerializerMethodField()
    held = serializers.SerializerMethodField()
    fragments = serializers.SerializerMethodField()
    candidates = serializers.SerializerMethodField()
    waits_for = serializers.SerializerMethodField()

    class Meta(AssignmentSerializer.Meta):
        fields = [
            *AssignmentSerializer.Meta.fields, "name", "reason", "running", "advice", "pin", "held", "waits_for", "fragments",
            "candidates",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(RunningSerializer(allow_null=True))
    def get_running(self, assignment: Assignment) -> dict[str, Any] | None:
        """What it says it runs, ``null`` for nothing of ours; after a failure mostly the configuration before."""
        revision = running(assignment.agent)
        return None if revision is None else RunningSerializer(revision).data

    def get_advice(self, assignment: Assignment) -> str | None:
        """What may be done about the agent's answer, in the reader's language."""
        advice = advice_on(assignment.agent, assignment)
        return None if advice is None else in_readers_language(advice)

    @extend_schema_field(PinSerializer(allow_null=True))
    def get_pin(self, assignment: Assignment) -> dict[str, Any] | None:
        """What a person pinned it to."""
        pin = pin_of(assignment.agent)
        return None if pin is None else dict(PinSerializer(pin).data)

    @extend_schema_field(HeldSerializer(allow_null=True))
    def get_held(self, assignment: Assignment) -> dict[str, Any] | None:
        """What keeps offers back now."""
        held = holding(assignment.agent, clock.now())
        return None if held is None else dict(HeldSerializer(held).data)

    @extend_schema_field(WaitsForSerializer(many=True))
    def get_waits_for(self, assignment: Assignment) -> list[dict[str, Any]]:
        """Rollouts that have yet to come to it, each with the agent's stage."""
        return [dict(WaitsForSerializer(each).data) for each in waits_for(assignment.agent)]

    @extend_schema_field(FragmentSerializer(many=True))
    def get_fragments(self, assignment: Assignment) -> list[dict[str, Any]]:
        """Those that are added to what it gets first, with the clauses of their selectors."""
        return list(FragmentSerializer(fragments_for(assignment.agent), many=True).data)

    @extend_schema_field(CandidateSerializer(many=True))
    def get_candidates(self, assignment: Assignment) -> list[dict[str, Any]]:
        """By priority, with the clauses of their selectors."""
        return list(CandidateSerializer(why(assignment.agent), many=True).data)
