"""Which values of connection settings nobody sees again, and how an edit keeps them. Pure.

All headers, private keys, and further settings whose names or shapes say secret. In their place stands `HIDDEN`; sent back as it
is shown, it keeps the stored value, as long as the member leads where it led.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from agents.redaction import HIDDEN, redacted_json
from connections.content import Content, members_of
from foundation.messages import Message

# What decides where a hidden value goes, and who reads it on the way.
_LEADS = ("endpoint", "tls", "proxy")


def content_shown(content: Content) -> Content:
    """A copy with each secret hidden."""
    made = copy.deepcopy(content)
    for _path, member in members_of(made):
        for _place, holder, name in _secrets(member):
            holder[name] = HIDDEN
    return made


def secret_values(content: Content) -> list[str]:
    """The secrets themselves, so that they are known where they turn up."""
    return [holder[name] for _path, member in members_of(content) for _place, holder, name in _secrets(member)]


def with_kept(given: Any, stored: Content) -> tuple[Any, dict[str, list[Message]]]:
    """``given`` with stored values where `HIDDEN` stands, and what cannot be kept, by path. ``given`` may be anything."""
    made = copy.deepcopy(given)
    errors: dict[str, list[Message]] = {}
    before = dict(members_of(stored))
    for path, member in _given_members(made):
        former = before.get(path, {})
        kept = {place: holder[name] for place, holder, name in _secrets(former)}
        same = _leads(member) == _leads(former)
        for place, holder, name in _hidden(member):
            value = kept.get(place)
            if value is None:
                errors[f"content.{path}.{place}"] = [
                    Message("nothing-kept", "There is no stored value that could stay: write it anew.")
                ]
            elif not same:
                errors[f"content.{path}.{place}"] = [
                    Message(
                        "kept-elsewhere", "The address, its TLS options or its proxy changed: write this value anew."
                    )
                ]
            else:
                holder[name] = value
    return made, errors


Place = tuple[str, dict[str, Any], str]


def _secrets(member: Mapping[str, Any]) -> Iterator[Place]:
    """The path within the member, the object that has the value, and its name there."""
    headers = member.get("headers", {})
    yield from ((f"headers.{name}", headers, name) for name in headers)
    connect = member.get("proxy", {}).get("connect_headers", {})
    yield from ((f"proxy.connect_headers.{name}", connect, name) for name in connect)
    pair = member.get("certificate", {})
    if pair.get("private_key"):
        yield "certificate.private_key", pair, "private_key"
    others = member.get("other_settings", {})
    judged: Any = redacted_json(others)
    yield from ((f"other_settings.{name}", others, name) for name in others if judged.get(name) != others[name])


def _hidden(member: Any) -> Iterator[Place]:
    """Where `HIDDEN` stands in what somebody sent."""
    waiting: list[tuple[str, Any]] = [("", member)]
    while waiting:
        path, holder = waiting.pop()
        if not isinstance(holder, dict):
            continue
        for name, value in holder.items():
            if value == HIDDEN:
                yield f"{path}{name}", holder, name
            elif isinstance(value, dict) and path.count(".") < 4:
                waiting.append((f"{path}{name}.", value))


def _given_members(given: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(given, dict):
        return
    for name, member in given.items():
        if name != "other_connections":
            yield str(name), member
        elif isinstance(member, dict):
            yield from ((f"other_connections.{each}", value) for each, value in member.items())


def _leads(member: Any) -> list[Any]:
    found = [member.get(name) if isinstance(member, Mapping) else None for name in _LEADS]
    tls = found[1]
    if isinstance(tls, Mapping):
        found[1] = {name: value for name, value in tls.items() if value not in (False, "", None, [])} or None
    if isinstance(found[2], Mapping):
        found[2] = found[2].get("url")
    return found
