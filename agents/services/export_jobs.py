"""The list of agents as a file that a job makes: for so many agents that nobody waits for the answer of one request.

Which agents is fixed when it starts, by their keys; what the file says of each is read when its turn comes, by whoever started it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.agent_columns import AgentColumn, columns_named
from agents.agent_files import CONTENT_TYPES, SLICE, agent_rows, file_beginning, in_file_order
from agents.extensions import know_secrets
from agents.models import Agent
from foundation.messages import Message
from jobs.kinds import JobKind, Result, Slice, register_job_kind
from jobs.models import Job
from jobs.outcomes import Outcome
from jobs.services.job_files import begin_file, write_part
from jobs.services.starting import start_job

KIND = "agents.export"
RIGHT = "agents.view_agent"
_MOST_QUERY = 4_000


@transaction.atomic
def start_export(agent_ids: Sequence[int], columns: Sequence[AgentColumn], kind: str, *, by: User, query: str) -> Job:
    """Have a file made of these agents; ``query`` is what chose them, for people.

    Raises `TooManyFiles`, and what `start_job` does.
    """
    names = [column.name for column in columns]
    said = {"format": kind, "columns": names, "query": query[:_MOST_QUERY].replace("\x00", "")}
    job = start_job(KIND, by=by, parameters=said, items=sorted(agent_ids))
    begin_file(job, f"agents.{kind}", CONTENT_TYPES[kind])
    accounts.record(by=by, verb="agent.export", target=Agent(), name="", data={**said, "job": job.pk})
    return job


def register() -> None:
    """In ``AppConfig.ready``."""
    register_job_kind(JobKind(KIND, Message("job-export", "Export agents"), _write_some, right=RIGHT))


def _write_some(job: Job, cursor: Any, _now: datetime) -> Slice:
    """``cursor``: the place of the next agent."""
    place = int(cursor or 0)
    keys = job.items_from(place, SLICE)
    columns, kind = columns_named(job.parameters["columns"]), str(job.parameters["format"])
    # A worker of its own has nobody else who tells it.
    know_secrets()
    agents = list(in_file_order(Agent.objects.visible_to(job.started_by).filter(pk__in=keys)))
    data = agent_rows(agents, columns, kind)
    write_part(job, place, data if place else file_beginning(columns, kind) + data)
    left_out = set(keys).difference(agent.pk for agent in agents)
    gone = Message("agent-not-exported", "The agent was forgotten meanwhile, or may not be seen any more.")
    after = place + len(keys)
    return Slice(
        done=len(agents),
        results=[Result(f"#{key}", Outcome.SKIPPED, gone) for key in sorted(left_out)],
        cursor=after if after < (job.total or 0) else None,
    )
