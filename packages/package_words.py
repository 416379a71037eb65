"""The words for queries that this app adds: what agents should have installed, and how far they are."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from agents.query_words import ChoiceWord, RelatedWord, register_query_word, yes_or_no
from packages.models import Installation
from packages.packages_shown import upgradable_keys

SEE_RIGHT = "packages.view_package"


def _with_status(status: str) -> Callable[[], Q]:
    return lambda: Q(pk__in=Installation.objects.filter(status=status).order_by().values("agent_id"))


def register() -> None:
    """Into the language in which people ask for agents."""
    register_query_word(
        RelatedWord(
            "package", _("a package it should have"), Installation.objects.all, "package__name", right=SEE_RIGHT
        )
    )
    register_query_word(
        ChoiceWord(
            "installation",
            _("how far it is with a package"),
            {value: _with_status(value) for value in Installation.Status.values},
        )
    )
    register_query_word(yes_or_no("upgrade", _("whether there is something newer to install"), upgradable_keys))
