"""How rollouts look as JSON."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from foundation.clock import clock
from foundation.languages import in_readers_language
from foundation.messages import Message
from rollouts.former_names import present_names
from rollouts.gates import StageGate
from rollouts.models import Rollout, RolloutStep
from rollouts.policies import LONGEST_NAME, MOST_STAGES, NAMED_POLICIES, OnGateFailure, parse_policy
from rollouts.progress import PlannedStage, StagedMember, StageProgress
from rollouts.subjects import COUNTS, MemberState, subject_of
from rollouts.windows import DAYS

_PERCENT = {"type": "integer", "minimum": 0, "maximum": 100}
_GATE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        name: _PERCENT if "percent" in name else {"type": "integer", "minimum": 0} for name in StageGate().as_json()
    },
}
_STAGE = {
    "type": "object",
    "description": "One of percent, count and selector.",
    "properties": {
        "name": {"type": "string", "maxLength": LONGEST_NAME},
        "percent": {"type": "integer", "minimum": 1, "maximum": 100},
        "count": {"type": "integer", "minimum": 1},
        "selector": {"type": "object"},
        "gate": _GATE,
    },
}
POLICY_PROPERTIES: dict[str, dict[str, Any]] = {
    "stages": {
        "type": "array",
        "items": _STAGE,
        "maxItems": MOST_STAGES,
        "example": [{"name": "canary", "percent": 5}, {"percent": 25}],
    },
    "gate": {**_GATE, "description": "Of stages without one of their own."},
    "max_in_flight": {"type": "integer", "minimum": 0, "description": "0: no limit."},
    "window": {
        "type": "object",
        "nullable": True,
        "properties": {
            "days": {"type": "array", "items": {"type": "string", "enum": list(DAYS)}},
            **{name: {"type": "string", "example": "22:00"} for name in ("from", "to")},
            "timezone": {"type": "string", "example": "Europe/Berlin"},
        },
    },
    "approval": {"type": "boolean"},
    "on_gate_failure": {"type": "string", "enum": [item.value for item in OnGateFailure]},
}
"""The fields of a policy, as the schema says them."""


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "enum": [*NAMED_POLICIES]},
            {"type": "object", "properties": POLICY_PROPERTIES},
        ],
        "example": {"stages": [{"percent": 5}, {"percent": 25}], "gate": {"applied_percent": 95, "dwell_seconds": 300}},
    }
)
class PolicyField(serializers.JSONField):
    """The name of a policy, or a policy; judged by `rollouts.policies`. Neither a number nor a list can be meant as one."""

    def to_internal_value(self, data: Any) -> Any:
        """Raises `InvalidPolicy` for what is neither, also where a policy is only kept."""
        if not isinstance(data, dict | str):
            parse_policy(data)
        data = present_names(data)
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

    state = serializers.SerializerMethodField()
    stage = serializers.SerializerMethodField()
    stage_name = serializers.CharField(help_text="Of the present one, empty for one without a name.")
    stages = serializers.SerializerMethodField()
    revision = serializers.IntegerField(source="version_number")
    reasons = serializers.SerializerMethodField()

    class Meta:
        model = Rollout
        fields = ["id", "state", "stage", "stage_name", "stages", "revision", "reasons", "started_at"]
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(Rollout.State.choices))
    def get_state(self, rollout: Rollout) -> str:
        """Where it stands now; scheduled: it waits for its start, or for its window."""
        return rollout.state_at(clock.now()).value

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
    """Agents by how far they are: the first five are all agents of the stage, each once; the others say more of these."""

    done = serializers.IntegerField(help_text="They have applied it.")
    pending = serializers.IntegerField(help_text="Connected, and it has not come to them or they have not answered.")
    offline = serializers.IntegerField(help_text="Not connected now, and they have not failed.")
    failed = serializers.IntegerField()
    incapable = serializers.IntegerField(help_text="They take none; no gate waits for them.")
    unhealthy = serializers.IntegerField(help_text="Of the done, those that say so.")
    lost = serializers.IntegerField(help_text="Of the offline, those that had got it; for others no gate waits.")
    waiting = serializers.IntegerField(help_text="Of the pending, those that a gate waits for.")
    held = serializers.IntegerField(help_text="Of the pending: frozen, paused, not approved; no gate waits for them.")
    to_come = serializers.IntegerField(help_text="Of the pending and the offline, those to whom it has not come yet.")


_EVERYBODY_ELSE = "The last stage, for all whom the others leave out; it is there whether the policy names it or not."


class StageSerializer(serializers.Serializer[StageProgress]):
    """One stage: whom it includes beyond the former ones, and how far they are."""

    stage = serializers.SerializerMethodField()
    name = serializers.CharField(source="stage.name", help_text="Empty for one without a name.")
    state = serializers.CharField(help_text="done, present or to_come")
    audience = serializers.SerializerMethodField()
    everybody_else = serializers.BooleanField(help_text=_EVERYBODY_ELSE)
    gate = serializers.SerializerMethodField()
    agents = serializers.IntegerField()
    counts = CountsSerializer(source="counts.as_json")
    passed_over = serializers.IntegerField(
        help_text="No agents of it: it has come to them, and something else is stronger there."
    )

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
    name = serializers.CharField(source="stage.name", help_text="Empty for one without a name.")
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
    stage_name = serializers.CharField(help_text="Empty for one without a name.")
    state = serializers.ChoiceField(
        [item.value for item in MemberState],
        allow_null=True,
        source="state_value",
        help_text="null: it has got to the agent, and something else is stronger there.",
    )
    counts_as = serializers.ChoiceField(
        COUNTS, allow_null=True, help_text="As which of the counts of its stage it is counted; null: as none."
    )
    error_message = serializers.CharField(allow_blank=True)
