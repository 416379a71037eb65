"""The tabs of a configuration's page, each an address of its own, so that none shows what nobody asked for."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from agents.shown import files_shown
from configurations.admin import confirmation_page
from configurations.models import RELEASE_SUBJECT, Assignment, Configuration, runs, runs_any
from configurations.outcome import AssignmentStatus
from configurations.pins_shown import pins_to
from configurations.pipelines_shown import pipelines_shown
from foundation.clock import clock
from rollouts.admin.rollout_pages import state_pill
from rollouts.models import Rollout

_REVISIONS = 20
_ROLLOUTS = 30
_AGENTS = 50
EDIT = "edit"


class Tab(NamedTuple):
    """One of them: ``name`` stands in the address, ``template`` draws what is below the tabs."""

    name: str
    title: Any
    template: str
    right: str = ""


_FOLDER = "admin/configurations/configuration"
TABS = (
    Tab(EDIT, _("Edit"), ""),
    Tab("agents", _("Agents"), f"{_FOLDER}/tab_agents.html", "agents.view_agent"),
    Tab("revisions", _("Revisions"), f"{_FOLDER}/tab_revisions.html"),
    Tab("rollouts", _("Rollouts"), f"{_FOLDER}/tab_rollouts.html", "rollouts.view_rollout"),
    Tab("graph", _("Graph"), f"{_FOLDER}/tab_graph.html"),
)


def tabs_shown(request: HttpRequest, row: Configuration, *, editable: bool) -> dict[str, Any]:
    """The tabs as links, and what the one in the address shows; the first for an unknown one, and for a form that came in."""
    name = request.GET.get("tab", "") if request.method == "GET" else ""
    chosen = next((tab for tab in _visible(request) if tab.name == name), TABS[0])
    page = reverse("admin:configurations_configuration_change", args=[row.pk])
    links = [
        {
            "name": tab.name,
            "title": tab.title if editable or tab.name != EDIT else _("Settings"),
            "url": page if tab.name == EDIT else f"{page}?tab={tab.name}",
            "current": tab == chosen,
        }
        for tab in _visible(request)
    ]
    return {"tab": chosen, "tabs": links, **_content(request, row, chosen)}


def tab_progress(request: HttpRequest, row: Configuration) -> dict[str, Any]:
    """What changes by itself on the page: of the agents only where they are shown."""
    sees = request.user.has_perm("agents.view_agent")
    shown = sees and request.GET.get("tab") == "agents"
    rollout = Rollout.objects.active().of(RELEASE_SUBJECT, row.pk).first()
    return {
        "rollout": rollout,
        # All numbers below it are of what each agent should run by now, which may be the former revision.
        "reached": Assignment.objects.filter(runs_any([rollout.version_id])).count() if rollout else 0,
        "rollout_state": "" if rollout is None else rollout.state_at(clock.now()).label,
        "assignments": _assignments_of(row) if shown else None,
        "pins": pins_to(row) if shown else [],
        "most_agents": _AGENTS,
        "agents_tab": reverse("admin:configurations_configuration_change", args=[row.pk]) + "?tab=agents"
        if sees
        else "",
    }


def _visible(request: HttpRequest) -> list[Tab]:
    return [tab for tab in TABS if not tab.right or request.user.has_perm(tab.right)]


def _content(request: HttpRequest, row: Configuration, tab: Tab) -> dict[str, Any]:
    if tab.name == "revisions":
        return {"revisions": _revisions_of(row)}
    if tab.name == "rollouts":
        rollouts = Rollout.objects.of(RELEASE_SUBJECT, row.pk).order_by("-pk")[:_ROLLOUTS]
        return {"rollouts": [(rollout, state_pill(rollout)) for rollout in rollouts]}
    if tab.name == "graph":
        files = sorted(files_shown(row.current.files).items()) if row.current else []
        targets = {name: f"graph-file-{place}" for place, (name, _file) in enumerate(files, 1)}
        return {"files": files, "pipelines": pipelines_shown(dict(files), targets=targets)}
    return {}


def _revisions_of(row: Configuration) -> list[dict[str, Any]]:
    """The newest revisions, each with its difference to the one before."""
    rows = list(row.revisions.defer("files")[: _REVISIONS + 1])
    return [
        {"revision": new, "difference": confirmation_page.revision_difference(old, new)}
        for new, old in zip(rows, [*rows[1:], None], strict=True)
    ][:_REVISIONS]


def _assignments_of(row: Configuration) -> list[Assignment]:
    """Some of the agents that should run it, failures first."""
    rows = Assignment.objects.filter(runs(row)).select_related("agent", "revision").defer("revision__files")
    rows = rows.order_by("agent_id")
    failed = AssignmentStatus.FAILED.value
    found = list(rows.filter(status=failed)[:_AGENTS])
    found += rows.exclude(status=failed)[: _AGENTS - len(found)]
    return found
