"""What can be done to many agents about their configuration, as actions on agents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from accounts.models import User
from agents.models import Agent
from agents.services.acting import register_agent_action
from agents.services.actions import AgentAction, Parameters
from agents.services.bulk_requests import BulkOutcome
from configurations.models import pinned_keys
from configurations.outcome import AssignmentStatus
from configurations.services import pinning, retrying
from foundation.messages import Message

_ANSWERED = (AssignmentStatus.NONE, AssignmentStatus.INCAPABLE)


def offer_again(agent_ids: Sequence[int], by: User, at: datetime, _parameters: Parameters) -> BulkOutcome:
    """Offer each its configuration once more; those unassigned or forgotten meanwhile are skipped."""
    outcome = BulkOutcome()
    uids = dict(Agent.objects.filter(pk__in=agent_ids).values_list("pk", "instance_uid"))
    for key, uid in sorted(uids.items()):
        try:
            retrying.retry_offer(key, by=by, at=at)
        except retrying.NothingToRetry as error:
            outcome.skip(uid, error.message)
        except Agent.DoesNotExist:
            outcome.skip(uid, Message("agent-gone-meanwhile", "There is no such agent any more."))
        else:
            outcome.asked += 1
    return outcome


def unpin(agent_ids: Sequence[int], by: User, at: datetime, _parameters: Parameters) -> BulkOutcome:
    """Have labels say again what each runs."""
    return pinning.unpin_agents(agent_ids, by=by, at=at)


def register() -> None:
    """In ``AppConfig.ready``."""
    register_agent_action(
        AgentAction(
            name="offer_again",
            title=Message("action-offer-again", "Offer the configuration once more"),
            right="configurations.change_configuration",
            run=offer_again,
            eligible=~Q(assignment__status__in=[item.value for item in _ANSWERED])
            & (Q(assignment__revision__isnull=False) | Q(assignment__composition__isnull=False)),
            skipped=Message("nothing-to-offer-again", "no configuration is assigned, or the agent does not accept one"),
            # Targeting is held before an agent is, so there is a transaction for each.
            together=False,
        )
    )
    register_agent_action(
        AgentAction(
            name="unpin",
            title=Message("action-unpin", "Unpin"),
            right="agents.change_agent",
            run=unpin,
            eligible=Q(pk__in=pinned_keys()),
            skipped=Message("not-pinned", "it is not pinned"),
        )
    )
