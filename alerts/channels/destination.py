"""What a channel is given: where to send, and what is told in words. It must not know any channel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import override

from alerts.alert_options import Network
from alerts.notices import Notice
from alerts.plain_texts import one_line, without, without_controls
from foundation.languages import in_readers_language

_LONGEST_TITLE = 300
_LONGEST_NAME = 120
_LEAST_GUESSED = 8


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

    def hidden_in(self, text: str) -> str:
        """``text`` without its secrets: of an address the path and what is behind it let in whoever knows them."""
        secrets = {self.secret, self.address}
        if self.address:
            parts = urlsplit(self.address)
            secrets |= {parts.path, parts.query, *_long(parts.path.split("/")), *_long(re.split("[&=]", parts.query))}
        return without(text, secrets)


Channel: TypeAlias = Callable[[ReceiverAddress, Notice], int | None]
"""One attempt: returns the status code if there is one. Raises `alerts.errors.CannotDeliver`."""


@dataclass(frozen=True, slots=True)
class Words:
    """A notice in words: ``headline`` says what happened and of which rule, ``url`` is its page.

    What agents say of themselves is in ``group`` and ``names`` alone: a line each, bounded. ``naming`` is the template of them and
    of the ``more`` that are not named.
    """

    headline: str
    group: str
    summary: str
    severity: str
    names: Sequence[str]
    more: int
    naming: str
    description: str
    url: str

    @property
    def title(self) -> str:
        """In a line."""
        return one_line(f"{self.headline} ({self.group})" if self.group else self.headline, _LONGEST_TITLE)

    def named(self, wanted: Callable[[str], str] = str) -> str:
        """The names, each as ``wanted`` makes it; empty when there are none."""
        shown = ", ".join(wanted(name) for name in self.names)
        return self.naming % {"names": shown, "more": self.more} if self.more and shown else shown

    @property
    def lines(self) -> Sequence[str]:
        """What stands below the summary."""
        return [line for line in (self.severity, self.named(), self.description) if line]


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
        names = [one_line(str(one["name"]), _LONGEST_NAME) for one in notice.sample]
        return Words(
            one_line(f"[{event}] {notice.rule}", _LONGEST_TITLE),
            one_line(notice.group, _LONGEST_TITLE),
            without_controls(in_readers_language(notice.text)),
            f"{_('Severity')}: {severity}",
            names,
            max(notice.count - len(names), 0),
            _("%(names)s and %(more)d more"),
            without_controls(notice.description),
            notice_page(notice),
        )


def notice_page(notice: Notice) -> str:
    """The address of its page, as far as the portal knows its own."""
    if not settings.PUBLIC_URL:
        return ""
    path = reverse("admin:alerts_alert_change", args=[notice.alert_id]) if notice.alert_id else reverse("admin:index")
    return f"{settings.PUBLIC_URL}{path}"


def _long(parts: Iterable[str]) -> list[str]:
    """Those that nobody guesses; `hook` and `services` are words."""
    return [part for part in parts if len(part) >= _LEAST_GUESSED]
