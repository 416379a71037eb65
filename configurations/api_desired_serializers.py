"""How what one agent should run, and why, looks as JSON."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from configurations.advice import advice_on
from configurations.api_serializers import AssignmentSerializer
from configurations.models import Assignment, Revision
from configurations.pending_stages import WaitsFor, waits_for
from configurations.targets import running, why
from foundation.api_input import Said
from foundation.languages import in_readers_language


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
    priority = serializers.IntegerField()
    enabled = serializers.BooleanField()
    matches = serializers.BooleanField()
    wins = serializers.BooleanField()
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
    state = serializers.CharField(source="rollout.state")
    stage = serializers.IntegerField(help_text="The agent's, from 1.")


class DesiredSerializer(AssignmentSerializer):
    """What an agent should run, and why."""

    name = serializers.CharField(source="agent.configuration_name", allow_blank=True)
    running = serializers.SerializerMethodField()
    advice = serializers.SerializerMethodField()
    candidates = serializers.SerializerMethodField()
    waits_for = serializers.SerializerMethodField()

    class Meta(AssignmentSerializer.Meta):
        fields = [*AssignmentSerializer.Meta.fields, "name", "running", "advice", "candidates", "waits_for"]
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

    @extend_schema_field(WaitsForSerializer(many=True))
    def get_waits_for(self, assignment: Assignment) -> list[dict[str, Any]]:
        """Rollouts that have yet to come to it, each with the agent's stage."""
        return [dict(WaitsForSerializer(each).data) for each in waits_for(assignment.agent)]

    @extend_schema_field(CandidateSerializer(many=True))
    def get_candidates(self, assignment: Assignment) -> list[dict[str, Any]]:
        """By priority, with the clauses of their selectors."""
        return list(CandidateSerializer(why(assignment.agent), many=True).data)
