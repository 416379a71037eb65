"""Sentences of the lower storeys in templates: ``{{ finding.message|in_readers_language }}``."""

from __future__ import annotations

from django import template

from accounts.languages import in_readers_language

register = template.Library()
register.filter(in_readers_language)
