"""The page that offers configurations to begin with, and what the form takes from the one that was chosen."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from accounts.base_admin import Missing, PortalAdmin
from configurations.starting_points import StartingPoint, starting_points
from foundation.languages import in_readers_language

CHOSEN = "template"


class StartingPages(PortalAdmin):
    """The part of the configurations' admin that helps to begin."""

    def starting_urls(self) -> list[URLPattern]:
        """The page of cards."""
        return [path("templates/", self.admin_site.admin_view(self.starting_page), name="configuration_templates")]

    def starting_page(self, request: HttpRequest) -> HttpResponse:
        """A card for each configuration to begin with."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Start from a template"),
            "cards": [
                {
                    "name": row.name,
                    "title": in_readers_language(row.title),
                    "description": in_readers_language(row.description),
                    "components": row.components,
                    "text": row.text,
                }
                for row in starting_points().values()
            ],
        }
        return TemplateResponse(request, "admin/configurations/configuration/templates.html", context)


def chosen_start(request: HttpRequest) -> StartingPoint | None:
    """What the address of the form names. Raises `Missing` when there is none of the name."""
    name = request.GET.get(CHOSEN, "")
    if not name:
        return None
    try:
        return starting_points()[name]
    except KeyError:
        raise Missing(_("There is no template of this name.")) from None


def starting_fields(start: StartingPoint) -> dict[str, Any]:
    """What the form of a new configuration shows at first, beside the text."""
    return {
        "name": start.name,
        "display_name": in_readers_language(start.title),
        "description": in_readers_language(start.description),
    }
