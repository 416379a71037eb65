"""Custom messages from agents, handed to whoever registered for their capability (S-94, S-95)."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction

from agents import extensions
from agents.models import Agent, AgentEvent
from agents.reports import CustomMessage
from agents.services.commands import answer_custom_message
from agents.services.timeline import write_line

logger = logging.getLogger(__name__)


def take_custom_message(agent_id: int, message: CustomMessage, *, at: datetime) -> bool:
    """Hand ``message`` to its receiver and queue what that answers; false when nobody takes it.

    In a transaction of its own: a receiver that raises undoes what it wrote itself, and leaves a log line and a line in
    the agent's timeline. A message nobody takes is no error (S-94); its line in the timeline is there already.
    """
    receiver = extensions.custom_message_receiver(message.capability)
    agent = Agent.objects.select_related("reported").filter(pk=agent_id).first() if receiver else None
    if receiver is None or agent is None:
        return False
    try:
        with transaction.atomic():
            answer = receiver(agent, message, at)
            if answer is not None:
                answer_custom_message(agent, answer, at=at)
    except Exception as error:
        logger.exception(
            "a receiver of custom messages failed",
            extra={"instance_uid": str(agent.instance_uid), "capability": message.capability},
        )
        write_line(
            AgentEvent(
                agent_id=agent_id,
                at=at,
                kind=AgentEvent.Kind.CUSTOM_MESSAGE,
                data={
                    "capability": message.capability[:255],
                    "type": message.type[:255],
                    "failed": repr(error)[:500],
                },
            )
        )
    return True
