"""Stages and gates in the reader's words, and stages from what a person typed."""

from __future__ import annotations

import re
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agents.selectors import InvalidSelector, parse_label_query
from foundation.languages import in_readers_language
from foundation.messages import Message
from rollouts.errors import InvalidPolicy
from rollouts.gates import StageGate
from rollouts.policies import MOST_STAGES, Policy, Stage


def stage_title(number: int, name: str) -> str:
    """What a stage is called, counted from 1; ``name`` is its own, empty for none."""
    return name or _("Stage %(number)s") % {"number": number}


def stage_words(stage: Stage, *, is_rest: bool = False) -> str:
    """Whom a stage is for; ``is_rest`` as `Policy.is_rest`."""
    if is_rest:
        return _("everybody else")
    if stage.is_everyone:
        return _("everybody")
    if stage.percent is not None:
        return _("%(percent)d %% of the agents") % {"percent": stage.percent}
    if stage.count is not None:
        return ngettext("%(count)d agent", "%(count)d agents", stage.count) % {"count": stage.count}
    assert stage.selector is not None  # noqa: S101  one of the three
    return in_readers_language(stage.selector.words)


def gate_words(gate: StageGate) -> list[str]:
    """What a gate asks for, one condition each."""
    said = [_("%(percent)d %% have applied it") % {"percent": gate.applied_percent}]
    said.append(
        ngettext("at most %(count)d failure", "at most %(count)d failures", gate.failed_max)
        % {"count": gate.failed_max}
        if gate.failed_max
        else _("no failure")
    )
    if gate.healthy_percent:
        said.append(_("%(percent)d %% of them are healthy") % {"percent": gate.healthy_percent})
    if gate.disconnected_percent_max < 100:
        said.append(_("at most %(percent)d %% disconnected") % {"percent": gate.disconnected_percent_max})
    if gate.dwell_seconds:
        said.append(_("all that for %(time)s") % {"time": _duration(gate.dwell_seconds)})
    said.append(_("within %(time)s") % {"time": _duration(gate.timeout_seconds)})
    return said


def _duration(seconds: int) -> str:
    if seconds % 60:
        return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    minutes = seconds // 60
    if minutes % 60:
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    return ngettext("%(count)d hour", "%(count)d hours", minutes // 60) % {"count": minutes // 60}


def policy_words(policy: Policy | None) -> str:
    """A policy in a line."""
    if policy is None:
        return _("at once")
    words = [
        f"{stage.name}: {said}" if stage.name else said
        for number, stage in enumerate(policy.stages)
        if (said := stage_words(stage, is_rest=policy.is_rest(number)))
    ]
    return _("in stages: %(stages)s") % {"stages": " → ".join(words)}


def stages_typed(text: str) -> list[dict[str, Any]]:
    """From lines such as ``5%``, ``10`` or ``canary: env=lab`` to stages as `parse_policy` takes them. Raises `InvalidPolicy`."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > MOST_STAGES:
        raise InvalidPolicy(Message("rollout-stages", "stages is a list of at most {most} stages.", most=MOST_STAGES))
    return [_stage_typed(line) for line in lines]


# A name has neither sign, so that a label with a colon in its value is none.
_NAMED = re.compile(r"(?P<name>[^:=]+):\s+(?P<stage>[^:=]*|[^:=]+=.*)")


def _stage_typed(line: str) -> dict[str, Any]:
    named = _NAMED.fullmatch(line)
    if named is not None:
        return {"name": named["name"], **_stage_typed(named["stage"])}
    number = line.removesuffix("%").strip()
    # Also of digits that `int` takes and nobody means, and of numbers with thousands of them.
    if number.isascii() and number.isdigit() and len(number) < 10:
        return {"percent" if line.endswith("%") else "count": int(number)}
    try:
        return {"selector": parse_label_query(line).as_json()}
    except InvalidSelector as error:
        raise InvalidPolicy(
            Message(
                "rollout-stage-typed",
                "“{line}” is no stage: write 5%, a number of agents, or labels such as env=canary. {problem}",
                line=line[:100],
                problem=error.message,
            )
        ) from error


def stage_typed(stage: Stage) -> str:
    """The inverse of `stages_typed` for one stage."""
    if stage.percent is not None:
        typed = f"{stage.percent}%"
    elif stage.count is not None:
        typed = str(stage.count)
    else:
        typed = str(stage.selector.words) if stage.selector is not None else ""
    return f"{stage.name}: {typed}" if stage.name else typed
