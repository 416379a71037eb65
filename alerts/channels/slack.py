"""Incoming webhooks as Slack has them, and many chat systems after it."""

from __future__ import annotations

import json
import re

from alerts.channels.destination import ReceiverAddress, words
from alerts.notices import Notice
from alerts.posting import post_json

_SIGNS = {"firing": "🔴", "repeated": "🔴", "resolved": "🟢", "test": "🔵"}
# Longer texts are refused.
_MOST = 3_000
_MENTION = re.compile(r"(?<![\w@])@(?=\w)")


def send_slack(destination: ReceiverAddress, notice: Notice) -> int:
    """One attempt. Raises `CannotDeliver`."""
    said = words(destination, notice)
    group = f" ({_verbatim(said.group)})" if said.group else ""
    first = f"{_SIGNS[notice.event]} *{_escaped(said.headline)}*{group}"
    lines = [first, _escaped(said.summary), said.severity, said.named(_verbatim), _escaped(said.description)]
    text = "\n".join(line for line in lines if line)[:_MOST]
    if said.url:
        text += f"\n<{said.url}>"
    body = json.dumps({"text": text}, ensure_ascii=False).encode("utf-8", "replace")
    headers = {"User-Agent": "opamp-platform", "Idempotency-Key": str(destination.key)}
    return post_json(destination.address, body, headers, allowed=destination.allowed).status


def _escaped(text: str) -> str:
    """Without what would mention people or make addresses."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Systems that are like Slack read `@all` as it stands.
    return _MENTION.sub("@\u200b", text)


def _verbatim(text: str) -> str:
    """As code: an agent may be called like a person, an address, or a word in bold."""
    return f"`{_escaped(text.replace('`', chr(39)))}`"
