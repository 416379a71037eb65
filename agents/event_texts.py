"""The timeline in words: one line for each event, in the language of the reader. Values are text, escaped where shown, and
secrets in them are hidden."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from agents import extensions
from agents.models import AgentCommand, AgentEvent, Transport
from agents.shown import event_shown

Kind = AgentEvent.Kind
_TONES = {
    Kind.APPLIED: "good",
    Kind.CONNECTED: "good",
    Kind.FAILED: "bad",
    Kind.REFUSED: "bad",
    Kind.NOT_STORED: "bad",
    Kind.DISCONNECTED: "quiet",
    Kind.FULL_STATE: "quiet",
}
_LONGEST = 600
_LONGEST_DETAILS = 1_000


class Line(NamedTuple):
    """One line of the timeline: ``tone`` colours its sign, ``details`` are the raw values for those who want them."""

    event: AgentEvent
    text: str
    tone: str
    details: str


def line_of(event: AgentEvent) -> Line:
    """The line for one event; a kind without a text of its own is shown by its name and values."""
    data: Mapping[str, Any] = event_shown(event.data) if isinstance(event.data, dict) else {}
    registered = extensions.timeline_kind(event.kind)
    write = registered.text if registered is not None else _TEXTS.get(event.kind)
    text = write(data) if write is not None else _plain(event, data)
    tone = (
        registered.tone
        if registered is not None
        else _TONES.get(Kind(event.kind) if event.kind in Kind.values else Kind.EDITED, "")
    )
    if event.kind == Kind.HEALTH:
        tone = {True: "good", None: "quiet"}.get(data.get("healthy", False), "bad")
    if event.kind == Kind.CREDENTIAL:
        tone = {"used": "good", "revoked": "bad"}.get(str(data.get("step")), "")
    details = json.dumps(data, ensure_ascii=False, indent=2, sort_keys=True) if data else ""
    if len(details) > _LONGEST_DETAILS:
        details = details[:_LONGEST_DETAILS] + "…"
    return Line(event, text, tone, details)


def _cut(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _plain(event: AgentEvent, data: Mapping[str, Any]) -> str:
    pairs = ", ".join(f"{key}: {_cut(value)}" for key, value in data.items() if value not in (None, ""))
    return f"{event.get_kind_display()} – {pairs}" if pairs else event.get_kind_display()


def _transport(data: Mapping[str, Any]) -> str:
    return str(dict(Transport.choices).get(data.get("transport", ""), data.get("transport", "")))


def _configuration(data: Mapping[str, Any]) -> str:
    whole = f"{data['configuration']} r{data.get('revision', '')}" if data.get("configuration") else ""
    fragments = data.get("fragments")
    parts = [f"{part[0]} r{part[1]}" for part in fragments] if isinstance(fragments, list) else []
    return " + ".join([whole, *parts] if whole else parts) or _("of fragments")


def _registered(data: Mapping[str, Any]) -> str:
    return _("Seen for the first time, over %(transport)s") % {"transport": _transport(data)}


def _connected(data: Mapping[str, Any]) -> str:
    return _("Connected over %(transport)s from %(address)s") % {
        "transport": _transport(data),
        "address": data.get("remote_address") or "–",
    }


def reason_words(reason: str) -> str:
    """Why a connection ended, in words."""
    words = {
        "agent disconnected": _("the agent said goodbye"),
        "connection closed": _("the connection was closed"),
        "replaced": _("replaced by a newer connection"),
        "credential revoked": _("its credential was revoked"),
        "agent rejected": _("it was rejected"),
        "enrolment token revoked": _("the enrolment token it came by was revoked"),
        "enrolment token expired": _("the enrolment token it came by has expired"),
        "silent": _("nothing was heard of it in time"),
        "server process lost": _("the server process that held it is gone"),
    }
    return words.get(reason, reason)


def _disconnected(data: Mapping[str, Any]) -> str:
    return _("Disconnected: %(reason)s") % {"reason": reason_words(str(data.get("reason", "")))}


def _capabilities(data: Mapping[str, Any]) -> str:
    parts = []
    if data.get("added"):
        parts.append(_("now can %(names)s") % {"names": ", ".join(map(str, data["added"]))})
    if data.get("removed"):
        parts.append(_("no longer can %(names)s") % {"names": ", ".join(map(str, data["removed"]))})
    return _("Capabilities changed: %(parts)s") % {"parts": "; ".join(parts) or "–"}


def _health(data: Mapping[str, Any]) -> str:
    if data.get("healthy", False) is None:
        return _("Took new connection settings, and has not said since how it is")
    if data.get("healthy"):
        return _("Became healthy")
    if data.get("error"):
        return _("Unhealthy: %(error)s") % {"error": _cut(data["error"])}
    return _("Became unhealthy")


def _failed(data: Mapping[str, Any]) -> str:
    return _("Configuration %(configuration)s failed: %(error)s") % {
        "configuration": _configuration(data),
        "error": _cut(data.get("error") or _("the agent gave no reason")),
    }


def _labels(data: Mapping[str, Any]) -> str:
    labels = data.get("operator_labels")
    pairs = ", ".join(f"{key}={value}" for key, value in labels.items()) if isinstance(labels, dict) else ""
    return _("Operator labels set by %(by)s: %(labels)s") % {"by": _by(data), "labels": _cut(pairs or _("none"))}


def _edited(data: Mapping[str, Any]) -> str:
    names = {"custom_name": _("name"), "notes": _("notes")}
    changed = ", ".join(names[key] for key in names if key in data)
    return _("Edited by %(by)s: %(what)s") % {"by": _by(data), "what": changed or "–"}


def _by(data: Mapping[str, Any]) -> str:
    return str(data.get("by") or _("the system"))


def _command(data: Mapping[str, Any]) -> str:
    kind, outcome = str(data.get("command", "")), str(data.get("outcome", ""))
    if kind == "retry":
        return _("%(by)s has configuration %(configuration)s offered once more") % {
            "by": _by(data),
            "configuration": _configuration(data),
        }
    what = {
        AgentCommand.Kind.RESTART.value: _("Restart"),
        AgentCommand.Kind.CUSTOM_MESSAGE.value: _("Custom message %(type)s") % {"type": _cut(data.get("type", ""))},
    }.get(kind, kind or _("Command"))
    said = {
        AgentCommand.Outcome.PENDING.value: _("%(what)s asked for by %(by)s"),
        AgentCommand.Outcome.SENT.value: _("%(what)s sent to the agent"),
        AgentCommand.Outcome.DONE.value: _("%(what)s: done"),
        AgentCommand.Outcome.EXPIRED.value: _("%(what)s: nothing was observed in time"),
        AgentCommand.Outcome.CANCELLED.value: _("%(what)s: cancelled"),
    }.get(outcome, "%(what)s")
    return said % {"what": what, "by": _by(data)}


def _identity(data: Mapping[str, Any]) -> str:
    if data.get("duplicate"):
        return _(
            "Two agents spoke under this UID, from %(kept)s and from %(moved)s: the latter gets one of its own"
        ) % {
            "kept": data.get("kept") or "–",
            "moved": data.get("moved") or "–",
        }
    if "asked_for" in data:
        return _("Asked for a new instance UID")
    if "assigned" in data:
        return _("A new instance UID was assigned by %(by)s") % {"by": _by(data)}
    return _("Goes by a new instance UID; the former was %(former)s") % {"former": data.get("former") or "–"}


def _credential(data: Mapping[str, Any]) -> str:
    said = {
        "issued": _("A credential of its own was sent to it"),
        "used": _("Uses a credential of its own: the shared secret is not enough for it any more"),
        "revoked": _("Its credential was revoked by %(by)s: it may not connect"),
        "allowed": _("%(by)s allows it to enrol with the shared secret"),
    }.get(str(data.get("step")), _("Credential"))
    return said % {"by": _by(data)}


def _custom_message(data: Mapping[str, Any]) -> str:
    said = {"type": _cut(data.get("type", "")), "capability": _cut(data.get("capability", ""))}
    if "failed" in data:
        return _("Custom message %(type)s of %(capability)s could not be handled: %(error)s") % {
            **said,
            "error": _cut(data["failed"]),
        }
    return _("Custom message %(type)s of %(capability)s received: %(text)s") % {**said, "text": _message_text(data)}


def _message_text(data: Mapping[str, Any]) -> str:
    """The beginning of the data when it is text, else its size."""
    try:
        text = base64.b64decode(str(data.get("data_base64", "")), validate=True).decode()
    except ValueError:
        text = ""
    if text and text.isprintable():
        return _cut(text)
    return _("%(size)s bytes") % {"size": data.get("size", 0)}


def part_words(part: str) -> str:
    """A member of a report, in words."""
    words = {
        "agent_description": _("its description"),
        "health": _("its health"),
        "effective_config": _("its effective configuration"),
        "available_components": _("its components"),
        "package_statuses": _("its packages"),
        "custom_capabilities": _("its custom capabilities"),
        "connection_settings_status": _("the status of its connection settings"),
    }
    return words.get(part, part)


def _not_stored(data: Mapping[str, Any]) -> str:
    said = {"part": part_words(str(data.get("part", ""))), "size": filesizeformat(data.get("size", 0))}
    if data.get("limit") == "fleet":
        return _("Not stored: %(part)s, %(size)s; reports of the fleet fill OPAMP_STORED_IN_ALL") % said
    return _("Not stored: %(part)s, %(size)s; its reports fill OPAMP_STORED_PER_AGENT") % said


_TEXTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    Kind.REGISTERED: _registered,
    Kind.CONNECTED: _connected,
    Kind.DISCONNECTED: _disconnected,
    Kind.DESCRIBED: lambda _data: _("Describes itself differently"),
    Kind.CAPABILITIES: _capabilities,
    Kind.HEALTH: _health,
    Kind.EFFECTIVE_CONFIG: lambda _data: _("Runs another effective configuration"),
    Kind.ASSIGNED: lambda data: _("Configuration %(configuration)s assigned") % {"configuration": _configuration(data)},
    Kind.UNASSIGNED: lambda data: (
        _("No configuration matches any more; it was %(former)s") % {"former": data.get("former") or "–"}
    ),
    Kind.OFFERED: lambda data: _("Configuration %(configuration)s offered") % {"configuration": _configuration(data)},
    Kind.APPLYING: lambda data: (
        _("Configuration %(configuration)s is being applied") % {"configuration": _configuration(data)}
    ),
    Kind.APPLIED: lambda data: _("Configuration %(configuration)s applied") % {"configuration": _configuration(data)},
    Kind.FAILED: _failed,
    Kind.ROLLED_BACK: lambda _data: _("Went back by itself: what it ran before runs again"),
    Kind.DRIFTED: lambda data: (
        _("Runs something else than configuration %(configuration)s, which it applied")
        % {"configuration": _configuration(data)}
    ),
    Kind.DRIFT_ENDED: lambda data: (
        _("Runs configuration %(configuration)s again as it was given") % {"configuration": _configuration(data)}
    ),
    Kind.LABELS: _labels,
    Kind.EDITED: _edited,
    Kind.FULL_STATE: lambda _data: _("Messages were missed: its full state was asked for"),
    Kind.RESTARTED: lambda _data: _("The agent restarted"),
    Kind.COMMAND: _command,
    Kind.IDENTITY: _identity,
    Kind.CREDENTIAL: _credential,
    Kind.CUSTOM_MESSAGE: _custom_message,
    Kind.NOT_STORED: _not_stored,
}
