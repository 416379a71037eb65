"""How configurations look as JSON, and how a request becomes a draft of one."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.api_serializers import shows_secrets
from agents.redaction import HIDDEN
from agents.remote_config import ConfigFile
from agents.shown import files_shown
from configurations.checks import Finding
from configurations.models import RELEASE_SUBJECT, Configuration, Revision
from configurations.previewing import Preview, PreviewAgent, Rival, Taken
from configurations.services.drafts import Draft
from configurations.services.file_edits import FileEdit, edit_files, mime_type, needs_own_key, with_main_file
from configurations.services.publishing import ReleasePlan
from foundation.api_input import Flag, Said, StrictSerializer, Text, Whole
from rollouts.api_serializers import PlannedStageSerializer, PolicyField, RolloutSummary, active_rollouts
from rollouts.policies import parse_policy


class FileSerializer(StrictSerializer):
    """One named file: text in ``body``, or anything in ``body_base64``."""

    body = Text(required=False, allow_blank=True, trim_whitespace=False)
    body_base64 = Text(required=False)
    content_type = Text(required=False, allow_blank=True, max_length=100)
    role = Text(required=False, allow_blank=True, max_length=255, trim_whitespace=False)
    template = Flag(
        required=False, help_text="The text is a template, rendered for each agent; left out where it is false."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One body, and that one whole."""
        if "body" in attrs and "body_base64" in attrs:
            raise serializers.ValidationError({"body_base64": [_("Send body or body_base64, not both.")]})
        if attrs.get("body_base64") == HIDDEN:
            # Of a file that is no text the whole is hidden, and the placeholder for it is one like any other.
            attrs["bytes"] = HIDDEN.encode()
        elif "body_base64" in attrs:
            try:
                attrs["bytes"] = base64.b64decode(attrs["body_base64"], validate=True)
            except (binascii.Error, ValueError):
                raise serializers.ValidationError({"body_base64": [_("body_base64 is not base64.")]}) from None
        elif "body" in attrs:
            attrs["bytes"] = attrs["body"].encode()
        else:
            raise serializers.ValidationError({"body": [_("Send body or body_base64.")]})
        return attrs


@extend_schema_field(OpenApiTypes.OBJECT)
class SelectorField(serializers.JSONField):
    """A map, or Kubernetes' matchLabels and matchExpressions; judged by the service."""


@extend_schema_field(serializers.ListField(child=serializers.DictField(child=serializers.CharField())))
class ConcernedAgents(serializers.Field[Any, Any, Any, Any]):
    """Uid and name of each agent that a finding names."""

    def to_representation(self, value: Sequence[tuple[int, str, str]]) -> list[dict[str, str]]:
        """Without the keys of their rows."""
        return [{"instance_uid": uid, "name": name} for _row, uid, name in value]


class FindingSerializer(serializers.Serializer[Finding]):
    """One problem of a text, at its place."""

    severity = serializers.CharField()
    kind = serializers.CharField()
    code = serializers.CharField(source="message.problem_code", help_text="What is wrong, for programs: stable.")
    message = Said()
    file = serializers.CharField(allow_blank=True, help_text="The config key of the file.")
    line = serializers.IntegerField(help_text="From 1; 0 for what stands in no text.")
    column = serializers.IntegerField()
    path = serializers.CharField(allow_blank=True)
    agents = ConcernedAgents(required=False, help_text="Some of the agents concerned; left out where none are named.")

    def to_representation(self, instance: Finding) -> dict[str, Any]:
        """Agents only where some are named."""
        found: dict[str, Any] = super().to_representation(instance)
        if not instance.agents:
            del found["agents"]
        return found


def findings_json(findings: Sequence[Finding], *, name_agents: bool = False) -> list[dict[str, Any]]:
    """Findings as the API says them, in answers and in problems; ``name_agents``: to somebody who may see them."""
    told = findings if name_agents else [replace(finding, agents=()) for finding in findings]
    return [dict(FindingSerializer(finding).data) for finding in told]


class ConfigurationSerializer(StrictSerializer):
    """A configuration as programs read and write it."""

    name = Text(max_length=100)
    kind = serializers.ChoiceField(
        choices=Configuration.Kind.choices,
        required=False,
        help_text="`whole`: of those that match, an agent gets one; `fragment`: added to that. It never changes.",
    )
    display_name = Text(max_length=255, required=False, allow_blank=True)
    description = Text(required=False, allow_blank=True)
    content_type = Text(max_length=100, required=False)
    config_key = Text(max_length=255, required=False, allow_blank=True, trim_whitespace=False)
    raw_config = Text(required=False, allow_blank=True, trim_whitespace=False)
    template = Flag(required=False, help_text="The text under `config_key` is a template, rendered for each agent.")
    files = serializers.DictField(child=FileSerializer(), required=False)
    selector = SelectorField(required=False)
    match_all = Flag(required=False)
    priority = Whole(required=False, min_value=-(2**31), max_value=2**31 - 1)
    enabled = Flag(required=False)
    revision = Whole(
        required=False, min_value=0, help_text="The revision an edit is based on; 409 when it is not the present one."
    )
    note = Text(max_length=500, required=False, allow_blank=True, write_only=True)
    force = Flag(
        required=False,
        write_only=True,
        help_text="Publish it although nothing stands in it, it is wrapped in another format, or a Collector would refuse it. "
        "Needs the right `configurations.publish_with_errors`.",
    )
    rollout_policy = PolicyField(
        required=False,
        allow_null=True,
        help_text="How revisions are released unless an edit says; null: as the site has it.",
    )
    release = PolicyField(
        required=False, write_only=True, help_text="How this edit is released: a policy, or its name."
    )
    replace_rollout = Flag(
        required=False, write_only=True, help_text="End a rollout that has not ended, instead of being refused for it."
    )
    rollout = RolloutSummary(read_only=True, allow_null=True, help_text="The rollout that is on its way.")
    config_hash = serializers.CharField(read_only=True)
    matched_agents = serializers.IntegerField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)

    def to_representation(self, instance: Configuration) -> dict[str, Any]:
        """The contract's fields."""
        current = instance.current
        # A list asks for those of all its rows at once.
        known = self.context.get("rollouts")
        rollouts = active_rollouts(RELEASE_SUBJECT, [instance.pk]) if known is None else known
        rollout = rollouts.get(instance.pk)
        files = dict(current.files) if current else {}
        if not shows_secrets(self):
            files = files_shown(files)
        return {
            "name": instance.name,
            "kind": instance.kind,
            "display_name": instance.display_name,
            "description": instance.description,
            "content_type": instance.content_type,
            "config_key": instance.config_key,
            "raw_config": files.get(instance.config_key, {}).get("body", ""),
            "template": bool(files.get(instance.config_key, {}).get("template", False)),
            "files": files,
            "selector": instance.selector,
            "match_all": instance.match_all,
            "priority": instance.priority,
            "enabled": instance.enabled,
            "rollout_policy": instance.rollout_policy,
            "rollout": None if rollout is None else dict(RolloutSummary(rollout).data),
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


class RivalSerializer(serializers.Serializer[Rival]):
    """Another configuration that matches some of the agents, and whether it wins them."""

    name = serializers.CharField()
    priority = serializers.IntegerField()
    agents = serializers.IntegerField()
    wins = serializers.BooleanField()
    by_name = serializers.BooleanField(help_text="Both have the same priority; the name decides.")


class TakenSerializer(serializers.Serializer[Taken]):
    """Agents that would be taken from another configuration."""

    name = serializers.CharField(help_text="The configuration that they should run now; empty for none.")
    agents = serializers.IntegerField()


class PreviewSerializer(serializers.Serializer[Preview]):
    """`configurations.previewing.Preview` as JSON."""

    matched = serializers.IntegerField()
    assigned = serializers.IntegerField()
    gained = serializers.IntegerField()
    lost = serializers.IntegerField()
    offline = serializers.IntegerField()
    incapable = serializers.IntegerField()
    unproven = serializers.IntegerField(
        help_text="Agents that say of themselves what the selector asks for, under keys for which their word does not count."
    )
    sample = PreviewAgentSerializer(many=True)
    taken = TakenSerializer(many=True, help_text="What the gained agents should run now.")
    rivals = RivalSerializer(many=True)
    findings = FindingSerializer(many=True, source="told")
    stages = PlannedStageSerializer(
        many=True, help_text="Of the rollout that would start, by `release` or the policy that is set; empty: at once."
    )


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
    force = Flag(required=False, help_text="Also when nothing stands in that revision.")


def plan_of(values: dict[str, Any], *, staged: bool = False) -> ReleasePlan:
    """How the edit is to be released, by the validated fields of a request; ``staged`` as in `ReleasePlan`, unless it says how.

    Raises `InvalidPolicy`.
    """
    replace = values.get("replace_rollout", False)
    if "release" not in values:
        return ReleasePlan(by_default=True, replace=replace, staged=staged)
    return ReleasePlan(parse_policy(values["release"]), replace=replace)


def drafted(values: dict[str, Any], base: Draft) -> Draft:
    """``base`` changed by the validated fields of a request.

    ``files`` replaces the whole map; ``raw_config`` the file under ``config_key``, and must not contradict ``files``.
    An empty ``raw_config`` beside ``files`` says nothing: that is how a file that is no text is shown. The file of a fragment
    bears its name unless a key is given.
    """
    columns = ("kind", "display_name", "description", "priority", "enabled", "selector", "match_all", "rollout_policy")
    draft = dataclasses.replace(base, **{key: values[key] for key in columns if key in values})
    if (
        draft.kind == Configuration.Kind.FRAGMENT
        and needs_own_key(base)
        and not values.keys() & {"config_key", "files"}
    ):
        values = {**values, "config_key": values.get("name", "")}
    if "content_type" in values:
        draft = dataclasses.replace(draft, content_type=mime_type(values["content_type"]))
    if "files" in values:
        key = values.get("config_key", draft.config_key)
        files = {name: _file(entry, draft.content_type) for name, entry in values["files"].items()}
        return _with_template(values, _with_raw_config(values, dataclasses.replace(draft, config_key=key, files=files)))
    if "config_key" in values:
        draft = with_main_file(draft, values["config_key"])
    main = draft.files.get(draft.config_key)
    kind = draft.content_type if "content_type" in values else None
    if "raw_config" in values:
        body = values["raw_config"].encode()
        former = None if main is None else draft.config_key
        draft = edit_files(draft, [FileEdit(draft.config_key, former, body, kind)])
    elif main is not None and kind is not None:
        draft = edit_files(draft, [FileEdit(draft.config_key, draft.config_key, content_type=kind)])
    return _with_template(values, draft)


def _with_template(values: dict[str, Any], draft: Draft) -> Draft:
    """The main file a template or none, where the request says so. Raises `ValidationError` where ``files`` say the opposite."""
    if "template" not in values or draft.config_key not in draft.files:
        return draft
    said = values.get("files", {}).get(draft.config_key, {}).get("template")
    if said is not None and said != values["template"]:
        raise serializers.ValidationError({"template": [_("template and files say the opposite of each other.")]})
    return edit_files(draft, [FileEdit(draft.config_key, draft.config_key, template=values["template"])])


def _with_raw_config(values: dict[str, Any], draft: Draft) -> Draft:
    """``files`` with the text that stands beside them. Raises `ValidationError` when they contradict each other."""
    if not values.get("raw_config"):
        return draft
    body = values["raw_config"].encode()
    known = draft.files.get(draft.config_key)
    if known is None:
        return edit_files(draft, [FileEdit(draft.config_key, body=body)])
    if known.body != body:
        raise serializers.ValidationError(
            {"raw_config": [_("raw_config and files name different texts for the same config key.")]}
        )
    return draft


def _file(entry: dict[str, Any], content_type: str) -> ConfigFile:
    kind = mime_type(entry["content_type"]) if "content_type" in entry else content_type
    return ConfigFile(entry["bytes"], kind, entry.get("role", ""), entry.get("template", False))
