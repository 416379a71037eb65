"""Making a version what agents should have: at once or by a rollout; the agents concerned are matched anew and woken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings as site
from django.db import transaction
from django.db.models import QuerySet

from accounts import services as accounts
from accounts.models import User
from agents.label_conditions import selector_condition
from agents.models import Agent
from agents.selectors import Selector
from connections.errors import NoReleaseNeeded
from connections.models import RELEASE_SUBJECT, ConnectionSettings, SettingsVersion
from connections.services.connection_targeting import bump_connections, hold_connections
from connections.services.settings_of_agents import assign_connections
from foundation import wakeups
from foundation.messages import Message
from rollouts.audiences import EVERYONE, Audience, stored
from rollouts.models import Release, Rollout, add_release
from rollouts.policies import Policy, parse_policy
from rollouts.services.rolling_out import require_none, start_rollout

_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class ConnectionPlan:
    """How a version reaches agents: by ``policy``, at once without one; ``by_default``: by the settings' own, else the site's.

    ``replace``: a rollout of the settings that has not ended is ended for it, instead of being in its way.
    """

    policy: Policy | None = None
    by_default: bool = False
    replace: bool = False

    def policy_for(self, settings: ConnectionSettings) -> Policy | None:
        """The policy, `None` for at once."""
        if not self.by_default:
            return self.policy
        own = settings.rollout_policy
        return parse_policy(site.ROLLOUT_POLICY if own is None else own)


BY_DEFAULT = ConnectionPlan(by_default=True)
AT_ONCE = ConnectionPlan(replace=True)
"""For what is urgent: going back."""


@transaction.atomic
def publish_settings(
    version: SettingsVersion, *, by: User | None, at: datetime, plan: ConnectionPlan = BY_DEFAULT
) -> Rollout | None:
    """Let a version out as planned, a former one too: that is how settings go back. Returns its rollout, if it has one.

    Raises `NoReleaseNeeded`, `rollouts.errors.RolloutRunning`.
    """
    hold_connections(exclusive=True)
    version = SettingsVersion.objects.select_related("settings").get(pk=version.pk)
    settings = version.settings
    live = list(Release.objects.of(RELEASE_SUBJECT, settings.pk).live())
    if live and live[0].version_id == version.pk and live[0].audience == stored(EVERYONE):
        raise NoReleaseNeeded(
            Message(
                "connection-version-released",
                "Version {number} is released to everybody already.",
                number=version.number,
            )
        )
    require_none(RELEASE_SUBJECT, settings.pk, replace=plan.replace, by=by, at=at)
    policy = plan.policy_for(settings)
    data = {"version": version.number, "staged": policy is not None}
    accounts.record(by=by, verb="connection_settings.release", target=settings, name=settings.name, data=data)
    if policy is None:
        release_settings(version, to=EVERYONE, by=by, at=at)
        return None
    return start_rollout(
        RELEASE_SUBJECT,
        settings.pk,
        version.pk,
        name=settings.name,
        version_number=version.number,
        policy=policy,
        by=by,
        at=at,
    )


def release_settings(
    version: SettingsVersion, *, to: Audience, by: User | None, at: datetime, keep_former: bool = False
) -> Release:
    """Make it what the agents of ``to`` should have; ``keep_former`` as in `add_release`.

    In the caller's transaction, which holds connections.
    """
    made = add_release(RELEASE_SUBJECT, version.settings_id, version.pk, to=to, by=by, at=at, keep_former=keep_former)
    SettingsVersion.objects.filter(pk=version.pk, released_at=None).update(released_at=at)
    bump_connections()
    reassign_connections(version.settings, at, to=to)
    return made


def reassign_connections(
    settings: ConnectionSettings,
    at: datetime,
    *,
    to: Audience = EVERYONE,
    former: Audience | None = None,
    selectors: Iterable[Selector] = (),
) -> None:
    """Match the agents that the settings concern anew, of these only who is in ``to`` and was not in ``former``.

    ``selectors`` are former ones of its own. In the caller's transaction, which holds connections.
    """
    concerned: set[int] = set()
    for agents in agents_concerned_by(settings, selectors):
        rows = agents.values_list("pk", "instance_uid", "labels")
        concerned.update(
            key
            for key, uid, labels in rows.iterator(chunk_size=_CHUNK)
            if to.includes(uid, labels) and (former is None or not former.includes(uid, labels))
        )
    wakeups.wake(assign_connections(concerned, at))


def agents_concerned_by(settings: ConnectionSettings, selectors: Iterable[Selector] = ()) -> list[QuerySet[Agent]]:
    """Sets of agents, which may overlap: those that have them, and those that they may win now or could before."""
    found: list[QuerySet[Agent]] = [Agent.objects.filter(connection__version__settings=settings).order_by()]
    wanted = {settings.parsed_selector(), *selectors}
    return found + [Agent.objects.filter(selector_condition(selector)).order_by() for selector in wanted]
