"""How lists and headlines say that a configuration is a fragment."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from configurations.admin.draft_pages import draft_pill
from configurations.models import Configuration


def marks(row: Configuration) -> SafeString:
    """Behind the name in the list: whether it is a fragment, and its drafts."""
    kind = format_html(' <span class="chip">{}</span>', _("fragment")) if row.is_fragment else ""
    return format_html("{}{}", kind, draft_pill(row))
