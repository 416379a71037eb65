"""Which labels agents have: computed from what they report and what operators say, by the setting of trusted keys.

`label` is the only place that writes `Agent.labels` and `Agent.asserted_labels`.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.conf import settings
from django.db import transaction

from agents import extensions
from agents.labels import asserted_of, labels_of
from agents.models import Agent, Fleet, ReportedState
from agents.reports import AgentDescription
from foundation import command_progress, wakeups

logger = logging.getLogger(__name__)

_BATCH = 500
LABEL_FIELDS = ("labels", "asserted_labels")


def label(agent: Agent, description: AgentDescription | None) -> set[str]:
    """Compute the agent's labels anew; the names of the fields that changed, among `LABEL_FIELDS`. The caller saves them."""
    trusted = settings.OPAMP_TRUSTED_LABEL_KEYS
    wanted = (labels_of(description, agent.operator_labels, trusted), asserted_of(description, trusted))
    changed = set()
    for name, value in zip(LABEL_FIELDS, wanted, strict=True):
        if getattr(agent, name) != value:
            setattr(agent, name, value)
            changed.add(name)
    return changed


def described(state: ReportedState) -> AgentDescription:
    """What the agent said last."""
    return AgentDescription(state.identifying_attributes, state.non_identifying_attributes)


def apply_trusted_keys(*, at: datetime) -> int:
    """Compute all labels anew if ``OPAMP_TRUSTED_LABEL_KEYS`` is another than when they were computed last.

    Agents are matched anew with it, a batch in each transaction; returns how many have other labels now. Before agents
    are served: two processes that do it at once do the same. What an older process labels meanwhile is put right when
    the agent connects to one with the new setting.
    """
    wanted = sorted(set(settings.OPAMP_TRUSTED_LABEL_KEYS))
    fleet, _created = Fleet.objects.get_or_create(pk=1)
    if fleet.trusted_label_keys == wanted:
        return 0
    moved, last = 0, 0
    while keys := list(Agent.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:_BATCH]):
        last = keys[-1]
        with transaction.atomic():
            moved += _label_batch(keys, at)
        command_progress.advance_progress(len(keys))
    Fleet.objects.filter(pk=1).update(trusted_label_keys=wanted)
    logger.info("labels follow the trusted keys", extra={"keys": wanted, "agents": moved})
    return moved


def _label_batch(keys: list[int], at: datetime) -> int:
    extensions.notify_before_relabelling()
    agents = list(Agent.objects.filter(pk__in=keys).locked())
    states = {state.agent_id: state for state in ReportedState.objects.filter(agent_id__in=keys)}
    changed = [(agent, fields) for agent in agents if (fields := label(agent, described(states[agent.pk])))]
    Agent.objects.bulk_update([agent for agent, _fields in changed], LABEL_FIELDS, batch_size=200)
    moved = [agent for agent, fields in changed if "labels" in fields]
    if moved:
        extensions.notify_after_relabelling([agent.pk for agent in moved], at)
        wakeups.wake([agent.instance_uid for agent in moved])
    return len(moved)
