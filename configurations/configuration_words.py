"""The words for queries that this app adds: pins, rollouts that have yet to come, and how agents answered."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.query_words import ChoiceWord, register_query_word, yes_or_no
from configurations.models import Assignment, pinned_keys
from configurations.pending_stages import waiting_keys


def _answered(status: str) -> Callable[[], Q]:
    return lambda: Q(pk__in=Assignment.objects.filter(status=status).order_by().values("agent_id"))


def register() -> None:
    """Into the language in which people ask for agents."""
    register_query_word(yes_or_no("pinned", _("whether it is pinned"), pinned_keys))
    register_query_word(
        ChoiceWord(
            "rollout",
            _("whether a rollout has yet to come to it"),
            {"waiting": lambda: Q(pk__in=waiting_keys()), "none": lambda: ~Q(pk__in=waiting_keys())},
        )
    )
    register_query_word(
        ChoiceWord(
            "outcome",
            _("how far it is with its configuration"),
            {value: _answered(value) for value in Assignment.Status.values},
        )
    )
