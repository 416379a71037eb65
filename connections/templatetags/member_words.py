"""What the members of connection settings are called: ``{{ name|member_word }}``."""

from __future__ import annotations

from collections.abc import Iterable

from django import template
from django.utils.translation import gettext_lazy

register = template.Library()

_WORDS = {
    "opamp": gettext_lazy("This server (OpAMP)"),
    "own_metrics": gettext_lazy("Own metrics"),
    "own_traces": gettext_lazy("Own traces"),
    "own_logs": gettext_lazy("Own logs"),
    "other_connections": gettext_lazy("Other connections"),
}


@register.filter
def member_word(name: str) -> str:
    """As the form calls it; a connection of another kind by its own name."""
    kind, _dot, other = name.partition(".")
    return other or str(_WORDS.get(kind, name))


def members_in_words(names: Iterable[str]) -> str:
    """Several in one line."""
    return ", ".join(map(member_word, names)) or "–"
