"""Incoming webhooks as Slack has them, and many chat systems after it."""

from __future__ import annotations

import json

from alerts.channels.destination import ReceiverAddress, words
from alerts.notices import Notice
from alerts.posting import post_json

_SIGNS = {"firing": "🔴", "repeated": "🔴", "resolved": "🟢", "test": "🔵"}
# Longer texts are refused.
_MOST = 3_000


def send_slack(destination: ReceiverAddress, notice: Notice) -> int:
    """One attempt. Raises `CannotDeliver`."""
    said = words(destination, notice)
    parts = [f"{_SIGNS[notice.event]} *{_escaped(said.title)}*", _escaped(said.summary), *map(_escaped, said.lines)]
    text = "\n".join(parts)[:_MOST]
    if said.url:
        text += f"\n<{said.url}>"
    body = json.dumps({"text": text}, ensure_ascii=False).encode("utf-8", "replace")
    headers = {"User-Agent": "opamp-platform", "Idempotency-Key": str(destination.key)}
    return post_json(destination.address, body, headers, allowed=destination.allowed).status


def _escaped(text: str) -> str:
    """Without what would mention people or make addresses."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
