"""Alertmanager's v2 API: the alert as it is now, under the labels that make it one and the same there."""

from __future__ import annotations

import json
import re
from datetime import timedelta

from alerts.channels.destination import ReceiverAddress, notice_page, words
from alerts.notices import Notice
from alerts.posting import post_json

_PATH = "/api/v2/alerts"
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")
# What is not repeated would be resolved there by its time alone; this is far enough.
_LONG = timedelta(days=7)


def send_to_alertmanager(destination: ReceiverAddress, notice: Notice) -> int:
    """One attempt. Raises `CannotDeliver`."""
    said = words(destination, notice)
    labels = {_name(key): value for key, value in notice.labels.items()}
    labels |= {"alertname": notice.rule, "severity": notice.severity, "source": "opamp-platform"}
    if notice.group:
        labels["group"] = notice.group
    if notice.event == "resolved":
        ends = notice.resolved_at or destination.at.isoformat()
    else:
        lasts = timedelta(seconds=3 * notice.repeat_seconds) if notice.repeat_seconds else _LONG
        # A test is over at once.
        ends = (destination.at + (timedelta(minutes=1) if notice.event == "test" else lasts)).isoformat()
    alert = {
        "labels": labels,
        "annotations": {"summary": said.summary, "description": "\n".join(said.lines)},
        "startsAt": notice.fired_at or notice.started_at,
        "endsAt": ends,
        **({"generatorURL": said.url} if notice_page(notice) else {}),
    }
    base = destination.address.rstrip("/")
    url = base if base.endswith(_PATH) else base + _PATH
    headers = {"User-Agent": "opamp-platform", "Idempotency-Key": str(destination.key)}
    if destination.secret:
        headers["Authorization"] = f"Bearer {destination.secret}"
    body = json.dumps([alert], ensure_ascii=False).encode("utf-8", "replace")
    return post_json(url, body, headers, allowed=destination.allowed).status


def _name(key: str) -> str:
    """A name that every version takes: ``os.type`` is ``os_type``."""
    name = _NOT_IN_NAMES.sub("_", key)
    return f"_{name}" if name[:1].isdigit() else name
