"""What timelines say of an agent's certificates. Knows values alone, no rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.extensions import TimelineKind

KIND = "certificate"


def _text(data: Mapping[str, Any]) -> str:
    said = {
        "by": data.get("by") or _("the system"),
        "reason": data.get("reason", ""),
        "key": data.get("key", ""),
        "until": _time(data.get("not_after")),
    }
    texts = {
        "requested": _("Asked for a certificate (%(key)s)"),
        "approved": _("Its certificate was approved by %(by)s"),
        "denied": _("Its certificate was denied by %(by)s: %(reason)s"),
        "issued": _("A certificate was issued to it, good until %(until)s"),
        "failed": _("Its certificate could not be signed: %(reason)s"),
        "refused": _("Its request for a certificate was refused: %(reason)s"),
        "not taken": _("It could not take its certificate: %(reason)s"),
        "used": _("Uses its certificate"),
        "revoked": _("Its certificate was revoked by %(by)s"),
    }
    text = texts.get(str(data.get("step")), "")
    return text % said if text else _("Certificate")


def _time(text: Any) -> str:
    at = parse_datetime(str(text or ""))
    return "" if at is None else date_format(localtime(at), "DATETIME_FORMAT")


CERTIFICATE_KIND = TimelineKind(KIND, gettext_lazy("Certificate"), _text)
