"""What policies, gates and states were called before they had the names that outside programs rely on: the one place for it.

The former names are still read, wherever they are stored or sent; everything answered and stored has the present ones. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foundation.messages import Message
from rollouts.errors import InvalidPolicy

POLICY_NAMES = {"on_failure": "on_gate_failure"}
GATE_NAMES = {"max_failed": "failed_max", "max_disconnected_percent": "disconnected_percent_max"}
STATES = {"pending_approval": "awaiting_approval", "finished": "completed"}


def present_state(said: str) -> str:
    """A state as it is called now."""
    return STATES.get(said, said)


def present_names(policy: Any) -> Any:
    """A policy's form with the present names, also in its gates; what is no map is left as it is for others to judge.

    Raises `InvalidPolicy` where a field stands there under both names.
    """
    if not isinstance(policy, Mapping):
        return policy
    form = _renamed(policy, POLICY_NAMES)
    if "gate" in form:
        form["gate"] = _renamed(form["gate"], GATE_NAMES)
    if isinstance(form.get("stages"), list):
        form["stages"] = [_with_gate(stage) for stage in form["stages"]]
    return form


def _with_gate(stage: Any) -> Any:
    if not isinstance(stage, Mapping) or "gate" not in stage:
        return stage
    return {**stage, "gate": _renamed(stage["gate"], GATE_NAMES)}


def _renamed(form: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(form, Mapping):
        return form
    for former, present in names.items():
        if former in form and present in form:
            raise InvalidPolicy(
                Message(
                    "rollout-named-twice",
                    "{former} is the former name of {present}: say one of them.",
                    former=former,
                    present=present,
                )
            )
    return {names.get(name, name): value for name, value in form.items()}
