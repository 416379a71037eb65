"""Messages of the lower layers in templates: ``{{ finding.message|in_readers_language }}``."""

from __future__ import annotations

from django import template

from foundation.languages import in_readers_language

register = template.Library()
register.filter(in_readers_language)
