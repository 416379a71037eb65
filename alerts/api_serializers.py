"""How alerts, and what there is about them, look as JSON."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from alerts.alert_options import RULE_KINDS
from alerts.alerts_shown import alert_text, may_see_names
from alerts.models import Alert, AlertDelivery, AlertRule, AlertSeverity, Receiver, Silence
from alerts.services.rule_edits import LONGEST_SECONDS
from alerts.subjects_firing import FiringSubject
from foundation.api_input import Flag, StrictSerializer, Text, Whole
from foundation.languages import in_readers_language
from foundation.messages import Message


@extend_schema_field(OpenApiTypes.OBJECT)
class AlertSelectorField(serializers.JSONField):
    """A map, or Kubernetes' matchLabels and matchExpressions; judged by the service."""


@extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
class ParametersField(serializers.JSONField):
    """Whole numbers by name; judged by the service."""


class KeyField(serializers.PrimaryKeyRelatedField[Any]):
    """The ``id`` of a row, as a number."""

    def to_internal_value(self, data: Any) -> Any:
        """Raises `ValidationError` for what no row has."""
        if isinstance(data, bool) or not isinstance(data, int) or not 0 < data < 2**63:
            self.fail("does_not_exist", pk_value=data)
        return super().to_internal_value(data)


class SampledSerializer(serializers.Serializer[Any]):
    """One of the things that an alert counts; agents have an ``instance_uid``."""

    name = serializers.CharField()
    what = serializers.CharField(
        help_text="`agent`, `rollout`, `configuration`, `certificate`, `enrolment_token`, `api_token`."
    )
    instance_uid = serializers.CharField(required=False)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Of the stored form."""
        uid = {"instance_uid": instance["uid"]} if instance["uid"] else {}
        return {"name": instance["name"], "what": instance["what"], **uid}


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """An alert. ``rule`` is null when the rule is gone; ``sample`` is empty for who may not see what it names."""

    rule = serializers.IntegerField(source="rule_id", allow_null=True)
    group = serializers.CharField(source="group_words")
    summary = serializers.SerializerMethodField()
    code = serializers.SerializerMethodField()
    labels = serializers.DictField(child=serializers.CharField())
    sample = serializers.SerializerMethodField()
    silenced_by = serializers.IntegerField(source="silence_id", allow_null=True)
    acknowledged_by = serializers.CharField(source="acknowledged_by_name")

    class Meta:
        model = Alert
        fields = [
            "id", "rule", "rule_name", "kind", "severity", "state", "group", "labels", "summary", "code", "count", "total",
            "sample", "started_at", "fired_at", "last_at", "resolved_at", "notified_at", "silenced_by", "acknowledged_at",
            "acknowledged_by", "acknowledge_note",
        ]  # fmt: skip
        read_only_fields = fields

    def get_summary(self, row: Alert) -> str:
        """In the reader's language."""
        return alert_text(row)

    def get_code(self, row: Alert) -> str:
        """That of the summary, for programs."""
        return row.message.code

    @extend_schema_field(SampledSerializer(many=True))
    def get_sample(self, row: Alert) -> Any:
        """Some of the things concerned."""
        seen = may_see_names(self.context["request"].user, row.kind)
        return SampledSerializer(row.sample if seen else [], many=True).data


class AcknowledgeRequest(StrictSerializer):
    """What others should know."""

    note = Text(required=False, allow_blank=True, default="", max_length=500)


class RuleFields(StrictSerializer):
    """What a rule watches; its name apart."""

    kind = serializers.ChoiceField(
        [(name, name) for name in RULE_KINDS], help_text="Cannot be changed later. docs/alerts.md says what each takes."
    )
    parameters = ParametersField(required=False, help_text="What is left out has the default of the kind.")
    selector = AlertSelectorField(required=False, help_text="The agents it watches; empty: all.")
    query = Text(
        required=False,
        allow_blank=True,
        max_length=2_000,
        help_text="Of these agents those that it asks for (docs/queries.md).",
    )
    group_by = serializers.ChoiceField(AlertRule.Grouping.choices, required=False)
    group_label = Text(required=False, allow_blank=True, max_length=255)


class RuleSerializer(RuleFields):
    """A rule. Without ``receivers`` the default ones are told."""

    id = serializers.IntegerField(read_only=True)
    name = Text(max_length=100)
    description = Text(required=False, allow_blank=True, max_length=2_000)
    severity = serializers.ChoiceField(AlertSeverity.choices, required=False)
    enabled = Flag(required=False)
    dwell_seconds = Whole(required=False, min_value=0, max_value=LONGEST_SECONDS)
    clear_seconds = Whole(required=False, min_value=0, max_value=LONGEST_SECONDS)
    repeat_seconds = Whole(required=False, min_value=0, max_value=LONGEST_SECONDS, help_text="0: told once.")
    receivers = serializers.ListField(child=KeyField(queryset=Receiver.objects.all()), required=False, max_length=50)
    problem = serializers.CharField(read_only=True, help_text="Why it could not be evaluated last time, or empty.")
    evaluated_at = serializers.DateTimeField(read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def to_representation(self, instance: AlertRule) -> dict[str, Any]:
        """With the keys of its receivers."""
        time = self.fields["created_at"].to_representation
        return {
            **{
                name: getattr(instance, name)
                for name in ("id", "name", "description", "kind", "parameters", "selector")
            },
            **{name: getattr(instance, name) for name in ("query", "severity", "enabled", "group_by", "group_label")},
            **{name: getattr(instance, name) for name in ("dwell_seconds", "clear_seconds", "repeat_seconds")},
            "receivers": sorted(row.pk for row in instance.receivers.all()),
            "problem": in_readers_language(Message.from_json(instance.problem)) if instance.problem else "",
            "evaluated_at": time(instance.evaluated_at) if instance.evaluated_at else None,
            "created_at": time(instance.created_at),
            "updated_at": time(instance.updated_at),
        }


class SubjectSerializer(serializers.Serializer[FiringSubject]):
    """One alert that a rule would have now."""

    group = serializers.CharField(source="key")
    summary = serializers.SerializerMethodField()
    count = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True)
    labels = serializers.DictField(child=serializers.CharField())
    sample = serializers.SerializerMethodField()

    def get_summary(self, subject: FiringSubject) -> str:
        """In the reader's language."""
        return in_readers_language(subject.text)

    @extend_schema_field(SampledSerializer(many=True))
    def get_sample(self, subject: FiringSubject) -> Any:
        """Some of the things concerned."""
        shown = [one.as_json() for one in subject.sample] if self.context["sees_names"] else []
        return SampledSerializer(shown, many=True).data


class RulePreviewSerializer(serializers.Serializer[Any]):
    """What a rule would find now, whatever its dwell."""

    alerts = SubjectSerializer(many=True)
    count = serializers.IntegerField(help_text="Of all of them together.")


class SilenceSerializer(serializers.ModelSerializer[Silence]):
    """A silence. Matchers that are empty match everything."""

    rule = serializers.IntegerField(source="rule_id", allow_null=True)
    selector = AlertSelectorField()
    author = serializers.CharField(source="author_name")
    ended_by = serializers.CharField(source="ended_by_name")
    active = serializers.SerializerMethodField()

    severity = serializers.ChoiceField(AlertSeverity.choices, allow_blank=True, help_text="Empty: of each.")

    class Meta:
        model = Silence
        fields = [
            "id", "rule", "severity", "selector", "note", "author", "starts_at", "expires_at", "ended_at", "ended_by", "active",
        ]  # fmt: skip
        read_only_fields = fields

    def get_active(self, row: Silence) -> bool:
        """Whether it holds now."""
        return row.is_active(self.context["now"])


class NewSilence(StrictSerializer):
    """Which alerts, why and until when."""

    rule = KeyField(queryset=AlertRule.objects.all(), required=False, allow_null=True)
    severity = serializers.ChoiceField(AlertSeverity.choices, required=False, allow_blank=True)
    selector = AlertSelectorField(required=False, help_text="Labels of the alert, or of all its agents.")
    note = Text(max_length=500, allow_blank=True)
    expires_at = serializers.DateTimeField()


class ReceiverSerializer(StrictSerializer):
    """A receiver. Its address and secret are written and never read."""

    id = serializers.IntegerField(read_only=True)
    name = Text(max_length=100)
    kind = serializers.ChoiceField(Receiver.Kind.choices, help_text="Cannot be changed later.")
    enabled = Flag(required=False)
    is_default = Flag(required=False, help_text="Told of rules that name no receivers.")
    least_severity = serializers.ChoiceField(AlertSeverity.choices, required=False)
    language = Text(required=False, max_length=10, help_text="`en` or `zh-hans`.")
    recipients = serializers.ListField(
        child=Text(max_length=254), required=False, max_length=50, help_text="Of e-mail."
    )
    address = Text(write_only=True, required=False, max_length=2_000, help_text="Never shown again.")
    secret = Text(
        write_only=True,
        required=False,
        allow_blank=True,
        max_length=500,
        help_text="Signs webhooks, and is the bearer token for Alertmanager. Left out it stays, unless the address is another.",
    )
    address_shown = serializers.CharField(read_only=True, help_text="What may be seen of the address.")
    has_secret = serializers.BooleanField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def to_representation(self, instance: Receiver) -> dict[str, Any]:
        """Without what is secret."""
        time = self.fields["created_at"].to_representation
        names = (
            "id",
            "name",
            "kind",
            "enabled",
            "is_default",
            "least_severity",
            "language",
            "recipients",
            "address_shown",
        )
        return {
            **{name: getattr(instance, name) for name in names},
            "has_secret": bool(instance.encrypted_secret),
            "created_at": time(instance.created_at),
            "updated_at": time(instance.updated_at),
        }


class TriedSerializer(serializers.Serializer[Any]):
    """What came of a test notice."""

    accepted = serializers.BooleanField()
    status_code = serializers.IntegerField(allow_null=True)
    problem = serializers.CharField(help_text="Empty when the receiver took it.")


class DeliverySerializer(serializers.ModelSerializer[AlertDelivery]):
    """One notice to one receiver."""

    receiver = serializers.IntegerField(source="receiver_id")
    receiver_name = serializers.CharField(source="receiver.name")
    alert = serializers.IntegerField(source="alert_id")
    problem = serializers.SerializerMethodField()

    class Meta:
        model = AlertDelivery
        fields = [
            "id", "receiver", "receiver_name", "alert", "event", "key", "state", "attempts", "created_at", "next_attempt_at",
            "finished_at", "status_code", "problem",
        ]  # fmt: skip
        read_only_fields = fields

    def get_problem(self, row: AlertDelivery) -> str:
        """Why the last attempt failed, in the reader's language."""
        return in_readers_language(Message.from_json(row.problem)) if row.problem else ""
