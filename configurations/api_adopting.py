"""The REST endpoints that make a configuration of what agents run: of one agent, or of a group that runs the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.label_conditions import selector_condition
from agents.models import Agent
from agents.selectors import parse_selector
from agents.shown import files_shown, pair_shown
from configurations.api_draft_serializers import DraftSerializer
from configurations.api_serializers import (
    ConfigurationSerializer,
    FileSerializer,
    FindingSerializer,
    SelectorField,
    findings_json,
    plan_of,
)
from configurations.models import Configuration, files_to_json
from configurations.previewing import targeting_findings
from configurations.services import adopting
from configurations.services.adopting import Proposal
from configurations.services.effective_groups import (
    DescribedGroup,
    agent_groups,
    described_groups,
    propose_for_group,
    unjudged,
)
from foundation.api_input import Flag, StrictSerializer, Text, Whole
from foundation.api_query import DeclaredQuery
from foundation.clock import clock
from rollouts.api_serializers import PolicyField

_MOST_LISTED = 50
_UID = OpenApiParameter("agent", OpenApiTypes.UUID, description="Of which agent; this or `group`.")
_GROUP = OpenApiParameter("group", OpenApiTypes.STR, description="Of which group, by its key; this or `agent`.")


class WhatToAdopt(StrictSerializer):
    """An agent, or a group."""

    agent = serializers.UUIDField(required=False, help_text="Of which agent; this or `group`.")
    group = Text(required=False, max_length=64, help_text="Of which group, by its key; this or `agent`.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of both."""
        if ("agent" in attrs) == ("group" in attrs):
            raise serializers.ValidationError({"agent": [_("Say agent or group, and not both.")]})
        return attrs


class AdoptRequest(WhatToAdopt):
    """What to adopt, and as what; what is left out is as the proposal has it."""

    name = Text(max_length=100, required=False)
    display_name = Text(max_length=255, required=False, allow_blank=True)
    description = Text(required=False, allow_blank=True)
    selector = SelectorField(required=False)
    match_all = Flag(required=False)
    priority = Whole(required=False, min_value=-(2**31), max_value=2**31 - 1)
    note = Text(max_length=500, required=False, allow_blank=True)
    document = Text(
        required=False, max_length=64, help_text="The proposal's; 409 when the agent runs something else by now."
    )
    publish = Flag(required=False, help_text="Publish it at once, instead of keeping a draft that reaches nobody.")
    release = PolicyField(required=False, help_text="How it is released when it is published: a policy, or its name.")
    force = Flag(
        required=False,
        help_text="Publish it although checks block it. Needs the right `configurations.publish_with_errors`.",
    )


class TakenOut(serializers.Serializer[Any]):
    """What an agent or its supervisor adds by itself, which is not adopted."""

    file = serializers.CharField(allow_blank=True, help_text="The config key of the file.")
    path = serializers.CharField()


class ProposalSerializer(serializers.Serializer[Any]):
    """What adopting would make, secrets hidden."""

    agent = serializers.UUIDField(help_text="The agent whose configuration it is; of a group one of its agents.")
    document = serializers.CharField(help_text="What the agent reported, to be sent along when it is adopted.")
    name = serializers.CharField()
    selector = SelectorField()
    matched_agents = serializers.IntegerField(help_text="Agents that the selector matches now.")
    content_type = serializers.CharField()
    config_key = serializers.CharField(allow_blank=True)
    files = serializers.DictField(child=FileSerializer())
    taken_out = TakenOut(many=True)
    hides = serializers.BooleanField(
        help_text="Placeholders would stand where the caller may not see secrets; they have to be typed before it is published."
    )
    findings = FindingSerializer(many=True)


class AdoptedSerializer(serializers.Serializer[Any]):
    """What was made: a draft, or a configuration."""

    draft = DraftSerializer(allow_null=True)
    configuration = ConfigurationSerializer(allow_null=True)
    taken_out = TakenOut(many=True)
    warnings = FindingSerializer(many=True, help_text="What checks say of a configuration, and did not block it.")


class AdoptView(DeclaredQuery, GenericAPIView[Any]):
    """A configuration made of what runs."""

    queryset = Configuration.objects.all()
    serializer_class = AdoptRequest
    filter_backends = []
    pagination_class = None
    right: str | None = "add"
    further_rights: Sequence[str] = ("agents.view_agent",)

    def known_query(self) -> set[str]:
        """Of the proposal alone."""
        known = super().known_query()
        return known | {"agent", "group"} if self.request.method in ("GET", "HEAD") else known

    @extend_schema(operation_id="configurations_adopt_propose", parameters=[_UID, _GROUP], responses=ProposalSerializer)
    def get(self, request: Request) -> Response:
        """What adopting would make. 409 when the agent has not said what it runs, 422 when that cannot be kept."""
        asked = WhatToAdopt(
            data={name: request.query_params[name] for name in ("agent", "group") if name in request.query_params}
        )
        asked.is_valid(raise_exception=True)
        found = self._proposal(request, asked.validated_data)
        draft = found.draft
        return Response(
            {
                "agent": str(found.agent.instance_uid),
                "document": found.document,
                "name": found.name,
                "selector": draft.selector,
                "matched_agents": Agent.objects.filter(selector_condition(parse_selector(draft.selector))).count(),
                "content_type": draft.content_type,
                "config_key": draft.config_key,
                "files": files_shown(files_to_json(draft.files)),
                "taken_out": _taken(found),
                "hides": found.hides,
                "findings": findings_json(found.findings()),
            }
        )

    @extend_schema(operation_id="configurations_adopt", request=AdoptRequest, responses={201: AdoptedSerializer})
    def post(self, request: Request) -> Response:
        """Keep it as a draft, which reaches nobody, or publish it.

        409 when the name is taken, or the agent runs something else than `document`; 422 when values are hidden that have to be
        typed first, or a Collector would refuse it.
        """
        asked = AdoptRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        found = self._proposal(request, values)
        adopting.require_document(found, values.get("document"))
        columns = ("display_name", "description", "selector", "match_all", "priority")
        draft = adopting.edited(found, **_columns(values, columns))
        name, by = values.get("name", found.name), signed_in(request)
        body: dict[str, Any] = {"draft": None, "configuration": None, "taken_out": _taken(found), "warnings": []}
        options: dict[str, Any] = {"name": name, "by": by, "at": clock.now(), "note": values.get("note", "")}
        if not values.get("publish", False):
            row = adopting.adopt_as_draft(found, draft, **options)
            return Response(body | {"draft": DraftSerializer(row).data}, status=201)
        made, findings = adopting.adopt_and_publish(
            found, draft, force=values.get("force", False), plan=plan_of(values), **options
        )
        shown = Configuration.objects.select_related("current").with_matched_agents().get(pk=made.pk)
        told = findings_json([*findings, *targeting_findings(shown)], name_agents=True)
        return Response(body | {"configuration": ConfigurationSerializer(shown).data, "warnings": told}, status=201)

    def _proposal(self, request: Request, values: dict[str, Any]) -> Proposal:
        """Raises `NotFound`, and what `adopting.propose` raises."""
        by = signed_in(request)
        if "group" in values:
            found = propose_for_group(values["group"], by=by)
            if found is None:
                raise NotFound
            return found
        agent = Agent.objects.visible_to(by).filter(instance_uid=values["agent"]).first()
        if agent is None:
            raise NotFound
        return adopting.propose(agent, by=by)


class GroupQuery(serializers.Serializer[Any]):
    """Which groups are asked for."""

    assigned = serializers.ChoiceField(["none", "any"], default="none")
    limit = serializers.IntegerField(min_value=1, max_value=_MOST_LISTED, default=20)
    offset = serializers.IntegerField(min_value=0, max_value=1_000, default=0)


GROUP_PARAMETERS = [
    OpenApiParameter(
        "assigned",
        {"type": "string", "enum": ["none", "any"], "default": "none"},
        description="`none`: agents that should run nothing of ours; `any`: all agents.",
    ),
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": _MOST_LISTED, "default": 20}),
    OpenApiParameter("offset", {"type": "integer", "minimum": 0, "maximum": 1_000, "default": 0}),
]


class GroupMember(serializers.Serializer[Any]):
    """One agent of a group."""

    instance_uid = serializers.UUIDField()
    name = serializers.CharField()
    hostname = serializers.CharField(allow_blank=True)


class GroupSerializer(serializers.Serializer[Any]):
    """Agents that run the same."""

    key = serializers.CharField(help_text="Names the group as long as its agents run that.")
    agents = serializers.IntegerField()
    connected = serializers.IntegerField()
    examples = GroupMember(many=True)
    labels = serializers.DictField(child=serializers.CharField(), help_text="Those that all of its agents share.")
    selector = SelectorField(
        help_text="What is proposed, made of the shared labels; empty when there are none that fit."
    )
    matched_outside = serializers.IntegerField(help_text="Agents that the selector matches beside those of the group.")


class GroupsPage(serializers.Serializer[Any]):
    """The largest groups first; 1,000 are listed at most."""

    count = serializers.IntegerField()
    unjudged = serializers.IntegerField(
        help_text="Reported configurations that are not compared yet, each of which is a group of its own until then."
    )
    results = GroupSerializer(many=True)


class GroupsView(DeclaredQuery, GenericAPIView[Any]):
    """Agents by what they run."""

    queryset = Agent.objects.all()
    serializer_class = GroupsPage
    filter_backends = []
    pagination_class = None
    query = tuple(parameter.name for parameter in GROUP_PARAMETERS)

    @extend_schema(operation_id="agents_groups", parameters=GROUP_PARAMETERS, responses=GroupsPage)
    def get(self, request: Request) -> Response:
        """Groups of agents that run the same, to be adopted in one go (`POST /configurations:adopt`)."""
        asked = GroupQuery(
            data={name: request.query_params[name] for name in self.query if name in request.query_params}
        )
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        everybody = values["assigned"] == "any"
        found = agent_groups(everybody=everybody)
        start = values["offset"]
        page = described_groups(found[start : start + values["limit"]], everybody=everybody)
        return Response({"count": len(found), "unjudged": unjudged(), "results": [_group_json(each) for each in page]})


def _group_json(each: DescribedGroup) -> dict[str, Any]:
    return {
        "key": each.group.key,
        "agents": each.group.agents,
        "connected": each.group.connected,
        "examples": [
            {"instance_uid": str(agent.instance_uid), "name": agent.name, "hostname": agent.hostname}
            for agent in each.examples
        ],
        "labels": {key: pair_shown(key, value) for key, value in (each.labels or {}).items()},
        "selector": each.selector,
        "matched_outside": each.outside,
    }


def _columns(values: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    columns = {name: values[name] for name in names if name in values}
    if columns.get("match_all") and "selector" not in columns:
        columns["selector"] = {}
    return columns


def _taken(found: Proposal) -> list[dict[str, str]]:
    return [{"file": key, "path": path} for key, path in found.taken]
