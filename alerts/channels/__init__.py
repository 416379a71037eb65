"""How receivers of each kind are told: a function each, from what is told to one attempt. None of them knows rows."""

from __future__ import annotations

from alerts.channels import alertmanager, mail, slack, webhook
from alerts.channels.destination import Channel

CHANNELS: dict[str, Channel] = {
    "webhook": webhook.send_webhook,
    "email": mail.send_mail,
    "slack": slack.send_slack,
    "alertmanager": alertmanager.send_to_alertmanager,
}

__all__ = ["CHANNELS"]
