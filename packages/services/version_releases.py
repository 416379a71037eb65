"""Making a version what agents should have: at once or by a rollout; the agents concerned are matched anew and woken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from accounts import services as accounts
from accounts.models import User
from agents.label_conditions import selector_condition
from agents.models import Agent
from agents.selectors import Selector
from foundation import wakeups
from foundation.messages import Message
from packages.errors import NothingToRelease
from packages.models import RELEASE_SUBJECT, Package, PackageVersion
from packages.services.installing import assign_packages
from packages.services.matching import bump_packages, hold_packages
from rollouts.audiences import EVERYONE, Audience, stored
from rollouts.models import Release, Rollout, add_release
from rollouts.policies import Policy, parse_policy
from rollouts.services.rolling_out import require_none, start_rollout

_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class VersionPlan:
    """How a version reaches agents: by ``policy``, at once without one; ``by_default``: by the package's own, else the site's.

    ``replace``: a rollout of the package that has not ended is ended for it, instead of being in its way.
    """

    policy: Policy | None = None
    by_default: bool = False
    replace: bool = False

    def policy_for(self, package: Package) -> Policy | None:
        """The policy, `None` for at once."""
        if not self.by_default:
            return self.policy
        own = package.rollout_policy
        return parse_policy(settings.ROLLOUT_POLICY if own is None else own)


VERSION_BY_DEFAULT = VersionPlan(by_default=True)
VERSION_AT_ONCE = VersionPlan(replace=True)
"""For what is urgent: going back."""


@transaction.atomic
def publish_version(
    version: PackageVersion, *, by: User | None, at: datetime, plan: VersionPlan = VERSION_BY_DEFAULT
) -> Rollout | None:
    """Let a version out as planned, a former one too: that is how a package goes back. Returns its rollout, if it has one.

    Raises `NothingToRelease`, `rollouts.errors.RolloutRunning`.
    """
    hold_packages(exclusive=True)
    version = PackageVersion.objects.select_related("package").get(pk=version.pk)
    package = version.package
    if not version.artefacts.exists():
        raise NothingToRelease(
            Message("package-version-empty", "Version {version} has no file yet: add one first.", version=str(version))
        )
    live = list(Release.objects.of(RELEASE_SUBJECT, package.pk).live())
    if live and live[0].version_id == version.pk and live[0].audience == stored(EVERYONE):
        raise NothingToRelease(
            Message(
                "package-version-released", "Version {version} is released to everybody already.", version=str(version)
            )
        )
    require_none(RELEASE_SUBJECT, package.pk, replace=plan.replace, by=by, at=at)
    policy = plan.policy_for(package)
    data = {"version": version.version, "staged": policy is not None}
    accounts.record(by=by, verb="package.release", target=package, name=package.name, data=data)
    if policy is None:
        release_version(version, to=EVERYONE, by=by, at=at)
        return None
    return start_rollout(
        RELEASE_SUBJECT,
        package.pk,
        version.pk,
        name=package.name,
        version_number=version.number,
        policy=policy,
        by=by,
        at=at,
    )


def release_version(
    version: PackageVersion, *, to: Audience, by: User | None, at: datetime, keep_former: bool = False
) -> Release:
    """Make it what the agents of ``to`` should have; ``keep_former`` as in `add_release`.

    In the caller's transaction, which holds packages.
    """
    made = add_release(RELEASE_SUBJECT, version.package_id, version.pk, to=to, by=by, at=at, keep_former=keep_former)
    PackageVersion.objects.filter(pk=version.pk, released_at=None).update(released_at=at)
    bump_packages()
    reassign(version.package, at, to=to)
    return made


def reassign(
    package: Package,
    at: datetime,
    *,
    to: Audience = EVERYONE,
    former: Audience | None = None,
    selectors: Iterable[Selector] = (),
) -> None:
    """Match the agents that the package concerns anew, of these only who is in ``to`` and was not in ``former``.

    ``selectors`` are former ones of its own. In the caller's transaction, which holds packages.
    """
    concerned: set[int] = set()
    for agents in agents_concerned(package, selectors):
        rows = agents.values_list("pk", "instance_uid", "labels")
        concerned.update(
            key
            for key, uid, labels in rows.iterator(chunk_size=_CHUNK)
            if to.includes(uid, labels) and (former is None or not former.includes(uid, labels))
        )
    wakeups.wake(assign_packages(concerned, at))


def agents_concerned(package: Package, selectors: Iterable[Selector] = ()) -> list[QuerySet[Agent]]:
    """Sets of agents, which may overlap: those that have it, and those that it may win now or could before."""
    found: list[QuerySet[Agent]] = [Agent.objects.filter(installations__package=package).order_by()]
    wanted = {package.parsed_selector(), *selectors}
    return found + [Agent.objects.filter(selector_condition(selector)).order_by() for selector in wanted]


def named_agents(package: Package) -> list[tuple[UUID, dict[str, str], str]]:
    """Uid, labels and name of everybody whom a release of the package concerns; nobody while it is disabled."""
    if not package.enabled:
        return []
    found: dict[int, tuple[UUID, dict[str, str], str]] = {}
    for agents in agents_concerned(package):
        for key, uid, labels, name in agents.values_list("pk", "instance_uid", "labels", "name"):
            found[key] = (uid, labels, name)
    return list(found.values())
