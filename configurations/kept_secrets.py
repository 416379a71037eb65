"""Whether an edit by somebody who may not see secrets sends a hidden value elsewhere. Pure.

A hidden value that an edit keeps, goes where the component around it says. So with the value everything of that component
stays as it is, but for settings that cannot lead it anywhere, such as timeouts; in all files, for agents merge them. Of a
Collector's configuration the component is known; of any other all of it counts as one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest

from configurations.checks.findings import START, Place, path_of
from configurations.checks.leaves import Path, leaves_of

_SECTIONS = frozenset({"receivers", "processors", "exporters", "connectors", "extensions"})
# Their values go with the data, wherever pipelines lead it.
_TRAVELLING = frozenset({"processors", "connectors"})
_LEADS = re.compile(
    r"endpoint|host|addr|server|ur[li]|port|target|broker|peer|proxy|tls|ssl|secure|verif|auth|path|redirect|region|site"
    r"|bucket|tenant|domain|cluster|node|gateway|debug|file|dir",
    re.IGNORECASE,
)
_LEADS_NOWHERE = re.compile(
    r"(?:true|false|yes|no|on|off|null|~|[+-]?[0-9]+(?:\.[0-9]+)?\s?(?:ns|us|µs|ms|s|m|h|d|%|[KMGT]i?B?|B)?"
    r"|gzip|zstd|snappy|deflate|none|basic|normal|detailed|debug|info|warn|error)?",
    re.IGNORECASE,
)
# Hidden as a whole, with the address that is in them.
_ADDRESSES = re.compile(r"conn|string|dsn|ur[li]|endpoint|host|server|addr|webhook|proxy", re.IGNORECASE)
_ADDRESS = re.compile(r"://|@\w|(?:host|server|endpoint|addr\w*|source)\s*=", re.IGNORECASE)
_ENVIRONMENT = re.compile(r"\$\{(?:env:)?[A-Za-z_][A-Za-z0-9_]*\}")

Component = tuple[str, str]


@dataclass(frozen=True, slots=True)
class KeptSecret:
    """A hidden value that stays: the path in the file ``key``."""

    key: str
    path: Path


@dataclass(frozen=True, slots=True)
class SecretText:
    """A file as it is, and as it is shown, a token in place of what is hidden."""

    true: str
    shown: str


@dataclass(frozen=True, slots=True)
class Moved:
    """``secret`` must not stay, because what stands at ``path`` of the file ``key`` changed.

    ``component`` has the secret; it is ``""`` where everything counts as one.
    """

    secret: KeptSecret
    component: str
    key: str
    path: str
    place: Place


@dataclass(frozen=True, slots=True)
class _Value:
    key: str
    path: Path
    shown: str
    true: str
    place: Place


def hidden_paths(text: str, token: str) -> list[Path]:
    """The paths of hidden values in a text as it is shown, ``token`` in place of them; of one that has no paths, all of it."""
    leaves = leaves_of(text)
    if leaves is None:
        return [()] if token in text else []
    return [leaf.path for leaf in leaves if token in leaf.value]


def moved(
    before: Mapping[str, SecretText | None],
    after: Mapping[str, SecretText | None],
    kept: Collection[KeptSecret],
    token: str,
) -> Iterator[Moved]:
    """The secrets of ``kept`` that would go elsewhere, one for each component. ``None`` is what is no text."""
    former, present = _values(before), _values(after)
    collector = any(_names(value.path)[:2] == ("service", "pipelines") for value in (*former, *present))
    named = 2 if collector else 0
    changes = [change for change in _changes(former, present) if not _is_harmless(change, token, named)]
    told: set[Component | None] = set()
    for secret in kept:
        component = _component(secret.path) if collector else None
        if component in told:
            continue
        related = _users(component, (*former, *present)) if component else set()
        for change in changes:
            place = _component(change.value.path) if collector else None
            if component is None or place is None or component[0] in _TRAVELLING or place in {component, *related}:
                pass
            elif not (component[0] == "extensions" and _may_name_another(change.value)):
                continue
            told.add(component)
            name = ".".join(component) if component else ""
            yield Moved(secret, name, change.value.key, path_of(change.value.path), change.value.place)
            break


@dataclass(frozen=True, slots=True)
class _Change:
    """``value`` is the new one; of one that is gone, the old one at the beginning of its file."""

    value: _Value
    sides: tuple[_Value, ...]


def _values(files: Mapping[str, SecretText | None]) -> list[_Value]:
    found: list[_Value] = []
    for key, text in files.items():
        shown = None if text is None else leaves_of(text.shown)
        true = None if text is None else leaves_of(text.true)
        if shown is None or true is None or [leaf.path for leaf in shown] != [leaf.path for leaf in true]:
            digest = hashlib.sha256((text.true if text else "").encode(errors="surrogatepass")).hexdigest()
            found.append(_Value(key, (), digest, digest, START))
        else:
            found += [
                _Value(key, leaf.path, seen.value, leaf.value, leaf.place)
                for seen, leaf in zip(shown, true, strict=True)
            ]
    return found


def _changes(former: list[_Value], present: list[_Value]) -> Iterator[_Change]:
    """By file and path; of a key that an object has twice, in order."""
    sides: tuple[dict[tuple[str, Path], list[_Value]], ...] = ({}, {})
    for side, values in zip(sides, (former, present), strict=True):
        for value in values:
            side.setdefault((value.key, value.path), []).append(value)
    for where in {**sides[0], **sides[1]}:
        for old, new in zip_longest(sides[0].get(where, ()), sides[1].get(where, ())):
            if old is None or new is None or old.true != new.true:
                there = tuple(value for value in (old, new) if value is not None)
                yield _Change(new or replace(there[0], place=START), there)


def _is_harmless(change: _Change, token: str, named: int) -> bool:
    """``named`` steps of a path are section and component, which people name as they like."""
    path = change.value.path
    if not path:
        return False
    steps = [str(step) for step in path[named:] or path]
    if any(token in side.shown for side in change.sides):
        # Another secret, a new one, or one that is gone; in a list it cannot be told which.
        listed = len(change.sides) == 1 and any(isinstance(step, int) for step in path)
        return not listed and not _ADDRESSES.search(steps[-1]) and all(_is_bare(side, token) for side in change.sides)
    if any(_LEADS.search(step) for step in steps):
        return False
    return all(_LEADS_NOWHERE.fullmatch(side.shown) for side in change.sides)


def _is_bare(value: _Value, token: str) -> bool:
    """Whether the value is a secret alone, after the name of its scheme perhaps, and no address with one in it."""
    return value.shown.rpartition(" ")[2] == token and not _ADDRESS.search(value.true)


def _names(path: Path) -> tuple[str, ...]:
    """The path as the Collector reads it: ``a::b`` is ``a.b``, and ``<<`` brings in what stands below it."""
    return tuple(name for step in path if step != "<<" for name in str(step).split("::"))


def _component(path: Path) -> Component | None:
    """``None`` for what may concern any component."""
    names = _names(path)
    return (names[0], names[1]) if len(names) > 1 and names[0] in {*_SECTIONS, "service"} else None


def _users(component: Component, values: Collection[_Value]) -> set[Component]:
    """The components that name this one: an extension's secrets go where those say."""
    if component[0] != "extensions":
        return set()
    users = {
        other
        for value in values
        if component[1] in value.true or component[1] in _names(value.path)[2:]
        if (other := _component(value.path)) is not None
    }
    # What starts and what feeds it says nothing about where it goes.
    return {other for other in users if other[0] != "service"}


def _may_name_another(value: _Value) -> bool:
    """Whether only the agent can tell what this says, and that might be the name of an extension."""
    if "$" not in value.true:
        return False
    return "auth" in path_of(value.path).lower() or not _ENVIRONMENT.fullmatch(value.true)
