"""Having an agent try once more what it failed at: only a person does that."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.models import Agent
from foundation import wakeups
from foundation.messages import Message
from foundation.unit_of_work import UnitOfWork
from packages.errors import NothingToInstall
from packages.installation_outcome import InstallationStatus
from packages.services.installing import hash_of, packages_of
from packages.services.matching import hold_packages

_DONE = (InstallationStatus.INSTALLED.value, InstallationStatus.INCAPABLE.value)


@transaction.atomic
def install_again(agent_id: int, *, by: User | None, at: datetime) -> int:
    """Offer all that the agent has not installed once more, under another hash; returns how many packages that are.

    An agent does nothing for a hash that it has answered, so the attempt is part of it. Raises `Agent.DoesNotExist`,
    `NothingToInstall`.
    """
    hold_packages(exclusive=False)
    agent = Agent.objects.locked().get(pk=agent_id)
    work = UnitOfWork(at)
    (packages,) = packages_of([agent], work)
    rows = [row for row in packages.installations if row.status not in _DONE]
    if not rows:
        raise NothingToInstall(Message("no-package-to-retry", "The agent has installed all that it should have."))
    for row in rows:
        work.change(row, "attempt", row.attempt + 1)
        work.change(row, "hash", hash_of(row.package, row.artefact, row.version.version, row.attempt))
        packages.set_status(row, InstallationStatus.PENDING)
    packages.renew_set()
    work.save()
    data = {"packages": [f"{row.package.name} {row.version.version}" for row in rows]}
    accounts.record(by=by, verb="agent.install_again", target=agent, name=agent.name_and_host(), data=data)
    wakeups.wake([agent.instance_uid])
    return len(rows)
