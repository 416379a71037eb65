"""Filters of lists of certificates over REST."""

from __future__ import annotations

import django_filters

from agents.filters import AnyOfFilter
from certificates.models import AgentCertificate


class CertificateFilter(django_filters.FilterSet):
    """By state, agent, and when they end."""

    state = AnyOfFilter(choices=AgentCertificate.State.choices, help_text="Any of these.")
    instance_uid = django_filters.UUIDFilter(field_name="agent__instance_uid", help_text="Of this agent.")
    expires_before = django_filters.IsoDateTimeFilter(
        field_name="not_after", lookup_expr="lt", help_text="Whose time ends before."
    )

    class Meta:
        model = AgentCertificate
        fields: list[str] = []
