"""Rows of every kind that people see beside agents and configurations; run by ``manage.py shell`` in the server's environment."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from uuid import uuid4

from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import AuditEntry, User
from accounts.services import ensure_roles, issue_token
from agents.models import Agent, AgentPresence, ReportedState
from connections.services.settings_edits import create_settings
from enrolment.services.tokens import TokenWish, issue_enrolment_token, revoke_enrolment_token
from foundation.messages import Message
from jobs.models import Job, JobResult, JobState
from packages.models import Installation
from packages.services.package_edits import add_version, create_package
from packages.services.uploading import FileFacts, add_file
from packages.services.version_releases import publish_version
from rollouts.audiences import EVERYONE, stored
from rollouts.models import Freeze
from rollouts.services.version_publishing import AT_ONCE
from tests.certificates.rows import State, made
from variables.models import Secret, Variable

LABEL = "others"
AGENTS = 200
LONG = "a-name-that-is-as-long-as-some-people-make-them-and-then-a-little-longer"
SELECTOR = {"env": LABEL}


def seed() -> dict[str, int]:
    """Make them; the keys of those that have pages of their own."""
    now, admin = timezone.now(), User.objects.get(username="admin")
    ensure_roles()
    agents = Agent.objects.bulk_create(
        Agent(instance_uid=uuid4(), name="otelcol-contrib", hostname=f"host-{number:03}", labels={"env": LABEL})
        for number in range(AGENTS)
    )
    AgentPresence.objects.bulk_create(AgentPresence(agent=agent, last_seen_at=now) for agent in agents)
    ReportedState.objects.bulk_create(ReportedState(agent=agent) for agent in agents)
    package = create_package({"name": LONG, "selector": SELECTOR, "notes": "Of the team."}, by=admin, at=now)
    for text in ("1.0.0", "1.1.0", "2.0.0-rc1"):
        version = add_version(package, text, by=admin, at=now)
        for system in ("linux", "windows"):
            facts = FileFacts(filename=f"{LONG}-{text}.tar.gz", os_type=system, architecture="amd64")
            file = add_file(version, io.BytesIO(text.encode()), facts, by=admin, at=now)
        if text != "2.0.0-rc1":
            publish_version(version, by=admin, at=now, plan=AT_ONCE)
    wanted = package.versions.get(version="1.1.0")
    file = wanted.artefacts.first()
    Installation.objects.filter(package=package).delete()
    Installation.objects.bulk_create(
        Installation(
            agent=agent, package=package, version=wanted, artefact=file, hash=uuid4().hex, status_at=now,
            status=Installation.Status.values[number % 5], error_message="It failed. " * 40 if number % 5 == 4 else "",
        )
        for number, agent in enumerate(agents)
    )  # fmt: skip
    content = {"own_metrics": {"endpoint": "https://otel.example:4318/v1/metrics", "headers": {"X-Token": "secret-77"}}}
    settings = create_settings(
        {"name": LONG, "selector": SELECTOR, "content": content}, by=admin, at=now, plan=AT_ONCE
    ).settings
    token, _text = issue_enrolment_token(TokenWish(LONG, {"env": LABEL}, max_uses=3), by=admin, at=now)
    revoked, _text = issue_enrolment_token(TokenWish("revoked", {}), by=admin, at=now)
    revoke_enrolment_token(revoked.pk, reason="It was published.", by=admin, at=now)
    certificates = [made(agent, state) for agent, state in zip(agents, State.values, strict=False)]
    ending = made(agents[20], State.ISSUED, not_after=now + timedelta(days=3))
    title = Message("seeded-title", "Restart").as_json()
    jobs = {}
    for state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED):
        jobs[state] = Job.objects.create(
            kind="agents.restart", title=title, started_by=admin, started_by_name="admin", state=state, total=AGENTS,
            done=150, skipped=40, failed=10, run_after=now, created_at=now, began_at=now, ended_at=now,
            error=Message("seeded-error", "The database did not answer.").as_json() if state == JobState.FAILED else None,
        )  # fmt: skip
    JobResult.objects.bulk_create(
        JobResult(job=jobs[JobState.DONE], item=str(agent.instance_uid), name=agent.name, outcome="done")
        for agent in agents
    )
    variable = Variable.objects.create(name="seeded", value="x" * 500, match_all=True, updated_at=now)
    secret = Secret.objects.create(name="seeded_secret", description="Nobody sees its value.", updated_at=now)
    issued, _text = issue_token(admin, name=LONG, by=admin, expires_at=None)
    freeze = Freeze.objects.create(
        audience=stored(EVERYONE), reason="Over now.", started_by_name="admin", started_at=now, ended_at=now,
        ended_by_name="admin",
    )  # fmt: skip
    person = User.objects.create_user("someone", password="a-long-password-7", is_staff=True)
    AuditEntry.objects.bulk_create(
        AuditEntry(at=now, actor_name="admin", verb="agent.edit", object_type="agents.agent", object_id=str(agent.pk),
                   object_name=LONG, data={"notes": "a note " * 30})
        for agent in agents
    )  # fmt: skip
    return {
        "package": package.pk, "version": 3, "settings": settings.pk, "token": token.pk, "revoked": revoked.pk,
        "pending": certificates[0].pk, "ending": ending.pk, "done": jobs[JobState.DONE].pk, "failed": jobs[JobState.FAILED].pk,
        "variable": variable.pk, "secret": secret.pk, "issued": issued.pk, "freeze": freeze.pk, "person": person.pk,
        "role": Group.objects.get(name="operator").pk, "entry": AuditEntry.objects.latest("pk").pk, "agent": agents[0].pk,
    }  # fmt: skip


def print_seeded() -> None:
    """For whoever runs this in a shell."""
    print(json.dumps(seed()))


def forget() -> None:
    """The agents, which other modules count."""
    Agent.objects.filter(labels__env=LABEL).delete()
