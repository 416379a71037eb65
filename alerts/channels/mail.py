"""E-mail, by the server that the operator named; without one nothing can be sent."""

from __future__ import annotations

import smtplib

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.message import BadHeaderError

from alerts.channels.destination import ReceiverAddress, words
from alerts.errors import CannotDeliver
from alerts.notices import Notice
from alerts.plain_texts import one_line
from foundation.messages import Message

_LONGEST_ERROR = 200


def send_mail(destination: ReceiverAddress, notice: Notice) -> None:
    """One attempt, to all recipients in one message. Raises `CannotDeliver`."""
    if not settings.ALERTS.email:
        said = Message("email-not-set-up", "The portal has no mail server: set EMAIL_URL and EMAIL_FROM.")
        raise CannotDeliver(said, lasting=True)
    told = words(destination, notice)
    body = "\n\n".join(part for part in (told.summary, *told.lines, told.url) if part)
    message = EmailMessage(
        told.title,
        body,
        to=list(destination.recipients),
        headers={
            # One notice is one message, however often it is sent; programs do not answer it.
            "Message-ID": f"<{destination.key}@opamp-platform>",
            "Auto-Submitted": "auto-generated",
            **({"X-OpAMP-Alert": str(notice.alert_id)} if notice.alert_id else {}),
        },
    )
    try:
        message.send()
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        said = Message(
            "email-refused", "The mail server refused it: {error}", error=one_line(str(text), _LONGEST_ERROR)
        )
        raise CannotDeliver(said, status=error.smtp_code, lasting=500 <= error.smtp_code < 600) from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _text in error.recipients.values()]
        said = Message("email-recipients", "The mail server refused all recipients.")
        raise CannotDeliver(said, status=max(codes, default=None), lasting=min(codes, default=0) >= 500) from None
    except (OSError, smtplib.SMTPException, BadHeaderError, ValueError) as error:
        said = Message(
            "email-away", "The mail server cannot be reached: {error}", error=one_line(str(error), _LONGEST_ERROR)
        )
        raise CannotDeliver(said) from None
