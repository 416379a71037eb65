"""Actions on any number of agents, as a job: a chunk in each slice, and what became of each agent.

Whom it concerns is fixed when it starts: the agents that matched then, by their keys, so exactly those that the person was
shown. Of each is asked anew, when its turn comes, whether the action applies; one that does not exist any more is skipped.
Agents that match only later are not touched.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction

from accounts.models import User
from accounts.services import one_entry
from agents.models import Agent
from agents.services.actions import CHUNK, AgentAction, Parameters, action_named, add_action
from agents.services.bulk_requests import BulkOutcome
from foundation.errors import Category, DomainError
from foundation.messages import Message
from jobs.errors import InvalidJob
from jobs.kinds import JobKind, Result, Slice, register_job_kind
from jobs.models import Job
from jobs.outcomes import Outcome
from jobs.services.running import reason_of
from jobs.services.starting import start_job

logger = logging.getLogger(__name__)


class UnexpectedNumber(DomainError):
    """Not as many agents match as whoever asked was told."""

    category = Category.CONFLICT

    def __init__(self, count: int) -> None:
        super().__init__(
            Message(
                "unexpected-number", "It would reach {count} agents: look again, then say that number.", count=count
            )
        )


def start_acting(action: AgentAction, agent_ids: Sequence[int], *, by: User, parameters: Parameters) -> Job:
    """Have ``action`` done to these agents. Raises what `start_job` does.

    What one person asks twice, as by a second click, is one job while it is under way.
    """
    keys = sorted(agent_ids)
    asked = json.dumps([by.pk, dict(parameters), keys], sort_keys=True, default=str)
    key = hashlib.sha256(asked.encode(errors="surrogatepass")).hexdigest()
    return start_job(action.job_kind, by=by, parameters=parameters, items=keys, key=key)


def register_agent_action(action: AgentAction) -> None:
    """Offer ``action``, and have jobs do it; a second registration of the same name replaces the first. In ``AppConfig.ready``."""
    add_action(action)

    def run_slice(job: Job, cursor: Any, now: datetime) -> Slice:
        return _run_slice(action.name, job, cursor, now)

    register_job_kind(JobKind(action.job_kind, action.title, run_slice, right=action.right, atomic=action.together))


def _run_slice(name: str, job: Job, cursor: Any, now: datetime) -> Slice:
    """``cursor``: the place of the next agent, and the entries of the audit trail that the job writes."""
    action = action_named(name)
    if action is None:
        raise InvalidJob(Message("action-unavailable", "This cannot be done here any more."))
    place = cursor["place"] if cursor else 0
    keys = job.items_from(place, CHUNK)
    if not keys:
        return Slice()
    with one_entry(cursor["entries"] if cursor else None) as entries:
        results = _act(action, keys, job, now)
    after = place + len(keys)
    more = after < (job.total or 0)
    return Slice(results=results, cursor={"place": after, "entries": entries} if more else None)


def _act(action: AgentAction, keys: Sequence[int], job: Job, now: datetime) -> list[Result]:
    present = {agent.pk: agent for agent in Agent.objects.filter(pk__in=keys)}
    reached = list(action.reached(Agent.objects.filter(pk__in=present)).order_by("pk").values_list("pk", flat=True))
    became = _outcomes(action, reached, present, job, now)
    results = []
    for key in keys:
        agent = present.get(key)
        if agent is None:
            gone = Message("agent-is-gone", "The agent was forgotten meanwhile.")
            results.append(Result(f"#{key}", Outcome.SKIPPED, gone))
            continue
        outcome, message = became.get(key, (Outcome.SKIPPED, action.skipped))
        results.append(Result(str(agent.instance_uid), outcome, message, agent.name_and_host()))
    return results


Became = tuple[Outcome, Message | None]


def _outcomes(
    action: AgentAction, keys: Sequence[int], present: dict[int, Agent], job: Job, now: datetime
) -> dict[int, Became]:
    """All at once; if that fails one by one, so that an agent with which something is wrong costs only itself."""
    by = cast("User", job.started_by)
    if not keys:
        return {}
    try:
        return _read(_run(action, keys, by, now, job.parameters), keys, present)
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # whatever a service raises for one agent must not stop the others
        logger.warning("an action failed and is tried agent by agent", extra={"job": job.pk}, exc_info=True)
    became: dict[int, Became] = {}
    for key in keys:
        try:
            became |= _read(_run(action, [key], by, now, job.parameters), [key], present)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # as above
            if not isinstance(error, DomainError):
                logger.exception("an action failed for an agent", extra={"job": job.pk, "agent": key})
            became[key] = (Outcome.FAILED, reason_of(error))
    return became


def _run(action: AgentAction, keys: Sequence[int], by: User, now: datetime, parameters: Parameters) -> BulkOutcome:
    """What fails is undone before it is tried again."""
    if not action.together:
        return action.run(keys, by, now, parameters)
    with transaction.atomic():
        return action.run(keys, by, now, parameters)


def _read(outcome: BulkOutcome, keys: Sequence[int], present: dict[int, Agent]) -> dict[int, Became]:
    skipped: dict[UUID, Message] = dict(outcome.sample)
    return {
        key: (Outcome.SKIPPED, skipped[present[key].instance_uid])
        if present[key].instance_uid in skipped
        else (Outcome.DONE, None)
        for key in keys
    }
