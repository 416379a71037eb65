"""What one agent gets of a configuration, as a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from agents.models import Agent
from configurations.models import Configuration, agents_running
from configurations.rendered_files import shown_for
from foundation.languages import in_readers_language

_MOST_NAMED = 50


class RenderedPages(admin.ModelAdmin[Configuration]):
    """The part of the configurations' admin that renders templates for people."""

    def rendered(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The newest files for the agent in ``?agent=``, by its instance uid or its name; secrets are hidden."""
        row = get_object_or_404(Configuration.objects.select_related("current"), pk=pk)
        if not self.has_view_permission(request, row) or not request.user.has_perm("agents.view_agent"):
            raise PermissionDenied
        asked = request.GET.get("agent", "").strip()
        agent = _agent(request, asked)
        found = shown_for(row, agent.labels) if agent is not None else None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("%(name)s, as an agent gets it") % {"name": row},
            "row": row,
            "asked": asked,
            "agent": agent,
            "agents": _named(row),
            "files": found.files.items() if found else (),
            "error": in_readers_language(found.error) if found and found.error else "",
            "config_hash": found.config_hash if found else "",
        }
        return TemplateResponse(request, "admin/configurations/configuration/rendered.html", context)


def rendered_form(request: HttpRequest, row: Configuration) -> dict[str, Any]:
    """The context of the form that asks for an agent, on the configuration's page."""
    renders = row.current is not None and row.current.templated and request.user.has_perm("agents.view_agent")
    return {"renders": True, "rendered_for": _named(row)} if renders else {}


def _named(row: Configuration) -> Sequence[Agent]:
    return list(Agent.objects.filter(agents_running(row)).in_order("name")[:_MOST_NAMED])


def _agent(request: HttpRequest, asked: str) -> Agent | None:
    """Of several with one name the one seen first."""
    if not asked or "\x00" in asked:
        return None
    visible = Agent.objects.visible_to(request.user)
    try:
        return visible.filter(instance_uid=UUID(asked)).first()
    except ValueError:
        return visible.filter(name=asked).order_by("pk").first()
