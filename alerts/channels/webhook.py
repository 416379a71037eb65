"""Webhooks: JSON with a signature. docs/alerts.md has the format."""

from __future__ import annotations

import json

from alerts.channels.destination import ReceiverAddress, notice_page, words
from alerts.notices import Notice
from alerts.posting import post_json
from alerts.signing_notices import SIGNATURE_HEADER, notice_signature

VERSION = 1


def send_webhook(destination: ReceiverAddress, notice: Notice) -> int:
    """One attempt. Raises `CannotDeliver`."""
    body = json.dumps(_body(destination, notice), ensure_ascii=False).encode("utf-8", "replace")
    headers = {
        "User-Agent": "opamp-platform",
        "X-OpAMP-Event": notice.event,
        "Idempotency-Key": str(destination.key),
        **(
            {SIGNATURE_HEADER: notice_signature(destination.secret, int(destination.at.timestamp()), body)}
            if destination.secret
            else {}
        ),
    }
    return post_json(destination.address, body, headers, allowed=destination.allowed).status


def _body(destination: ReceiverAddress, notice: Notice) -> dict[str, object]:
    said = words(destination, notice)
    return {
        "version": VERSION,
        "id": str(destination.key),
        "event": notice.event,
        "sent_at": destination.at.isoformat(timespec="seconds"),
        "title": said.title,
        "alert": {
            "id": notice.alert_id,
            "rule": notice.rule,
            "kind": notice.kind,
            "severity": notice.severity,
            "state": notice.state,
            "group": notice.group,
            "labels": dict(notice.labels),
            "code": notice.text.code,
            "summary": said.summary,
            "description": notice.description,
            "count": notice.count,
            "total": notice.total,
            "sample": [
                {"name": one["name"], "what": one["what"], **({"instance_uid": one["uid"]} if one["uid"] else {})}
                for one in notice.sample
            ],
            "started_at": notice.started_at,
            "fired_at": notice.fired_at,
            "resolved_at": notice.resolved_at,
            "url": notice_page(notice),
        },
    }
