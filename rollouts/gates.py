"""When a stage may be left for the next one: counts of its agents against what was asked. Pure."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from foundation.messages import Message
from rollouts.errors import InvalidPolicy

DEFAULT_TIMEOUT_SECONDS = 1800
_LONGEST_SECONDS = 30 * 24 * 3600
_MOST_FAILED = 1_000_000


@dataclass(frozen=True, slots=True)
class Counts:
    """Agents by how far they are: of a gate those of the stages begun, of one stage all whom it has.

    ``applied``, ``failed`` and ``waiting`` (offered, applying, or about to be) are those that gates judge; of the applied
    ``unhealthy`` said so. ``lost`` had got it and are not connected now; they are judged as well. Others are not:
    ``offline`` never got it and is away, ``held`` is frozen, paused or not approved, ``incapable`` takes no configuration.
    To ``to_come`` it has not come yet; of these ``to_come_offline`` are away.
    """

    applied: int = 0
    failed: int = 0
    waiting: int = 0
    unhealthy: int = 0
    lost: int = 0
    offline: int = 0
    held: int = 0
    incapable: int = 0
    to_come: int = 0
    to_come_offline: int = 0

    @property
    def judged(self) -> int:
        """Those that a gate asks about."""
        return self.applied + self.failed + self.waiting + self.lost

    @property
    def agents(self) -> int:
        """All of them."""
        return self.judged + self.offline + self.held + self.incapable + self.to_come

    def as_json(self) -> dict[str, int]:
        """For the API and for what is remembered of a step.

        The first five are all agents, each once; the others say more of them: ``unhealthy`` of the done, ``lost`` of the
        offline, ``waiting`` and ``held`` of the pending, ``to_come`` of the pending and the offline.
        """
        return {
            "done": self.applied,
            "pending": self.waiting + self.held + self.to_come - self.to_come_offline,
            "offline": self.offline + self.lost + self.to_come_offline,
            "failed": self.failed,
            "incapable": self.incapable,
            **{name: getattr(self, name) for name in ("unhealthy", "lost", "waiting", "held", "to_come")},
        }


class GateVerdict(enum.Enum):
    """What a gate says of a stage now."""

    WAIT = "wait"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class GateJudgement:
    """A verdict with what is missing, and since when everything has been met (``None``: it is not)."""

    verdict: GateVerdict
    reasons: tuple[Message, ...] = ()
    held_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class StageGate:
    """What must hold for ``dwell_seconds`` on end before the next stage begins.

    Percentages (0 to 100) are of the agents that count. More than ``failed_max`` failures fail it at once, everything else
    when ``timeout_seconds`` are over, so that one silent agent cannot hold a rollout for ever.
    """

    applied_percent: int = 100
    failed_max: int = 0
    healthy_percent: int = 0
    disconnected_percent_max: int = 100
    dwell_seconds: int = 0
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS

    def judge(self, counts: Counts, *, began_at: datetime, held_since: datetime | None, at: datetime) -> GateJudgement:
        """The verdict at ``at`` on a stage whose agents have all been admitted since ``began_at``."""
        if counts.failed > self.failed_max:
            return GateJudgement(GateVerdict.FAILED, (self._too_many_failed(counts),))
        missing = self._missing(counts)
        if not missing:
            # A clock that was put back must not make anybody wait longer than was asked.
            since = at if held_since is None or held_since > at else held_since
            if at - since >= timedelta(seconds=self.dwell_seconds):
                return GateJudgement(GateVerdict.PASSED, held_since=since)
            return GateJudgement(GateVerdict.WAIT, (self._holding(),), since)
        if at - began_at >= timedelta(seconds=self.timeout_seconds):
            return GateJudgement(GateVerdict.FAILED, (self._timed_out(), *missing))
        return GateJudgement(GateVerdict.WAIT, missing)

    def _missing(self, counts: Counts) -> tuple[Message, ...]:
        found = []
        judged = counts.judged
        if counts.applied * 100 < self.applied_percent * judged:
            found.append(
                Message(
                    "gate-applied",
                    "{count} of {all} agents have applied it; {percent} % are needed.",
                    count=counts.applied,
                    all=judged,
                    percent=self.applied_percent,
                )
            )
        healthy = counts.applied - counts.unhealthy
        if healthy * 100 < self.healthy_percent * counts.applied:
            found.append(
                Message(
                    "gate-healthy",
                    "{count} of {all} agents that applied it are healthy; {percent} % are needed.",
                    count=healthy,
                    all=counts.applied,
                    percent=self.healthy_percent,
                )
            )
        if counts.lost * 100 > self.disconnected_percent_max * judged:
            found.append(
                Message(
                    "gate-disconnected",
                    "{count} of {all} agents that got it are disconnected; at most {percent} % may be.",
                    count=counts.lost,
                    all=judged,
                    percent=self.disconnected_percent_max,
                )
            )
        return tuple(found)

    def _too_many_failed(self, counts: Counts) -> Message:
        return Message(
            "gate-failed",
            "{count} agents failed to apply it; at most {most} may.",
            count=counts.failed,
            most=self.failed_max,
        )

    def _holding(self) -> Message:
        return Message("gate-holding", "All is met, and has to hold for {seconds} seconds.", seconds=self.dwell_seconds)

    def _timed_out(self) -> Message:
        return Message("gate-timeout", "The time of {seconds} seconds is over.", seconds=self.timeout_seconds)

    def as_json(self) -> dict[str, int]:
        """The stored form, which `parse_gate` reads."""
        return asdict(self)


_LIMITS: dict[str, tuple[int, int]] = {
    "applied_percent": (0, 100),
    "failed_max": (0, _MOST_FAILED),
    "healthy_percent": (0, 100),
    "disconnected_percent_max": (0, 100),
    "dwell_seconds": (0, _LONGEST_SECONDS),
    "timeout_seconds": (1, _LONGEST_SECONDS),
}


def parse_gate(form: Any) -> StageGate:
    """From a map of some of `StageGate`'s fields; the others have their defaults. Raises `InvalidPolicy`."""
    values: dict[str, int] = {}
    for name, value in form.items() if isinstance(form, dict) else [("gate", form)]:
        limits = _LIMITS.get(name)
        if limits is None:
            raise InvalidPolicy(
                Message(
                    "rollout-gate", "A gate has {names}; not {name}.", names=", ".join(_LIMITS), name=str(name)[:100]
                )
            )
        least, most = limits
        if type(value) is not int or not least <= value <= most:
            raise InvalidPolicy(
                Message(
                    "rollout-gate-number",
                    "{name} of a gate is a whole number from {least} to {most}.",
                    name=name,
                    least=least,
                    most=most,
                )
            )
        values[name] = value
    return StageGate(**values)
