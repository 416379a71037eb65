"""What people do with rollouts: start, approve, begin before the window opens, pause, resume, abort, roll back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.models import User
from foundation.messages import Message
from rollouts.audiences import LONGEST_SALT, stored
from rollouts.errors import NotPossible, RolloutRunning, SamePerson
from rollouts.gates import GateVerdict
from rollouts.models import Rollout, RolloutStep
from rollouts.policies import Policy, audiences_of
from rollouts.services.freezing import ActiveFreeze, current_freezes
from rollouts.services.stages import admit, begin_stage, pass_gate
from rollouts.services.steps import Overtaken, take_step
from rollouts.subjects import subject_of

# An act of a person that meets a step of the rollout's own looks again, so often at most.
_ATTEMPTS = 5
# Of agents that had nothing before, so many are named.
_LISTED = 200

_State, _Kind = Rollout.State, RolloutStep.Kind


def salt_of(subject: str, name: str) -> str:
    """The order of agents for one thing: always the same ones are first, so that they can be shown before the start."""
    return f"{subject}:{name}"[:LONGEST_SALT]


def require_none(subject: str, subject_id: int, *, replace: bool, by: User | None, at: datetime) -> None:
    """End the active rollout of a thing if it is to be replaced. Raises `RolloutRunning` otherwise.

    What it has reached stays as it is, until the next release comes there. In the caller's transaction.
    """
    active = Rollout.objects.active().of(subject, subject_id).first()
    if active is None:
        return
    if not replace:
        raise RolloutRunning(rollout_id=active.pk, name=str(active), state=active.state_at(at))
    take_step(active, _Kind.REPLACED, by=by, at=at, state=_State.REPLACED, ended_at=at)


def start_rollout(
    subject: str,
    subject_id: int,
    version_id: int,
    *,
    name: str,
    version_number: int,
    policy: Policy,
    by: User | None,
    at: datetime,
) -> Rollout:
    """Begin to roll out a version that is not released yet; at once as far as approval and window allow.

    In the caller's transaction, which holds what agents should run, and after `require_none`.
    """
    rollout = Rollout(
        subject=subject,
        subject_id=subject_id,
        version_id=version_id,
        name=name,
        version_number=version_number,
        policy=policy.as_json(),
        salt=salt_of(subject, name),
        stages=[],
        state=_State.AWAITING_APPROVAL if policy.approval else _State.RUNNING,
        started_by=by,
        started_by_name=by.get_username() if by else "system",
        started_at=at,
    )
    members = [member.instance_uid for member in subject_of(rollout).members(rollout, at)]
    rollout.stages = [stored(audience) for audience in audiences_of(policy.stages, rollout.salt, members)]
    rollout.save(force_insert=True)
    take_step(rollout, _Kind.STARTED, by=by, at=at, data={"policy": policy.as_json(), "agents": len(members)})
    if not policy.approval:
        begin_if_open(rollout, policy, by=by, at=at)
    return rollout


def begin_if_open(rollout: Rollout, policy: Policy, *, by: User | None, at: datetime) -> bool:
    """Begin the first stage unless the maintenance window is closed, or a freeze is in force."""
    if current_freezes().shown(at) or not rollout.may_go_on(policy, 0, at):
        return False
    begin_stage(rollout, 0, policy, by=by, at=at)
    return True


def approve(rollout_id: int, *, by: User, at: datetime) -> Rollout:
    """Let a rollout begin that waits for it. Raises `Rollout.DoesNotExist`, `NotPossible`, `SamePerson`."""

    def act(rollout: Rollout) -> None:
        _require(rollout, at, _State.AWAITING_APPROVAL)
        if rollout.started_by_id == by.pk:
            raise SamePerson(
                Message("rollout-same-person", "You started this rollout; somebody else has to approve it.")
            )
        take_step(rollout, _Kind.APPROVED, by=by, at=at, state=_State.RUNNING, approved_by_name=by.get_username())
        begin_if_open(rollout, rollout.parsed_policy(), by=by, at=at)

    return _acted(rollout_id, act)


def begin_now(rollout_id: int, *, by: User | None, at: datetime, reasons: Sequence[Message] = ()) -> Rollout:
    """Go on with a scheduled rollout although its window is closed: with its next stage, or the rest of the present one.

    The stage after that waits for the window again. Neither a gate nor a freeze is passed over. Raises `Rollout.DoesNotExist`,
    `NotPossible`.
    """

    def act(rollout: Rollout) -> None:
        if rollout.state_at(at) is not _State.SCHEDULED:
            raise _not_possible(rollout, at)
        frozen = current_freezes().shown(at)
        if frozen:
            raise NotPossible(frozen_reason(frozen[0]))
        policy = rollout.parsed_policy()
        if rollout.stage < 0 or rollout.admitted:
            _begin_now(rollout, max(rollout.stage, 0), by, at, reasons)
            if rollout.admitted:
                admit(rollout, policy, by=by, at=at)
            else:
                begin_stage(rollout, 0, policy, by=by, at=at)
            return
        counts = subject_of(rollout).counts(rollout, at)
        began = rollout.stage_began_at or at
        judgement = policy.gate_of(rollout.stage).judge(counts, began_at=began, held_since=rollout.held_since, at=at)
        if judgement.verdict is not GateVerdict.PASSED:
            raise NotPossible(Message.listed(judgement.reasons))
        _begin_now(rollout, rollout.stage + 1, by, at, reasons)
        pass_gate(rollout, policy, counts, at, by=by)

    return _acted(rollout_id, act)


def _begin_now(rollout: Rollout, stage: int, by: User | None, at: datetime, reasons: Sequence[Message]) -> None:
    take_step(rollout, _Kind.BEGUN_NOW, by=by, at=at, reasons=reasons, windowless_stage=stage)


def frozen_reason(freeze: ActiveFreeze) -> Message:
    """Why no rollout goes on."""
    return Message(
        "rollout-frozen",
        "Freeze {number} of {by} is in force: {reason}",
        number=freeze.id,
        by=freeze.by,
        reason=freeze.reason,
    )


def pause(rollout_id: int, *, by: User | None, at: datetime, reasons: Sequence[Message] = ()) -> Rollout:
    """Stay at the present stage: nobody else gets it. Raises `Rollout.DoesNotExist`, `NotPossible`."""

    def act(rollout: Rollout) -> None:
        _require(rollout, at, _State.RUNNING)
        take_step(rollout, _Kind.PAUSED, by=by, at=at, reasons=reasons, state=_State.PAUSED, held_since=None)

    return _acted(rollout_id, act)


def resume(rollout_id: int, *, by: User | None, at: datetime) -> Rollout:
    """Go on; the time of the stage begins anew, and its gate is judged again.

    Raises `Rollout.DoesNotExist`, `NotPossible`.
    """

    def act(rollout: Rollout) -> None:
        _require(rollout, at, _State.PAUSED)
        began = at if rollout.stage >= 0 else None
        take_step(rollout, _Kind.RESUMED, by=by, at=at, state=_State.RUNNING, stage_began_at=began, held_since=None)

    return _acted(rollout_id, act)


def abort(rollout_id: int, *, by: User | None, at: datetime) -> Rollout:
    """End it where it is: who has got it keeps it, nobody else gets it. Raises `Rollout.DoesNotExist`, `NotPossible`."""

    def act(rollout: Rollout) -> None:
        _require(rollout, at, _State.RUNNING, _State.PAUSED, _State.AWAITING_APPROVAL)
        take_step(rollout, _Kind.ABORTED, by=by, at=at, state=_State.ABORTED, ended_at=at)
        if rollout.release_id is None:
            subject_of(rollout).discard(rollout, at=at)

    return _acted(rollout_id, act)


def roll_back_rollout(rollout_id: int, *, by: User | None, at: datetime, reasons: Sequence[Message] = ()) -> Rollout:
    """Give each agent what it had before this rollout, maybe another thing's; who had nothing keeps what it runs.

    Those are listed in the step. An aborted rollout can be rolled back too, while its release is in force.
    Raises `Rollout.DoesNotExist`, `NotPossible`.
    """

    def act(rollout: Rollout) -> None:
        _require(rollout, at, _State.RUNNING, _State.PAUSED, _State.AWAITING_APPROVAL, _State.ABORTED)
        withdraw(rollout, by=by, at=at, reasons=reasons)

    return _acted(rollout_id, act)


def withdraw(rollout: Rollout, *, by: User | None, at: datetime, reasons: Sequence[Message] = ()) -> None:
    """`roll_back_rollout`, of a rollout that is held already and may be. Raises `NotPossible`, `Overtaken`."""
    subject, left = subject_of(rollout), list[Any]()
    if rollout.release is not None:
        if rollout.release.ended_at is not None:
            raise NotPossible(
                Message("rollout-superseded", "Something newer was published since; roll that back instead.")
            )
        left = [str(uid) for uid in subject.withdraw(rollout, at=at)]
    else:
        subject.discard(rollout, at=at)
    data = {"unassigned": len(left), "unassigned_agents": left[:_LISTED]}
    take_step(
        rollout, _Kind.ROLLED_BACK, by=by, at=at, reasons=reasons, data=data, state=_State.ROLLED_BACK, ended_at=at
    )


def _require(rollout: Rollout, at: datetime, *states: Rollout.State) -> None:
    if rollout.state not in states:
        raise _not_possible(rollout, at)


def _not_possible(rollout: Rollout, at: datetime) -> NotPossible:
    state = rollout.state_at(at).replace("_", " ")
    return NotPossible(
        Message("rollout-not-possible", "That cannot be done with a rollout that is {state}.", state=state)
    )


def _acted(rollout_id: int, act: Callable[[Rollout], None]) -> Rollout:
    """Have ``act`` change the rollout as it is now; once more if it made a step of its own meanwhile."""
    for _attempt in range(_ATTEMPTS):
        rollout = Rollout.objects.get(pk=rollout_id)
        try:
            with transaction.atomic():
                subject_of(rollout).hold()
                rollout.refresh_from_db()
                act(rollout)
        except Overtaken:
            continue
        return rollout
    raise NotPossible(Message("rollout-busy", "The rollout is changing all the time; try again."))
