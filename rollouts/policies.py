"""How something is rolled out: stages, their gates, and what else has to be heeded. Pure values with a stored form."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import UUID

from agents.selectors import InvalidSelector, Selector, parse_selector
from foundation.messages import Message
from rollouts.audiences import EVERYONE, POSITIONS, Audience, First, Matching, Share, position
from rollouts.errors import InvalidPolicy
from rollouts.former_names import present_names
from rollouts.gates import StageGate, parse_gate
from rollouts.windows import Window, parse_window

MOST_STAGES = 20
_MOST_AGENTS = 10_000_000
FIELDS = ("stages", "gate", "max_in_flight", "window", "approval", "on_gate_failure")
LONGEST_NAME = 60
# Nothing that a line of typed stages would take for the end of the name, or for a label.
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029:=]+")


class OnGateFailure(enum.Enum):
    """What a rollout does by itself when a gate has failed."""

    PAUSE = "pause"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step: a ``percent`` or a ``count`` of all agents, both with those of former stages, or those of a ``selector``.

    ``gate`` is its own, in place of the policy's. ``name`` is what people call it, empty for none.
    """

    percent: int | None = None
    count: int | None = None
    selector: Selector | None = None
    gate: StageGate | None = None
    name: str = ""

    @property
    def is_everyone(self) -> bool:
        """Nobody is left after it."""
        return self.percent == 100

    def as_json(self) -> dict[str, Any]:
        """The stored form."""
        form: dict[str, Any] = {"name": self.name} if self.name else {}
        if self.percent is not None:
            form["percent"] = self.percent
        if self.count is not None:
            form["count"] = self.count
        if self.selector is not None:
            form["selector"] = self.selector.as_json()
        if self.gate is not None:
            form["gate"] = self.gate.as_json()
        return form


EVERYBODY_ELSE = Stage(percent=100)


@dataclass(frozen=True, slots=True)
class Policy:
    """How to roll out. The last stage always is everybody: a list that does not come so far gets it added.

    ``max_in_flight``: so many agents at most have it and have not answered, 0 for no limit. ``window``: stages begin, and
    further agents are admitted, only while it is open. ``approval``: a second person lets it begin.
    """

    stages: tuple[Stage, ...] = (EVERYBODY_ELSE,)
    gate: StageGate = field(default_factory=StageGate)
    max_in_flight: int = 0
    window: Window | None = None
    approval: bool = False
    on_gate_failure: OnGateFailure = OnGateFailure.PAUSE

    def gate_of(self, stage: int) -> StageGate:
        """The gate at the end of stage ``stage``, counted from 0."""
        return self.stages[stage].gate or self.gate

    def name_of(self, stage: int) -> str:
        """What people call stage ``stage``, counted from 0; empty for none, and before the first."""
        return self.stages[stage].name if stage >= 0 else ""

    def is_rest(self, stage: int) -> bool:
        """Whether stage ``stage``, counted from 0, is for everybody whom the ones before leave out, written down or not."""
        return stage > 0 and self.stages[stage].is_everyone

    def as_json(self) -> dict[str, Any]:
        """The stored form, which `parse_policy` reads."""
        return {
            "stages": [stage.as_json() for stage in self.stages],
            "gate": self.gate.as_json(),
            "max_in_flight": self.max_in_flight,
            "window": None if self.window is None else self.window.as_json(),
            "approval": self.approval,
            "on_gate_failure": self.on_gate_failure.value,
        }


CANARY = Policy(
    stages=(Stage(percent=5), Stage(percent=25), EVERYBODY_ELSE),
    gate=StageGate(applied_percent=95, healthy_percent=95, disconnected_percent_max=5, dwell_seconds=300),
)
"""A careful rollout for whoever does not want to think about numbers."""

NAMED_POLICIES: Mapping[str, Policy | None] = {"at_once": None, "canary": CANARY}
"""Policies that have a name; `None` releases to everyone at once, without a rollout."""


def parse_policy(form: Any) -> Policy | None:
    """From the name of a policy, or a map of some of `Policy`'s fields; `None` for ``"at_once"``. Raises `InvalidPolicy`.

    What was stored or is sent with former names is read too (`former_names`).
    """
    if isinstance(form, str) and form in NAMED_POLICIES:
        return NAMED_POLICIES[form]
    form = present_names(form)
    if not isinstance(form, Mapping) or (unknown := [str(name)[:100] for name in form if name not in FIELDS]):
        said = ", ".join(NAMED_POLICIES) if not isinstance(form, Mapping) else ", ".join(FIELDS)
        raise InvalidPolicy(
            Message("rollout-policy", "A policy is one of {names}, or an object.", names=", ".join(NAMED_POLICIES))
            if not isinstance(form, Mapping)
            else Message("rollout-policy-field", "A policy has {names}; not {name}.", names=said, name=unknown[0])
        )
    approval = form.get("approval", False)
    most = form.get("max_in_flight", 0)
    if not isinstance(approval, bool):
        raise InvalidPolicy(Message("rollout-approval", "approval is true or false."))
    if type(most) is not int or not 0 <= most <= _MOST_AGENTS:
        raise InvalidPolicy(
            Message("rollout-in-flight", "max_in_flight is a whole number from 0 to {most}.", most=_MOST_AGENTS)
        )
    try:
        on_gate_failure = OnGateFailure(form.get("on_gate_failure", OnGateFailure.PAUSE.value))
    except ValueError:
        raise InvalidPolicy(Message("rollout-on-failure", "on_gate_failure is pause or roll_back.")) from None
    window = form.get("window")
    return Policy(
        stages=_stages(form.get("stages", [])),
        gate=parse_gate(form.get("gate", {})),
        max_in_flight=most,
        window=None if window is None else parse_window(window),
        approval=approval,
        on_gate_failure=on_gate_failure,
    )


def _stages(forms: Any) -> tuple[Stage, ...]:
    if not isinstance(forms, list) or len(forms) > MOST_STAGES:
        raise InvalidPolicy(Message("rollout-stages", "stages is a list of at most {most} stages.", most=MOST_STAGES))
    stages = [_stage(number, form) for number, form in enumerate(forms, start=1)]
    for name in ("percent", "count"):
        sizes = [size for stage in stages if (size := getattr(stage, name)) is not None]
        if any(later <= earlier for earlier, later in pairwise(sizes)):
            raise InvalidPolicy(
                Message(
                    "rollout-stages-grow",
                    "Each {name} is larger than the one before: former agents are in it.",
                    name=name,
                )
            )
    if any(stage.is_everyone for stage in stages[:-1]):
        raise InvalidPolicy(Message("rollout-stages-end", "Nobody is left after a stage of 100 percent."))
    if not stages or not stages[-1].is_everyone:
        stages.append(EVERYBODY_ELSE)
    return tuple(stages)


def _stage(number: int, form: Any) -> Stage:
    kinds = [name for name in ("percent", "count", "selector") if isinstance(form, Mapping) and name in form]
    if not isinstance(form, Mapping) or len(kinds) != 1 or set(form) - {*kinds, "gate", "name"}:
        raise InvalidPolicy(
            Message(
                "rollout-stage",
                "Stage {number} has one of percent, count and selector, and may have a name and a gate.",
                number=number,
            )
        )
    gate = parse_gate(form["gate"]) if form.get("gate") is not None else None
    name = _name(number, form.get("name"))
    value, most = form[kinds[0]], 100 if kinds == ["percent"] else _MOST_AGENTS
    if kinds == ["selector"]:
        try:
            return Stage(selector=parse_selector(value), gate=gate, name=name)
        except InvalidSelector as error:
            raise InvalidPolicy(Message.listed(error.problems)) from error
    if type(value) is not int or not 1 <= value <= most:
        raise InvalidPolicy(
            Message(
                "rollout-stage-size",
                "{kind} of stage {number} is a whole number from 1 to {most}.",
                kind=kinds[0],
                number=number,
                most=most,
            )
        )
    if kinds == ["percent"]:
        return Stage(percent=value, gate=gate, name=name)
    return Stage(count=value, gate=gate, name=name)


def _name(number: int, said: Any) -> str:
    if said is None:
        return ""
    name = said.strip() if isinstance(said, str) else None
    if name is None or len(name) > LONGEST_NAME or (name and not _NAME.fullmatch(name)):
        raise InvalidPolicy(
            Message(
                "rollout-stage-name",
                "The name of stage {number} is one line of at most {most} characters, without : and =.",
                number=number,
                most=LONGEST_NAME,
            )
        )
    return name


def audiences_of(stages: Sequence[Stage], salt: str, candidates: Iterable[UUID]) -> tuple[Audience, ...]:
    """The agents of each stage; a count becomes a place in the order of ``salt``, found among ``candidates``.

    So a count stays what it was when agents come or go: who came later stands somewhere in the same order.
    """
    places = sorted(position(uid, salt) for uid in candidates) if any(stage.count for stage in stages) else []
    return tuple(_audience(stage, salt, places) for stage in stages)


def _audience(stage: Stage, salt: str, places: Sequence[int]) -> Audience:
    if stage.is_everyone:
        return EVERYONE
    if stage.selector is not None:
        return Matching(stage.selector)
    if stage.percent is not None:
        return Share(stage.percent, salt)
    count = stage.count or 0
    return First(POSITIONS if count >= len(places) else places[count], salt)
