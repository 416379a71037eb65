"""Tables on pages."""

from __future__ import annotations

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def column_heads(*titles: str) -> SafeString:
    """The head of a table: ``{% column_heads _("Name") _("Status") %}``."""
    cells = format_html_join("", '<th scope="col">{}</th>', ((title,) for title in titles))
    return format_html("<thead><tr>{}</tr></thead>", cells)
