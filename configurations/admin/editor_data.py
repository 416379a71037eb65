"""What the editor of files asks the server for: what there is to complete, and what is live; and the words it says.

Both are answers for scripts, as JSON. Nothing is saved, and nobody is told a name of what they may not see.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from accounts.base_admin import PortalAdmin
from agents.admin.selector_fields import selector_keys, selector_of
from agents.label_conditions import selector_condition
from agents.models import Agent
from agents.selectors import InvalidSelector
from agents.shown import files_shown
from configurations.admin.editor_phrases import phrases
from configurations.admin.forms import whole_number
from configurations.checks.component_schemas import schemas
from configurations.checks.component_types import KNOWN
from configurations.models import Configuration
from configurations.reported_components import reported_components
from variables.models import Secret, Variable
from variables.template_language import FILTERS

_MOST_NAMES = 500


def editor_context(row: Configuration | None) -> dict[str, Any]:
    """What the page of the form gives its script, as ``editor``."""
    live = reverse("admin:configuration_live_files", args=[row.pk]) if row is not None and row.current else ""
    texts = {
        "files": gettext("Files"),
        "compare": gettext("Compare with what is live"),
        "help": gettext(
            "Ctrl-F searches, Ctrl-Space completes, F8 finds the next problem; Escape, then Tab leaves the text."
        ),
        "large": gettext("A large text: it is not coloured, and nothing is completed."),
        "unchecked": gettext(
            "The files are too large to be checked while you type; they are checked before they are published."
        ),
        "unreachable": gettext("What is live could not be read; try again."),
    }
    urls = {"completions": reverse("admin:configuration_completions"), "live": live}
    return {"editor": {"texts": texts, "words": phrases(), "urls": urls}}


class EditorData(PortalAdmin):
    """The part of the configurations' admin that an editor asks."""

    def may_edit(self, request: HttpRequest, row: Configuration | None) -> bool:
        """Change an existing one, or add a new one."""
        return self.has_change_permission(request, row) if row else self.has_add_permission(request)

    def edited(self, request: HttpRequest) -> Configuration | None:
        """The configuration the form is about, ``None`` for a new one; only for those who may edit it."""
        key = request.POST.get("configuration", "")
        row = None
        if key:
            row = Configuration.objects.select_related("current").filter(pk=whole_number(key)).first()
            if row is None:
                raise Http404
        if not self.may_edit(request, row):
            raise PermissionDenied
        return row

    def editor_urls(self) -> list[URLPattern]:
        """What can be completed, and the files that are live."""
        wrapped = self.admin_site.admin_view
        return [
            path("completions/", wrapped(require_POST(self.completions)), name="configuration_completions"),
            path("<int:pk>/live-files/", wrapped(require_GET(self.live_files)), name="configuration_live_files"),
        ]

    def live_files(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The texts of the revision in force by their keys, with secrets hidden as the form hides them."""
        row = get_object_or_404(Configuration.objects.select_related("current"), pk=min(pk, 2**63 - 1))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        files = files_shown(row.current.files) if row.current else {}
        return JsonResponse({"files": {key: file.get("body", "") for key, file in files.items()}})

    def completions(self, request: HttpRequest) -> HttpResponse:
        """What can stand in a text for the agents that the posted selector matches; ``schemas`` asks for settings as well."""
        self.edited(request)
        reported = _reported(request) if request.user.has_perm("agents.view_agent") else {}
        found: dict[str, Any] = {
            "components": reported or {section: sorted(names) for section, names in KNOWN.items()},
            "source": gettext("reported by agents") if reported else "",
            "labels": selector_keys(request),
            "vars": _names(Variable, request),
            "secrets": _names(Secret, request),
            "filters": sorted(FILTERS),
        }
        if "schemas" in request.POST:
            known = schemas()
            found["schemas"] = {"components": known.components, "types": known.types}
        return JsonResponse(found)


def _reported(request: HttpRequest) -> dict[str, list[str]]:
    try:
        selector = selector_of(request.POST.get("selector", ""), match_all="match_all" in request.POST)
    except InvalidSelector:
        return {}
    return reported_components(Agent.objects.filter(selector_condition(selector)))


def _names(model: type[Variable | Secret], request: HttpRequest) -> list[str]:
    rows = model.objects.visible_to(request.user).order_by("name")
    return list(rows.values_list("name", flat=True).distinct()[:_MOST_NAMES])
