"""What rollouts do by themselves: the leading process looks at each that runs, now and then, and takes the step that is due."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from django.db import transaction

from foundation.messages import Message
from rollouts.gates import GateVerdict
from rollouts.models import Release, Rollout, RolloutStep
from rollouts.policies import OnGateFailure, Policy
from rollouts.services import freezing
from rollouts.services.rolling_out import begin_if_open, frozen_reason, withdraw
from rollouts.services.stages import admit, pass_gate
from rollouts.services.steps import Overtaken, change, take_step
from rollouts.subjects import subject_of

logger = logging.getLogger(__name__)

_Kind, _State = RolloutStep.Kind, Rollout.State


def tick_all(at: datetime) -> None:
    """Take the steps that are due of every running rollout. One that fails harms no other."""
    for rollout in Rollout.objects.filter(state=_State.RUNNING).order_by("pk"):
        try:
            tick(rollout, at)
        except Overtaken:
            continue
        except Exception:
            logger.exception("a rollout could not go on", extra={"rollout": rollout.pk})


def tick(rollout: Rollout, at: datetime) -> None:
    """Take the step of ``rollout`` that is due at ``at``, if one is; none while a freeze of the fleet or a selector is in force.

    Raises `Overtaken` when it is not as it was read.
    """
    frozen = freezing.active()
    if frozen:
        _stand_still(rollout, frozen[0])
        return
    policy = rollout.parsed_policy()
    if rollout.stage < 0 or rollout.admitted:
        if rollout.may_go_on(policy, max(rollout.stage, 0), at):
            _take_held(rollout, lambda: _let_in(rollout, policy, at))
        return
    gate = policy.gate_of(rollout.stage)
    assert rollout.stage_began_at is not None  # noqa: S101  a stage has begun
    counts = subject_of(rollout).counts(rollout, at)
    judgement = gate.judge(counts, began_at=rollout.stage_began_at, held_since=rollout.held_since, at=at)
    reasons = [reason.as_json() for reason in judgement.reasons]
    if judgement.verdict is GateVerdict.FAILED:
        _take_held(rollout, lambda: _fail(rollout, policy, judgement.reasons, counts.as_json(), at))
    elif judgement.verdict is GateVerdict.PASSED and rollout.stage == len(rollout.stages) - 1:
        _take_held(rollout, lambda: _finish(rollout, counts.as_json(), at))
    elif judgement.verdict is GateVerdict.PASSED and rollout.may_go_on(policy, rollout.stage + 1, at):
        _take_held(rollout, lambda: pass_gate(rollout, policy, counts, at))
    elif judgement.held_since != rollout.held_since or reasons != rollout.reasons:
        change(rollout, held_since=judgement.held_since, reasons=reasons)


def _stand_still(rollout: Rollout, freeze: freezing.ActiveFreeze) -> None:
    """Say why it does not go on, once; `freezing` gives the gate its time anew at the end."""
    said = frozen_reason(freeze)
    if rollout.reasons != [said.as_json()]:
        change(rollout, reasons=[said.as_json()], held_since=None)


def _take_held(rollout: Rollout, step: Callable[[], object]) -> None:
    with transaction.atomic():
        subject_of(rollout).hold()
        step()


def _let_in(rollout: Rollout, policy: Policy, at: datetime) -> None:
    if rollout.stage < 0:
        begin_if_open(rollout, policy, by=None, at=at)
    else:
        admit(rollout, policy, by=None, at=at)


def _finish(rollout: Rollout, counts: dict[str, int], at: datetime) -> None:
    """Only now what was released before is over: until the last gate has passed it can be given back."""
    take_step(rollout, _Kind.GATE_PASSED, by=None, at=at, data=counts)
    take_step(rollout, _Kind.COMPLETED, by=None, at=at, state=_State.COMPLETED, ended_at=at)
    Release.objects.of(rollout.subject, rollout.subject_id).exclude(pk=rollout.release_id or 0).end(at)


def _fail(rollout: Rollout, policy: Policy, reasons: tuple[Message, ...], counts: dict[str, int], at: datetime) -> None:
    take_step(rollout, _Kind.GATE_FAILED, by=None, at=at, reasons=reasons, data=counts)
    if policy.on_gate_failure is OnGateFailure.ROLL_BACK:
        withdraw(rollout, by=None, at=at, reasons=reasons)
    else:
        take_step(rollout, _Kind.PAUSED, by=None, at=at, reasons=reasons, state=_State.PAUSED, held_since=None)
