"""What ends soon: agents' certificates, tokens that enrol agents, and API tokens."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiToken
from alerts.models import MOST_SAMPLED, AlertRule
from alerts.parameters import Parameter
from alerts.rule_kinds.base import AlertKind
from alerts.subjects_firing import FiringSubject, Sampled
from certificates.models import AgentCertificate
from enrolment.models import EnrolmentToken
from foundation.messages import Message

_OFF = _("0: these are not watched.")


class Expiring(AlertKind):
    """Certificates and tokens that end within n days. One alert for each kind of thing."""

    name = "expiring"
    title = _("A certificate or token expires")
    about = _("Certificates of agents, enrolment tokens and API tokens that expire within some days.")
    right = "accounts.view_apitoken"
    parameters = (
        Parameter("certificate_days", _("Days before a certificate expires"), 7, 0, 825, _OFF),
        Parameter("enrolment_token_days", _("Days before an enrolment token expires"), 3, 0, 825, _OFF),
        Parameter("api_token_days", _("Days before an API token expires"), 7, 0, 825, _OFF),
    )

    def evaluate(self, rule: AlertRule, now: datetime) -> list[FiringSubject]:
        """What has expired already is told no more."""
        newer = AgentCertificate.objects.in_force(now).filter(
            agent=OuterRef("agent"), not_after__gt=OuterRef("not_after")
        )
        certificates = AgentCertificate.objects.in_force(now).filter(~Exists(newer), agent__isnull=False)
        enrolment = EnrolmentToken.objects.filter(revoked_at=None, expires_at__gt=now)
        tokens = ApiToken.objects.filter(revoked_at=None, expires_at__gt=now, user__is_active=True)
        found = (
            _subject("certificate", certificates.select_related("agent"), "not_after", rule, now),
            _subject("enrolment_token", enrolment, "expires_at", rule, now),
            _subject("api_token", tokens, "expires_at", rule, now),
        )
        return [subject for subject in found if subject is not None]


def _subject(what: str, rows: QuerySet[Any], end: str, rule: AlertRule, now: datetime) -> FiringSubject | None:
    days = rule.number(f"{what}_days")
    if not days:
        return None
    ending = rows.filter(**{f"{end}__lte": now + timedelta(days=days)}).order_by(end, "pk")
    count = ending.count()
    if not count:
        return None
    sample = [Sampled(_name(row), what, row.pk) for row in ending[:MOST_SAMPLED]]
    return FiringSubject(f"what={what}", _said(what, count, days), count, None, sample, {"what": what})


def _name(row: Any) -> str:
    return str(row.agent) if isinstance(row, AgentCertificate) else str(row.name)


def _said(what: str, count: int, days: int) -> Message:
    match what:
        case "certificate":
            return Message(
                "alert-certificates-expire",
                "{count} certificates of agents expire within {days} days.",
                count=count,
                days=days,
            )
        case "enrolment_token":
            return Message(
                "alert-enrolment-tokens-expire",
                "{count} enrolment tokens expire within {days} days.",
                count=count,
                days=days,
            )
    return Message("alert-api-tokens-expire", "{count} API tokens expire within {days} days.", count=count, days=days)
