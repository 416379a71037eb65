"""Texts of agents on pages, with their secrets hidden."""

from __future__ import annotations

from django import template

from agents.shown import message_shown

register = template.Library()


@register.filter
def without_secrets(text: object) -> str:
    """Of an error message: cut it afterwards, not before, so that no half of a secret is taken for a word."""
    return message_shown(str(text)) if text else ""
