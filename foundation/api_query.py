"""What REST endpoints read of a query string: each view declares it, and anything else is refused. It must not know any model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.views import APIView

_MOST_NAMED = 20


class DeclaredQuery(APIView):
    """A view whose query parameters are all declared: pages and filters of its list, and those in ``query``.

    ``lists``: the view, or this action of it, answers a list with pages; its filters are those of ``filterset_class``.
    """

    query: Collection[str] = ()
    lists = False

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises `ValidationError` that names unknown parameters and what there is; after rights are checked."""
        super().initial(request, *args, **kwargs)
        known = self.known_query()
        unknown = sorted(set(request.query_params) - known)
        if unknown:
            listed = ", ".join(sorted(known - {api_settings.URL_FORMAT_OVERRIDE})) or _("none")
            said = _("There is no such parameter here; there are: %(known)s.") % {"known": listed}
            raise ValidationError({name: [said] for name in unknown[:_MOST_NAMED]})

    def known_query(self) -> set[str]:
        """All names that mean something to this view."""
        known = {*self.query}
        if api_settings.URL_FORMAT_OVERRIDE:
            known.add(api_settings.URL_FORMAT_OVERRIDE)
        if not (self.lists or getattr(self, "action", None) == "list"):
            return known
        paginator = getattr(self, "paginator", None)
        if paginator is not None:
            known |= {item["name"] for item in paginator.get_schema_operation_parameters(self)}
        filters = getattr(self, "filterset_class", None)
        if filters is not None:
            known |= {*filters.get_filters()}
        return known


def one_of(request: Request, name: str, known: Collection[str]) -> str:
    """The parameter ``name``, empty where it is not given. Raises `ValidationError` that names ``known`` for anything else."""
    wanted = request.query_params.get(name, "")
    if wanted and wanted not in known:
        raise ValidationError({name: [_("Say one of these: %(known)s.") % {"known": ", ".join(known)}]})
    return wanted
