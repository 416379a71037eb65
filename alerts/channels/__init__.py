"""How receivers of each kind are told: a function each, from what is told to one attempt. None of them knows rows."""

from __future__ import annotations

from alerts.channels import alertmanager, mail, slack, webhook
from alerts.channels.target import Channel

CHANNELS: dict[str, Channel] = {
    "webhook": webhook.send,
    "email": mail.send,
    "slack": slack.send,
    "alertmanager": alertmanager.send,
}

__all__ = ["CHANNELS"]
