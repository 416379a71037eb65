"""How rollouts look as JSON."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from foundation.languages import in_readers_language
from foundation.messages import Message
from rollouts.models import Rollout, RolloutStep
from rollouts.policies import parse_policy
from rollouts.progress import PlannedStage, StagedMember, StageProgress
from rollouts.subjects import MemberState, subject_of


@extend_schema_field(
    {
        "oneOf": [{"type": "string", "enum": ["at_once", "canary"]}, {"type": "object"}],
        "example": {"stages": [{"percent": 5}, {"percent": 25}], "gate": {"applied_percent": 95, "dwell_seconds": 300}},
    }
)
class PolicyField(serializers.JSONField):
    """The name of a policy, or a policy; judged by `rollouts.policies`. Neither a number nor a list can be meant as one."""

    def to_internal_value(self, data: Any) -> Any:
        """Raises `InvalidPolicy` for what is neither, also where a policy is only kept."""
        if not isinstance(data, dict | str):
            parse_policy(data)
        # A name alone is JSON too; the stubs of JSON fields have no texts.
        return super().to_internal_value(cast("dict[str, Any]", data))


def reasons_json(reasons: Sequence[Any]) -> list[dict[str, str]]:
    """Stored reasons in the reader's language, with their codes."""
    messages = [Message.from_json(reason) for reason in reasons]
    return [{"code": message.problem_code, "message": in_readers_language(message)} for message in messages]


class ReasonSerializer(serializers.Serializer[Any]):
    """Why a rollout is where it is."""

    code = serializers.CharField()
    message = serializers.CharField()


class RolloutSummary(serializers.ModelSerializer[Rollout]):
    """A rollout in short, as it stands beside what it rolls out. Stages count from 1; 0: none has begun."""

    stage = serializers.SerializerMethodField()
    stages = serializers.SerializerMethodField()
    revision = serializers.IntegerField(source="version_number")
    reasons = serializers.SerializerMethodField()

    class Meta:
        model = Rollout
        fields = ["id", "state", "stage", "stages", "revision", "reasons", "started_at"]
        read_only_fields = fields

    def get_stage(self, rollout: Rollout) -> int:
        """The present one."""
        return rollout.stage + 1

    def get_stages(self, rollout: Rollout) -> int:
        """How many there are."""
        return len(rollout.stages)

    @extend_schema_field(ReasonSerializer(many=True))
    def get_reasons(self, rollout: Rollout) -> list[dict[str, str]]:
        """In the reader's language."""
        return reasons_json(rollout.reasons)


def active_rollouts(subject: str, subject_ids: Collection[int]) -> dict[int, Rollout]:
    """The active rollout of each of these things that has one, by the thing's key."""
    rows = Rollout.objects.active().filter(subject=subject, subject_id__in=subject_ids)
    return {rollout.subject_id: rollout for rollout in rows}


class CountsSerializer(serializers.Serializer[Any]):
    """Agents by how far they are; see `rollouts.gates.Counts`."""

    applied = serializers.IntegerField()
    failed = serializers.IntegerField()
    waiting = serializers.IntegerField()
    unhealthy = serializers.IntegerField(help_text="Of the applied.")
    lost = serializers.IntegerField(help_text="They had got it, and are not connected now.")
    offline = serializers.IntegerField(help_text="Away since before it came to them; no gate waits for them.")
    held = serializers.IntegerField(help_text="Frozen or paused; no gate waits for them.")
    incapable = serializers.IntegerField()


_EVERYBODY_ELSE = "The last stage, for all whom the others leave out; it is there whether the policy names it or not."


class StageSerializer(serializers.Serializer[StageProgress]):
    """One stage: whom it includes beyond the former ones, and how far they are."""

    stage = serializers.SerializerMethodField()
    state = serializers.CharField(help_text="done, present or to_come")
    audience = serializers.SerializerMethodField()
    everybody_else = serializers.BooleanField(help_text=_EVERYBODY_ELSE)
    gate = serializers.SerializerMethodField()
    agents = serializers.IntegerField()
    to_come = serializers.IntegerField(help_text="Agents that have not got it yet.")
    counts = CountsSerializer()

    def get_stage(self, progress: StageProgress) -> int:
        """From 1."""
        return progress.number

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_audience(self, progress: StageProgress) -> dict[str, Any]:
        """As in the policy."""
        return progress.stage.as_json()

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_gate(self, progress: StageProgress) -> dict[str, int]:
        """At its end."""
        return progress.gate.as_json()


class FailingAgent(serializers.Serializer[Any]):
    """An agent for which there would be nothing to offer."""

    instance_uid = serializers.UUIDField()
    name = serializers.CharField()


class PlannedStageSerializer(serializers.Serializer[PlannedStage]):
    """One stage of a rollout that has not started: whom it includes beyond the former ones."""

    stage = serializers.IntegerField(source="number", help_text="From 1.")
    audience = serializers.SerializerMethodField()
    everybody_else = serializers.BooleanField(help_text=_EVERYBODY_ELSE)
    agents = serializers.IntegerField()
    failures = serializers.IntegerField(help_text="Of these, agents for which the templates would have no result.")
    failing = serializers.SerializerMethodField(
        help_text="The first 20 of these; none without the right to see agents."
    )

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_audience(self, planned: PlannedStage) -> dict[str, Any]:
        """As in the policy."""
        return planned.stage.as_json()

    @extend_schema_field(FailingAgent(many=True))
    def get_failing(self, planned: PlannedStage) -> list[dict[str, str]]:
        """Uids and names."""
        if not self.context.get("names_agents", False):
            return []
        return [{"instance_uid": str(uid), "name": name} for uid, name in planned.failing]


class RolloutSerializer(RolloutSummary):
    """A rollout, without what has to be counted."""

    subject = serializers.CharField()
    name = serializers.CharField()
    policy = PolicyField()

    class Meta(RolloutSummary.Meta):
        fields = [
            *RolloutSummary.Meta.fields,
            "subject", "name", "policy", "stage_began_at", "held_since", "started_by_name", "approved_by_name", "ended_at",
        ]  # fmt: skip
        read_only_fields = fields

    def to_representation(self, instance: Rollout) -> dict[str, Any]:
        """With the words of the kind of thing."""
        return {**super().to_representation(instance), **subject_of(instance).described(instance)}


class RolloutDetail(RolloutSerializer):
    """A rollout with its stages counted."""

    progress = StageSerializer(many=True)

    class Meta(RolloutSerializer.Meta):
        fields = [*RolloutSerializer.Meta.fields, "progress"]
        read_only_fields = fields


class StepSerializer(serializers.ModelSerializer[RolloutStep]):
    """One transition."""

    stage = serializers.SerializerMethodField()
    reasons = serializers.SerializerMethodField()

    class Meta:
        model = RolloutStep
        fields = ["at", "kind", "stage", "by_name", "reasons", "data"]
        read_only_fields = fields

    def get_stage(self, step: RolloutStep) -> int:
        """From 1; 0 before the first."""
        return step.stage + 1

    @extend_schema_field(ReasonSerializer(many=True))
    def get_reasons(self, step: RolloutStep) -> list[dict[str, str]]:
        """In the reader's language."""
        return reasons_json(step.reasons)


class MemberSerializer(serializers.Serializer[StagedMember]):
    """One agent of a rollout."""

    instance_uid = serializers.UUIDField(source="member.instance_uid")
    agent_name = serializers.CharField(source="member.name")
    connected = serializers.BooleanField(source="member.connected")
    stage = serializers.IntegerField(help_text="From 1.")
    state = serializers.ChoiceField(
        [item.value for item in MemberState],
        allow_null=True,
        source="state_value",
        help_text="null: it has got to the agent, and something else is stronger there.",
    )
    error_message = serializers.CharField(allow_blank=True)
