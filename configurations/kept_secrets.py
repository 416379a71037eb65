"""Whether an edit by somebody who may not see secrets sends a hidden value elsewhere. Pure.

A hidden value that an edit keeps, goes where the component around it says. So with the value everything of that component
stays as it is, but for settings that cannot lead it anywhere, such as timeouts; in all files, for agents merge them. Of a
Collector's configuration the component is known; of any other all of it counts as one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
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
_ENVIRONMENT = re.compile(r"\$\{(?:env:)?[A-Za-z_][A-Za-z0-9_]*\}")

Component = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Secret:
    """A hidden value that stays: the path in the file ``key``."""

    key: str
    path: Path


@dataclass(frozen=True, slots=True)
class Moved:
    """``secret`` must not stay, because what stands at ``path`` of the file ``key`` changed.

    ``component`` has the secret; it is ``""`` where everything counts as one.
    """

    secret: Secret
    component: str
    key: str
    path: str
    place: Place


@dataclass(frozen=True, slots=True)
class _Value:
    key: str
    path: Path
    text: str
    place: Place


def hidden_paths(text: str, token: str) -> list[Path]:
    """The paths of hidden values in a text as it is shown, ``token`` in place of them; of one that has no paths, all of it."""
    leaves = leaves_of(text)
    if leaves is None:
        return [()] if token in text else []
    return [leaf.path for leaf in leaves if token in leaf.value]


def moved(
    before: Mapping[str, str | None], after: Mapping[str, str | None], kept: Collection[Secret], token: str
) -> Iterator[Moved]:
    """The secrets of ``kept`` that would go elsewhere, one for each component.

    Both sides are the files as they are shown, ``token`` in place of what is hidden, and ``None`` for what is no text.
    """
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
    before: str | None
    after: str | None


def _values(files: Mapping[str, str | None]) -> list[_Value]:
    found: list[_Value] = []
    for key, text in files.items():
        leaves = None if text is None else leaves_of(text)
        if leaves is None:
            digest = hashlib.sha256((text or "").encode(errors="surrogatepass")).hexdigest()
            found.append(_Value(key, (), digest, START))
        else:
            found += [_Value(key, leaf.path, leaf.value, leaf.place) for leaf in leaves]
    return found


def _changes(former: list[_Value], present: list[_Value]) -> Iterator[_Change]:
    """By file and path; of a key that an object has twice, in order."""
    sides: tuple[dict[tuple[str, Path], list[_Value]], ...] = ({}, {})
    for side, values in zip(sides, (former, present), strict=True):
        for value in values:
            side.setdefault((value.key, value.path), []).append(value)
    for where in {**sides[0], **sides[1]}:
        for old, new in zip_longest(sides[0].get(where, ()), sides[1].get(where, ())):
            if old is None or new is None or old.text != new.text:
                value = new or _Value(old.key, old.path, old.text, START)
                yield _Change(value, old.text if old else None, new.text if new else None)


def _is_harmless(change: _Change, token: str, named: int) -> bool:
    """``named`` steps of a path are section and component, which people name as they like."""
    path = change.value.path
    if not path or any(_LEADS.search(str(step)) for step in path[named:] or path):
        return False
    texts = [text for text in (change.before, change.after) if text is not None]
    if len(texts) == 1 and texts[0] == token:
        # A secret that is new, or gone; in a list it cannot be told which one.
        return not any(isinstance(step, int) for step in path)
    return all(_LEADS_NOWHERE.fullmatch(text) for text in texts)


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
        if component[1] in value.text or component[1] in _names(value.path)[2:]
        if (other := _component(value.path)) is not None
    }
    # What starts and what feeds it says nothing about where it goes.
    return {other for other in users if other[0] != "service"}


def _may_name_another(value: _Value) -> bool:
    """Whether only the agent can tell what this says, and that might be the name of an extension."""
    if "$" not in value.text:
        return False
    return "auth" in path_of(value.path).lower() or not _ENVIRONMENT.fullmatch(value.text)
