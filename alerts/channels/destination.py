"""What a channel is given: where to send, and what is told in words. It must not know any channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import override

from alerts.alert_options import Network
from alerts.notices import Notice
from foundation.languages import in_readers_language


@dataclass(frozen=True, slots=True)
class ReceiverAddress:
    """A receiver with its secrets read. ``key`` is the same for all attempts of one notice."""

    address: str
    secret: str
    recipients: Sequence[str]
    language: str
    key: UUID
    at: datetime

    @property
    def allowed(self) -> Sequence[Network]:
        """Networks beside the public ones."""
        networks: Sequence[Network] = settings.ALERTS.allowed
        return networks


Channel: TypeAlias = Callable[[ReceiverAddress, Notice], int | None]
"""One attempt: returns the status code if there is one. Raises `alerts.errors.CannotDeliver`."""


@dataclass(frozen=True, slots=True)
class Words:
    """A notice in words: ``title`` in a line, ``lines`` below it, ``url`` of its page."""

    title: str
    summary: str
    lines: Sequence[str]
    url: str


def words(destination: ReceiverAddress, notice: Notice) -> Words:
    """In the language of the receiver."""
    with override(destination.language):
        event = {
            "firing": _("Firing"),
            "repeated": _("Still firing"),
            "resolved": _("Resolved"),
            "test": _("Test"),
        }[notice.event]
        severity = {"info": _("Information"), "warning": _("Warning"), "critical": _("Critical")}[notice.severity]
        group = f" ({notice.group})" if notice.group else ""
        summary = in_readers_language(notice.text)
        lines = [f"{_('Severity')}: {severity}"]
        names = [str(one["name"]) for one in notice.sample]
        if names:
            more = max(notice.count - len(names), 0)
            named = ", ".join(names)
            lines.append(_("%(names)s and %(more)d more") % {"names": named, "more": more} if more else named)
        if notice.description:
            lines.append(notice.description)
        return Words(_one_line(f"[{event}] {notice.rule}{group}"), summary, lines, notice_page(notice))


def notice_page(notice: Notice) -> str:
    """The address of its page, as far as the portal knows its own."""
    if not settings.PUBLIC_URL:
        return ""
    path = reverse("admin:alerts_alert_change", args=[notice.alert_id]) if notice.alert_id else reverse("admin:index")
    return f"{settings.PUBLIC_URL}{path}"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
