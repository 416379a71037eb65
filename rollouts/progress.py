"""How far a rollout is, stage by stage and agent by agent: reads rows, changes none."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from agents.shown import message_shown
from rollouts.audiences import Audience
from rollouts.gates import Counts, StageGate
from rollouts.models import Rollout
from rollouts.policies import Policy, Stage, audiences_of
from rollouts.services.stages import audience_of
from rollouts.subjects import COUNTED_AS, Member, MemberState, counts_of, subject_of

_SAMPLE = 5
_MOST_FAILING = 20


@dataclass(frozen=True, slots=True)
class StageProgress:
    """One stage with the agents that none of the former stages includes; ``number`` counts from 1.

    ``passed_over`` are no agents of it: it has come to them, and something else is stronger there.
    """

    number: int
    stage: Stage
    gate: StageGate
    state: str
    counts: Counts
    passed_over: int = 0
    everybody_else: bool = False

    @property
    def agents(self) -> int:
        """So many it has."""
        return self.counts.agents


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage before the start: how many agents it has beyond the former ones, and some of their names.

    For ``failures`` of them there would be nothing to offer; ``failing`` are the first of these, uid and name.
    ``everybody_else`` as `Policy.is_rest`.
    """

    number: int
    stage: Stage
    gate: StageGate
    agents: int
    sample: tuple[str, ...]
    failures: int = 0
    failing: tuple[tuple[UUID, str], ...] = ()
    everybody_else: bool = False


@dataclass(frozen=True, slots=True)
class StagedMember:
    """An agent with its stage, counted from 1, and what people call that."""

    member: Member
    stage: int
    stage_name: str = ""

    @property
    def state_value(self) -> str | None:
        """Its state as a word."""
        return None if self.member.state is None else self.member.state.value

    @property
    def counts_as(self) -> str | None:
        """As which of the five counts of its stage it is counted; ``None``: as none, something else is stronger there."""
        if self.member.state is MemberState.TO_COME:
            return "pending" if self.member.connected else "offline"
        return None if self.member.state is None else COUNTED_AS[self.member.state]

    @property
    def error_message(self) -> str:
        """What it said of its failure, secrets hidden."""
        return message_shown(self.member.error)


def stage_of(audiences: Sequence[Audience], instance_uid: UUID, labels: Mapping[str, str]) -> int:
    """The first stage that includes the agent, counted from 0: the last includes everybody."""
    return next(number for number, audience in enumerate(audiences) if audience.includes(instance_uid, labels))


def planned_stages(
    policy: Policy,
    salt: str,
    agents: Sequence[tuple[UUID, Mapping[str, str], str]],
    *,
    fails: Callable[[Mapping[str, str]], bool] | None = None,
) -> list[PlannedStage]:
    """The stages that a rollout to these agents (uid, labels, name) would have: exactly those it gets when it starts now.

    ``fails`` says whether there would be nothing to offer to an agent with these labels.
    """
    audiences = audiences_of(policy.stages, salt, (uid for uid, _labels, _name in agents))
    counts, samples = [0] * len(audiences), [list[str]() for _stage in audiences]
    failures, failing = [0] * len(audiences), [list[tuple[UUID, str]]() for _stage in audiences]
    for uid, labels, name in agents:
        number = stage_of(audiences, uid, labels)
        counts[number] += 1
        if len(samples[number]) < _SAMPLE:
            samples[number].append(name)
        if fails is not None and fails(labels):
            failures[number] += 1
            if len(failing[number]) < _MOST_FAILING:
                failing[number].append((uid, name))
    return [
        PlannedStage(
            number=number + 1,
            stage=stage,
            gate=policy.gate_of(number),
            agents=counts[number],
            sample=tuple(samples[number]),
            failures=failures[number],
            failing=tuple(failing[number]),
            everybody_else=policy.is_rest(number),
        )
        for number, stage in enumerate(policy.stages)
    ]


def staged_members(rollout: Rollout, at: datetime) -> Iterator[StagedMember]:
    """All agents whom the rollout concerns, in no order."""
    audiences = rollout.stage_audiences()
    reached, policy = audience_of(rollout), rollout.parsed_policy()
    for member in subject_of(rollout).members(rollout, at):
        stage = stage_of(audiences, member.instance_uid, member.labels) + 1
        passed_over = (
            member.state is MemberState.TO_COME
            and reached is not None
            and reached.includes(member.instance_uid, member.labels)
        )
        shown = replace(member, state=None) if passed_over else member
        yield StagedMember(shown, stage, policy.name_of(stage - 1))


def progress_of(rollout: Rollout, at: datetime) -> list[StageProgress]:
    """Each stage, counted. Reads every agent whom the rollout concerns, a few thousand at a time."""
    return progress_and_members(rollout, at, most=1)[0]


def progress_and_members(
    rollout: Rollout, at: datetime, *, most: int
) -> tuple[list[StageProgress], int, list[StagedMember]]:
    """Each stage, counted; how many agents there are, and the first of them as `members_page` has them: all read once."""
    policy = rollout.parsed_policy()
    found = [Counter[MemberState | None]() for _stage in policy.stages]
    # Those to come that are not connected.
    away = Counter[int]()

    def counted() -> Iterator[StagedMember]:
        for staged in staged_members(rollout, at):
            found[staged.stage - 1][staged.member.state] += 1
            if staged.member.state is MemberState.TO_COME and not staged.member.connected:
                away[staged.stage - 1] += 1
            yield staged

    number, members = members_page(counted(), stage=None, states=frozenset(), offset=0, limit=most)
    return _progress(rollout, policy, found, away), number, members


def _progress(
    rollout: Rollout, policy: Policy, found: Sequence[Counter[MemberState | None]], away: Counter[int]
) -> list[StageProgress]:
    return [
        StageProgress(
            number=number,
            stage=stage,
            gate=policy.gate_of(number - 1),
            state=_state_of(rollout, number - 1),
            counts=replace(counts_of(counted), to_come_offline=away[number - 1]),
            passed_over=counted[None],
            everybody_else=policy.is_rest(number - 1),
        )
        for number, (stage, counted) in enumerate(zip(policy.stages, found, strict=True), start=1)
    ]


def members_page(
    staged: Iterable[StagedMember], *, stage: int | None, states: frozenset[str], offset: int, limit: int
) -> tuple[int, list[StagedMember]]:
    """How many agents there are of a stage and of these states or counts, and ``limit`` of them by stage and name."""
    count = 0

    def wanted() -> Iterator[StagedMember]:
        nonlocal count
        for each in staged:
            if stage in (None, each.stage) and (
                not states or not states.isdisjoint({each.state_value, each.counts_as})
            ):
                count += 1
                yield each

    # Failures come first within a stage: they are what is looked for.
    ordered = heapq.nsmallest(
        offset + limit,
        wanted(),
        key=lambda each: (
            each.stage,
            each.member.state is not MemberState.FAILED,
            each.member.name,
            each.member.agent_id,
        ),
    )
    return count, ordered[offset:]


def _state_of(rollout: Rollout, stage: int) -> str:
    if stage < rollout.stage or rollout.state == Rollout.State.COMPLETED:
        return "done"
    return "present" if stage == rollout.stage else "to_come"
