"""What every confirmation asks of the person: above a hundred agents, their number typed by hand. No model is known here."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import QueryDict
from django.utils.translation import gettext as _

TYPE_ABOVE = 100
_OWN_FIELDS = frozenset({"csrfmiddlewaretoken", "shown_count", "typed_count"})
# A live fleet grows while a person reads; beyond this the picture they agreed to is no longer the picture.
_GROWTH, _GROWTH_SLACK = 1.1, 10


def problem_of(posted: QueryDict, count: int) -> str | None:
    """Why a confirmation for ``count`` agents does not hold, or ``None``: the number is missing, wrong or outgrown."""
    try:
        shown = int(posted.get("shown_count") or 0)
    except ValueError:
        shown = 0
    if count > shown * _GROWTH + _GROWTH_SLACK:
        return _("The number of agents has grown to %(count)d since this page was shown: look again.") % {
            "count": count
        }
    if shown <= TYPE_ABOVE:
        return None
    typed = (posted.get("typed_count") or "").replace(",", "").replace(" ", "").strip()
    if typed != str(shown):
        return _("Type the number %(count)d to go on.") % {"count": shown}
    return None


def carried(posted: QueryDict, *, without: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Everything that was posted, to be posted once more from the confirmation's hidden fields."""
    left_out = _OWN_FIELDS | set(without)
    return [(name, str(value)) for name, values in posted.lists() if name not in left_out for value in values]
