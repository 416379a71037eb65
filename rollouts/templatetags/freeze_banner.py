"""What every page of the admin says while the fleet or a part of it is frozen: ``{% freeze_banner %}``."""

from __future__ import annotations

from typing import Any

from django import template
from django.db import DatabaseError
from django.urls import reverse

from foundation.clock import clock
from rollouts.freezes_shown import audience_words
from rollouts.services.freezing import current_freezes

register = template.Library()
# More are named on their page.
_SHOWN = 3


@register.inclusion_tag("admin/rollouts/freeze/banner.html", takes_context=True)
def freeze_banner(context: template.Context) -> dict[str, Any]:
    """The freezes in force, for those who are signed in; nothing while the database is away, of which the page tells itself."""
    found: tuple[Any, ...] = ()
    request = context.get("request")
    # Its own page says the same, with the button that ends it.
    told = request is not None and request.path == reverse("admin:rollouts_freeze_changelist")
    if context.get("has_permission") and request is not None and not told:
        try:
            found = current_freezes().shown(clock.now())
        except DatabaseError:
            found = ()
    return {
        "freezes": [(freeze, audience_words(freeze.audience)) for freeze in found[:_SHOWN]],
        "more": max(len(found) - _SHOWN, 0),
        "may_see": bool(found) and request is not None and request.user.has_perm("rollouts.view_freeze"),
    }
