"""The words for queries that this app adds: who sends metrics of its own."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from agents.query_words import register_query_word, yes_or_no
from telemetry.services import series


def register() -> None:
    """Into the language in which people ask for agents."""
    register_query_word(yes_or_no("telemetry", _("whether it sends metrics of its own"), series.keys_with_telemetry))
