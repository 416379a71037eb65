"""The word for queries that this app adds: how far agents are with certificates."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.query_words import ChoiceWord, register_query_word
from certificates.models import AgentCertificate


def _in_state(state: str) -> Callable[[], Q]:
    rows = AgentCertificate.objects.filter(state=state, agent__isnull=False).order_by()
    return lambda: Q(pk__in=rows.values("agent_id"))


def register() -> None:
    """Into the language in which people ask for agents."""
    register_query_word(
        ChoiceWord(
            "certificate",
            _("the state of a certificate it asked for"),
            {value: _in_state(value) for value in AgentCertificate.State.values},
            right="certificates.view_agentcertificate",
        )
    )
