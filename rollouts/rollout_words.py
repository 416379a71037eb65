"""The words for queries that this app adds: who is paused."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from agents.query_words import register_query_word, yes_or_no
from rollouts.services import freezing


def register() -> None:
    """Into the language in which people ask for agents."""
    register_query_word(yes_or_no("paused", _("whether it is paused"), freezing.paused_keys))
