"""Making a version what agents should have: at once or by a rollout; the agents concerned are matched anew and woken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from accounts import services as accounts
from accounts.models import User
from agents.label_conditions import selector_condition
from agents.models import HEADLINE, Agent, AgentEvent
from agents.selectors import Selector
from agents.services.timeline import write_lines
from foundation import wakeups
from foundation.errors import DomainError
from foundation.unit_of_work import UnitOfWork
from rollouts.audiences import EVERYONE, Audience, stored
from rollouts.models import Release, Rollout, Targeted, add_release
from rollouts.policies import Policy, parse_policy
from rollouts.services.releasable import Releasable, ReleasedTargeting, Row, Version
from rollouts.services.rolling_out import require_none, start_rollout

_CHUNK = 2_000
_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class VersionPlan:
    """How a version reaches agents: by ``policy``, at once without one; ``by_default``: by the row's own, else the site's.

    ``replace``: a rollout of the row that has not ended is ended for it, instead of being in its way.
    """

    policy: Policy | None = None
    by_default: bool = False
    replace: bool = False

    def policy_for(self, row: Targeted) -> Policy | None:
        """The policy, `None` for at once."""
        if not self.by_default:
            return self.policy
        own = row.rollout_policy
        return parse_policy(settings.ROLLOUT_POLICY if own is None else own)


BY_DEFAULT = VersionPlan(by_default=True)
AT_ONCE = VersionPlan(replace=True)
"""For what is urgent: going back."""


@dataclass(frozen=True, slots=True)
class Releasing(Generic[Row, Version]):
    """How versions of one kind are released.

    ``from_agent`` leads from an agent to the row that it should have (``installations__package``). ``assign`` matches agents by
    their keys with what is released, ``None`` for as the transaction sees it, and returns the uids of those for whom something
    moved, as `assign_in_batches` does. ``verb`` and what ``told_as``
    says of a version stand in the audit trail. ``refusal`` says why a version cannot be released, where the flag says that
    everybody has it already, ``None`` for one that can.
    """

    kind: Releasable[Row, Version]
    from_agent: str
    assign: Callable[[Iterable[int], datetime, ReleasedTargeting[Row, Version] | None], list[UUID]]
    verb: str
    told_as: Callable[[Version], str | int]
    refusal: Callable[[Version, bool], DomainError | None]

    @transaction.atomic
    def publish(
        self, version: Version, *, by: User | None, at: datetime, plan: VersionPlan = BY_DEFAULT
    ) -> Rollout | None:
        """Let a version out as planned, a former one too: that is how a row goes back. Returns its rollout, if it has one.

        Raises what ``refusal`` says, `rollouts.errors.RolloutRunning`.
        """
        kind = self.kind
        kind.hold(exclusive=True)
        version = kind.versions.select_related(kind.row_of).get(pk=version.pk)
        row = self._row_of(version)
        newest = kind.releases(row).live().first()
        to_all = newest is not None and newest.version_id == version.pk and newest.audience == stored(EVERYONE)
        refused = self.refusal(version, to_all)
        if refused is not None:
            raise refused
        require_none(kind.subject, row.pk, replace=plan.replace, by=by, at=at)
        policy = plan.policy_for(row)
        data = {"version": self.told_as(version), "staged": policy is not None}
        accounts.record(by=by, verb=self.verb, target=row, name=row.name, data=data)
        if policy is None:
            self.release(version, to=EVERYONE, by=by, at=at)
            return None
        return start_rollout(
            kind.subject,
            row.pk,
            version.pk,
            name=row.name,
            version_number=version.number,
            policy=policy,
            by=by,
            at=at,
        )

    def release(
        self, version: Version, *, to: Audience, by: User | None, at: datetime, keep_former: bool = False
    ) -> Release:
        """Make it what the agents of ``to`` should have; ``keep_former`` as in `add_release`.

        In the caller's transaction, which holds the kind.
        """
        kind, row = self.kind, self._row_of(version)
        made = add_release(kind.subject, row.pk, version.pk, to=to, by=by, at=at, keep_former=keep_former)
        kind.versions.filter(pk=version.pk, released_at=None).update(released_at=at)
        kind.bump()
        self.reassign(row, at, to=to)
        return made

    def reassign(
        self,
        row: Row,
        at: datetime,
        *,
        to: Audience = EVERYONE,
        former: Audience | None = None,
        selectors: Iterable[Selector] = (),
    ) -> None:
        """Match the agents that the row concerns anew, of these only who is in ``to`` and was not in ``former``.

        ``selectors`` are former ones of its own. In the caller's transaction, which holds the kind.
        """
        concerned: set[int] = set()
        for agents in self.agents_concerned(row, selectors):
            rows = agents.values_list("pk", "instance_uid", "labels")
            concerned.update(
                key
                for key, uid, labels in rows.iterator(chunk_size=_CHUNK)
                if to.includes(uid, labels) and (former is None or not former.includes(uid, labels))
            )
        wakeups.wake(self.assign(concerned, at, None))

    def assign_relabelled(self, agent_ids: Sequence[int], at: datetime) -> None:
        """Decide anew what agents should have whose labels an operator changed. The caller wakes them."""
        self.kind.hold(exclusive=False)
        targeting = self.kind.current()
        if targeting.generation is not None:
            self.assign(agent_ids, at, targeting)

    def agents_concerned(self, row: Row, selectors: Iterable[Selector] = ()) -> list[QuerySet[Agent]]:
        """Sets of agents, which may overlap: those that have it, and those that it may win now or could before."""
        found: list[QuerySet[Agent]] = [Agent.objects.filter(**{self.from_agent: row}).order_by()]
        wanted = {row.parsed_selector(), *selectors}
        return found + [Agent.objects.filter(selector_condition(selector)).order_by() for selector in wanted]

    def named_agents(self, row: Row) -> list[tuple[UUID, dict[str, str], str]]:
        """Uid, labels and name of everybody whom a release of the row concerns; nobody while it is disabled."""
        if not row.enabled:
            return []
        found: dict[int, tuple[UUID, dict[str, str], str]] = {}
        for agents in self.agents_concerned(row):
            for key, uid, labels, name in agents.values_list("pk", "instance_uid", "labels", HEADLINE):
                found[key] = (uid, labels, name)
        return list(found.values())

    def _row_of(self, version: Version) -> Row:
        row: Row = getattr(version, self.kind.row_of)
        return row


def assign_in_batches(
    agent_ids: Iterable[int],
    at: datetime,
    assign: Callable[[list[Agent], UnitOfWork], Iterable[tuple[Agent, list[AgentEvent]]]],
) -> list[UUID]:
    """Lock these agents, have ``assign`` decide what each should have, and write what changed, 1,000 at a time.

    ``assign`` works through the unit of work and yields each agent with lines for its timeline, none where nothing moved; returns
    the uids of the others. In the caller's transaction, which holds the kind.
    """
    moved: list[UUID] = []
    keys = sorted(agent_ids)
    for start in range(0, len(keys), _BATCH):
        agents = list(Agent.objects.filter(pk__in=keys[start : start + _BATCH]).locked())
        work, lines = UnitOfWork(at), list[AgentEvent]()
        for agent, said in assign(agents, work):
            if said:
                moved.append(agent.instance_uid)
                lines += said
        work.save()
        write_lines(lines)
    return moved
