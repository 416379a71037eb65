"""Approving and rejecting many agents, as actions on agents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from accounts.models import User
from agents.models import Approval
from agents.services.acting import register_agent_action
from agents.services.actions import AgentAction, Parameters, outcome_of_count
from agents.services.bulk_requests import BulkOutcome
from enrolment.services import approval
from foundation.messages import Message


def approve_chosen(agent_ids: Sequence[int], by: User, at: datetime, _parameters: Parameters) -> BulkOutcome:
    """Let them take part."""
    return outcome_of_count(approval.approve_agents(agent_ids, by=by, at=at), agent_ids)


def reject_chosen(agent_ids: Sequence[int], by: User, at: datetime, _parameters: Parameters) -> BulkOutcome:
    """Refuse them."""
    return outcome_of_count(approval.reject_agents(agent_ids, by=by, at=at), agent_ids)


def register() -> None:
    """In ``AppConfig.ready``."""
    register_agent_action(
        AgentAction(
            name="approve",
            title=Message("action-approve", "Approve"),
            right="agents.change_agent",
            run=approve_chosen,
            eligible=~Q(approval=Approval.APPROVED),
            skipped=Message("approved-already", "it is approved already"),
        )
    )
    register_agent_action(
        AgentAction(
            name="reject",
            title=Message("action-reject", "Reject"),
            right="agents.change_agent",
            run=reject_chosen,
            eligible=Q(approval=Approval.PENDING),
            skipped=Message("not-waiting-for-approval", "it does not wait for approval"),
        )
    )
