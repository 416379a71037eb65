"""The page that compares two revisions, or what agents run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from accounts.models import User
from agents.models import Agent
from configurations.comparing import compare_sides
from configurations.meaning import ROLES, ComponentDifference, MeaningDifference
from configurations.models import Configuration
from configurations.pipelines_shown import pipelines_between
from foundation.errors import DomainError
from foundation.languages import in_readers_language

_OFFERED = 200
_MOST_ROWS, _MOST_PIPELINES = 250, 50


def compare_page(request: HttpRequest) -> TemplateResponse:
    """Two fields to name the sides and, once both are named, what differs. Needs the right to view configurations."""
    user = cast("User", request.user)
    if not user.has_perm("configurations.view_configuration"):
        raise PermissionDenied
    left, right = (request.GET.get(name, "").strip() for name in ("left", "right"))
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("Compare"),
        "left": left,
        "right": right,
        "offered": _offered(user),
        "compared": None,
    }
    if left and right:
        try:
            found = compare_sides(left, right, user)
        except DomainError as error:
            context["error"] = in_readers_language(error.message)
        else:
            meaning, more = _beginning(found.meaning)
            context |= {
                "compared": found,
                "meaning": meaning,
                "more": more,
                "members": _pipelines(meaning),
                "pipelines": pipelines_between(found.left.files, found.right.files) if found.meaning else None,
            }
    return TemplateResponse(request, "admin/compare.html", context)


def _offered(user: User) -> list[tuple[str, str]]:
    """Sides to choose from, with what they are; others can be typed."""
    names = Configuration.objects.visible_to(user).order_by("name").values_list("name", flat=True)[:_OFFERED]
    agents = Agent.objects.visible_to(user).filter(reported__effective_config__isnull=False).in_order("name")[:_OFFERED]
    return [
        *((f"configuration:{name}", name) for name in names),
        *((f"agent:{agent.instance_uid}", agent.name_and_host()) for agent in agents),
    ]


def _beginning(meaning: MeaningDifference | None) -> tuple[MeaningDifference | None, bool]:
    """As much of what differs as a page holds, and whether there is more."""
    if meaning is None:
        return None, False
    components: list[ComponentDifference] = []
    left = _MOST_ROWS
    for item in meaning.components:
        if left <= 0:
            break
        kept = replace(item, values=item.values[:left])
        components.append(kept)
        left -= 1 + len(kept.values)
    shown = replace(
        meaning,
        components=tuple(components),
        pipelines=meaning.pipelines[:_MOST_PIPELINES],
        settings=meaning.settings[: max(left, 0)],
    )
    return shown, shown != meaning


def _pipelines(meaning: MeaningDifference | None) -> list[dict[str, Any]]:
    """Each pipeline with the roles whose members differ."""
    return [
        {
            "name": item.name,
            "change": item.change,
            "roles": [
                {"role": role, "left": ", ".join(item.left[role]), "right": ", ".join(item.right[role])}
                for role in ROLES
                if item.left[role] != item.right[role]
            ],
        }
        for item in (meaning.pipelines if meaning else ())
    ]
