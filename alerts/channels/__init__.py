"""How receivers of each kind are told: a function each, from what is told to one attempt. None of them knows rows."""

from __future__ import annotations

from agents.shown import message_shown
from alerts.channels import alertmanager, mail, slack, webhook
from alerts.channels.destination import Channel, ReceiverAddress
from alerts.errors import CannotDeliver
from alerts.notices import Notice

CHANNELS: dict[str, Channel] = {
    "webhook": webhook.send_webhook,
    "email": mail.send_mail,
    "slack": slack.send_slack,
    "alertmanager": alertmanager.send_to_alertmanager,
}


def attempt(kind: str, destination: ReceiverAddress, notice: Notice) -> int | None:
    """One attempt; returns the status code if there is one. Raises `CannotDeliver`, in whose text are no secrets."""
    try:
        return CHANNELS[kind](destination, notice)
    except CannotDeliver as error:
        # What a receiver answers may repeat what it was sent, and what it was called by.
        error.message = error.message.with_texts(lambda text: message_shown(destination.hidden_in(text)))
        raise


__all__ = ["CHANNELS", "attempt"]
