"""Whether an agent runs what it should, in a word: ``{{ agent.in_sync|sync_word:agent.config_failed }}``."""

from __future__ import annotations

from django import template
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def sync_word(in_sync: bool | None, config_failed: bool) -> str:
    """``failed``, ``in sync``, ``pending``, or that it is unknown (None), in the reader's language."""
    if config_failed:
        return _("failed")
    if in_sync is None:
        return _("whether it runs it is unknown")
    return _("in sync") if in_sync else _("pending")
