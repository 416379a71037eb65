"""Beginning stages and letting agents in: what makes the audience of a rollout's release grow."""

from __future__ import annotations

from datetime import datetime

from accounts.models import User
from rollouts.audiences import EVERYONE, AllOf, AnyOf, Audience, First, position
from rollouts.gates import Counts
from rollouts.models import Rollout, RolloutStep
from rollouts.policies import Policy
from rollouts.services.steps import change, take_step
from rollouts.subjects import Member, subject_of

_FIRST = "0"


def audience_of(rollout: Rollout) -> Audience | None:
    """Whom the rollout has reached so far, ``None`` for nobody."""
    if rollout.stage < 0:
        return None
    stages = rollout.stage_audiences()
    former = stages[: rollout.stage]
    present = stages[rollout.stage]
    if rollout.admitted:
        present = AllOf((present, First(int(rollout.admitted, 16), rollout.salt)))
    if present == EVERYONE or not former:
        return present
    return AnyOf((*former, present))


def begin_stage(rollout: Rollout, stage: int, policy: Policy, *, by: User | None, at: datetime) -> None:
    """Begin stage ``stage``, counted from 0, and let its agents in, as many as may be in flight.

    The caller holds what agents should run. Raises `Overtaken`.
    """
    take_step(
        rollout,
        RolloutStep.Kind.STAGE_BEGAN,
        by=by,
        at=at,
        stage=stage,
        admitted=_FIRST if policy.max_in_flight else "",
        stage_began_at=at,
        held_since=None,
    )
    if policy.max_in_flight:
        admit(rollout, policy, by=by, at=at)
    else:
        _reach(rollout, by=by, at=at)


def pass_gate(rollout: Rollout, policy: Policy, counts: Counts, at: datetime, *, by: User | None = None) -> None:
    """Begin the stage behind the gate of the present one, which ``counts`` have passed. As `begin_stage`."""
    take_step(rollout, RolloutStep.Kind.GATE_PASSED, by=None, at=at, data=counts.as_json())
    begin_stage(rollout, rollout.stage + 1, policy, by=by, at=at)


def admit(rollout: Rollout, policy: Policy, *, by: User | None, at: datetime) -> bool:
    """Let further agents of the stage in while fewer than may be are in flight; false when nobody could be.

    Those that are away come along: they do not count as in flight. The time of the stage begins anew once all are in.
    The caller holds what agents should run. Raises `Overtaken`.
    """
    subject = subject_of(rollout)
    free = policy.max_in_flight - (subject.counts(rollout, at).waiting if rollout.release_id else 0)
    if free <= 0:
        return False
    limit = _next_limit(rollout, list(subject.members(rollout, at)), free)
    if limit is None:
        change(rollout, admitted="", stage_began_at=at)
    else:
        change(rollout, admitted=f"{limit:x}")
    _reach(rollout, by=by, at=at)
    return True


def _next_limit(rollout: Rollout, members: list[Member], free: int) -> int | None:
    """The place before which ``free`` connected agents more are let in; ``None`` when that is the whole stage."""
    stages = rollout.stage_audiences()
    former, present = stages[: rollout.stage], stages[rollout.stage]
    reached = int(rollout.admitted, 16)
    waiting = sorted(
        (place, member.connected)
        for member in members
        if (place := position(member.instance_uid, rollout.salt)) >= reached
        and present.includes(member.instance_uid, member.labels)
        and not any(stage.includes(member.instance_uid, member.labels) for stage in former)
    )
    for place, connected in waiting:
        if connected and not free:
            return place
        free -= connected
    return None


def _reach(rollout: Rollout, *, by: User | None, at: datetime) -> None:
    audience = audience_of(rollout)
    assert audience is not None  # noqa: S101  a stage has begun
    subject = subject_of(rollout)
    if rollout.release_id is None:
        change(rollout, release=subject.release(rollout, to=audience, by=by, at=at))
    else:
        subject.widen(rollout, to=audience, at=at)
