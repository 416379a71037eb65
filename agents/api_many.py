"""What REST requests to many agents at once have in common: whom they name, and what is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.response import Response

from agents.api_serializers import ChosenAgents, OutcomeSerializer
from agents.models import Agent
from agents.services.bulk_requests import MOST, BulkOutcome
from foundation.messages import Message


def chosen_agents(wanted: ChosenAgents, user: Any) -> dict[int, UUID]:
    """The chosen agents' keys and uids. Raises `ValidationError` when they are more than one request may touch."""
    wanted.is_valid(raise_exception=True)
    found = wanted.chosen(Agent.objects.visible_to(user)).order_by()
    keys = dict(found.values_list("pk", "instance_uid")[: MOST + 1])
    if len(keys) > MOST:
        most = {"most": f"{MOST:,}"}
        raise serializers.ValidationError(
            {"filter": [_("More than %(most)s agents match: narrow the filter and send several requests.") % most]}
        )
    return keys


def to_many(wanted: ChosenAgents, user: Any, act: Callable[[list[int]], BulkOutcome]) -> Response:
    """Do it to the chosen agents; uids that nobody has are skipped."""
    keys = chosen_agents(wanted, user)
    outcome = act(list(keys))
    for uid in set(wanted.validated_data.get("instance_uids", ())) - set(keys.values()):
        outcome.skip(uid, Message("no-such-agent", "There is no such agent."))
    return Response(OutcomeSerializer(outcome).data)
