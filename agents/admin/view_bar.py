"""What stands above the list of agents: views as tabs, how the list is shown, export, and groups by a label."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.urls import reverse

from agents.admin import facets
from agents.admin.error_groups import REASON
from agents.admin.list_columns import COLUMNS, GROUP, ORDER, VIEW, asked_columns, asked_label
from agents.label_groups import label_groups
from agents.models import DefaultView, SavedView
from agents.queries import InvalidQuery, with_term

_MOST_TABS = 12
LIST = "admin:agents_agent_changelist"


def view_address(view: SavedView) -> str:
    """The list as the view says; whoever may not see the view can open it too."""
    said = {
        SEARCH_VAR: view.query,
        COLUMNS: ",".join(map(str, view.columns)),
        GROUP: view.group_by,
        ORDER: view.ordering,
    }
    kept = {name: value for name, value in said.items() if value or name == SEARCH_VAR}
    return f"{reverse(LIST)}?{urlencode({**kept, VIEW: view.pk})}"


def bar_of(request: HttpRequest, changelist: Any) -> dict[str, Any]:
    """For the template; one query."""
    views = _views_of(request)
    now = _as_shown(request)
    present = next((view for view in views if str(view.pk) == request.GET.get(VIEW)), None)
    query = now.get("query")
    files = {name: now[name] for name in (COLUMNS,) if now.get(name)} | {SEARCH_VAR: query or ""}
    return {
        "tabs": [{"view": view, "url": view_address(view), "present": view == present} for view in views[:_MOST_TABS]],
        "more": len(views) > _MOST_TABS,
        "all": not any(view == present for view in views) and not request.GET.get(SEARCH_VAR),
        "present": present,
        "opens_with_view": first_view(request) is not None,
        "save": urlencode({name: value for name, value in now.items() if value}),
        "exports": None
        if query is None
        else [(kind, urlencode(files | {"format": kind})) for kind in ("csv", "jsonl")],
        "shown_as": request.GET.urlencode(),
    }


def first_view(request: HttpRequest) -> SavedView | None:
    """The view with which the list opens for the person."""
    return next((view for view in _views_of(request) if getattr(view, "is_first", False)), None)


def _views_of(request: HttpRequest) -> list[SavedView]:
    """Those that are tabs, and one more if there are more; read once for a page. The one that opens first is among them."""
    found: list[SavedView] | None = getattr(request, "_agent_views", None)
    if found is None:
        first = Exists(DefaultView.objects.filter(user=request.user.pk, view=OuterRef("pk")))
        rows = SavedView.objects.visible_to(request.user).annotate(is_first=first)
        found = sorted(
            rows.order_by("-is_first", "name", "pk")[: _MOST_TABS + 1], key=lambda view: (view.name, view.pk)
        )
        request._agent_views = found  # type: ignore[attr-defined]  # noqa: SLF001  lives as long as the request
    return found


def groups_of(request: HttpRequest, changelist: Any) -> dict[str, Any] | None:
    """The agents found by the label that the address names, each group with the list of exactly its agents."""
    key = asked_label(request)
    if not key:
        return None
    found = label_groups(changelist.queryset, key)
    text = facets.facet_query_of(request).text
    rows = [
        {"value": group.value, "number": group.number, "url": _group_address(changelist, text, group.term)}
        for group in found.groups
    ]
    return {"key": key, "rows": rows, "others": found.others, "partial": found.partial}


def _group_address(changelist: Any, text: str, term: str | None) -> str | None:
    """The list of exactly its agents; ``None`` where no query can ask for them, or it would be too long."""
    if term is None:
        return None
    try:
        query = with_term(text, term)
    except InvalidQuery:
        return None
    return str(changelist.get_query_string({SEARCH_VAR: query}, remove=["p"]))


def _as_shown(request: HttpRequest) -> dict[str, Any]:
    """What a view of this list would have; ``query`` is ``None`` when no query says which agents are listed."""
    query: str | None = None
    read = facets.facet_query_of(request)
    if read.can_be_changed and REASON not in request.GET:
        try:
            query = read.as_text()
        except InvalidQuery:
            query = None
    return {
        "query": query,
        COLUMNS: ",".join(column.name for column in asked_columns(request)),
        GROUP: asked_label(request),
        ORDER: request.GET.get(ORDER, ""),
    }
