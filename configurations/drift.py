"""Whether an agent still runs what it said it applied: what it was given, found again by meaning in what it says it runs. Pure.

Agents merge what they are given with files of their own and fill in defaults, and supervisors add the ``opamp`` extension and
telemetry of their own. So only what was given counts: what an agent has beside it is no drift, unless it stands in a
pipeline that was given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agents.recent import Recent
from agents.reports import JsonObject
from agents.shown import files_shown
from configurations.checks.documents import COMPONENT_SECTIONS
from configurations.checks.findings import path_of
from configurations.masked_values import MASK
from configurations.meaning import (
    MISSING,
    MOST_DIFFERENCES,
    ROLES,
    Shown,
    Value,
    ValueDifference,
    meaning_of,
    pipelines_of,
    same,
)

_KEPT_BYTES = 1024 * 1024

Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """``values`` are those given (left) that the agent runs otherwise (right). ``readable``: the files have a meaning.

    Files without one are compared as texts, those with the same config key; then no value is named.
    """

    has_drifted: bool
    readable: bool = True
    values: tuple[ValueDifference, ...] = ()


_verdicts: Recent[Drift] = Recent(_KEPT_BYTES, lambda drift: 128 + 500 * len(drift.values))
_given: Recent[tuple[dict[str, Value] | None]] = Recent(8 * _KEPT_BYTES, lambda kept: 1_024 + 20 * len(str(kept)))


def drift_once(given: Mapping[str, JsonObject], runs: Mapping[str, JsonObject], *, hashes: tuple[str, str]) -> Drift:
    """`drift_of`, found once while it is remembered; ``hashes`` name the two sides for good."""

    def find() -> Drift:
        # Few configurations are given to many agents, which may all run something of their own.
        (wanted,) = _given.found(hashes[0], lambda: (meaning_of(given),))
        return _drift(given, runs, wanted)

    return _verdicts.found(":".join(hashes), find)


def known_drift(hashes: tuple[str, str]) -> Drift | None:
    """What `drift_once` found, if it is remembered."""
    return _verdicts.get(":".join(hashes))


def drift_of(given: Mapping[str, JsonObject], runs: Mapping[str, JsonObject]) -> Drift:
    """Both as ``{config key: {"body": text, ...}}``, with the true values."""
    return _drift(given, runs, meaning_of(given))


def _drift(given: Mapping[str, JsonObject], runs: Mapping[str, JsonObject], wanted: dict[str, Value] | None) -> Drift:
    effective = None if wanted is None else meaning_of(runs)
    if wanted is None or effective is None:
        return Drift(_texts_differ(given, runs), readable=False)
    found = list(_found(wanted, effective))
    if not found:
        return Drift(False)
    shown = Shown(meaning_of(files_shown(given)), meaning_of(files_shown(runs)))
    values = [
        ValueDifference(path_of(steps), shown.left(steps), shown.right(steps) if runs_it else None)
        for steps, runs_it in found[:MOST_DIFFERENCES]
    ]
    return Drift(True, values=tuple(values))


def _texts_differ(given: Mapping[str, JsonObject], runs: Mapping[str, JsonObject]) -> bool:
    """Whether a file that the agent has under the same key has another text; of a file it does not name nothing is known."""
    for key, file in given.items():
        other = runs.get(key)
        if other is None:
            continue
        if file.get("body_base64") != other.get("body_base64"):
            return True
        if _lines(file.get("body")) != _lines(other.get("body")):
            return True
    return False


def _lines(body: object) -> list[str]:
    return [line.rstrip() for line in body.strip().splitlines()] if isinstance(body, str) else []


def _found(given: Mapping[str, Value], runs: Mapping[str, Value]) -> Iterator[tuple[Steps, bool]]:
    """The steps to each value that is not run as given, and whether another one is run."""
    for key, value in given.items():
        if key == "service" and isinstance(value, dict):
            yield from _found_in_service(given, runs)
        elif key in COMPONENT_SECTIONS and isinstance(value, dict):
            inner = runs.get(key)
            components = inner if isinstance(inner, dict) else {}
            for name, settings in value.items():
                if name not in components:
                    yield (key, name), False
                else:
                    yield from _found_in(settings, components[name], (key, name))
        else:
            yield from _found_in(value, runs.get(key, MISSING), (key,))


def _found_in_service(given: Mapping[str, Value], runs: Mapping[str, Value]) -> Iterator[tuple[Steps, bool]]:
    other = runs.get("service")
    service, effective = given["service"], other if isinstance(other, dict) else {}
    wanted, running = pipelines_of(given), pipelines_of(runs)
    for name, members in wanted.items():
        if name not in running:
            yield ("service", "pipelines", name), False
            continue
        for role in ROLES:
            before, after = members[role], running[name].get(role, ())
            differs = before != after if role == "processors" else set(before) != set(after)
            if differs and not any(_is_open(item) for item in before):
                yield ("service", "pipelines", name, role), True
    extensions, has = service.get("extensions"), effective.get("extensions")
    if isinstance(extensions, list) and not {*map(str, extensions)} <= {
        *map(str, has if isinstance(has, list) else [])
    }:
        yield ("service", "extensions"), isinstance(has, list)
    for key, value in service.items():
        if key not in ("pipelines", "extensions"):
            yield from _found_in(value, effective.get(key, MISSING), ("service", key))


def _found_in(given: Value, runs: Value, steps: Steps) -> Iterator[tuple[Steps, bool]]:
    if given is None or given == {} or _is_open(given) or (isinstance(runs, str) and MASK.fullmatch(runs)):
        # An empty section is filled in with defaults, or not printed.
        return
    if isinstance(given, dict) and isinstance(runs, dict):
        for key, value in given.items():
            yield from _found_in(value, runs.get(key, MISSING), (*steps, key))
    elif isinstance(given, list) and isinstance(runs, list) and len(given) == len(runs):
        for place, (item, other) in enumerate(zip(given, runs, strict=True)):
            yield from _found_in(item, other, (*steps, place))
    elif runs is MISSING or not (same(given, runs) or _prints_alike(given, runs)):
        yield steps, runs is not MISSING


def _is_open(value: Value) -> bool:
    """Whether only the agent knows the value: it expands ``${env:NAME}`` and ``$$``."""
    return isinstance(value, str) and "$" in value


def _prints_alike(given: Value, runs: Value) -> bool:
    """Agents that print anew may leave quotes out or add them, which says nothing of what they run."""
    scalars = (str, int, float, bool)
    return isinstance(given, scalars) and isinstance(runs, scalars) and _printed(given) == _printed(runs)


def _printed(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
