"""What an agent's page keeps of what the agent says, and all of it as downloads, secrets hidden as everywhere else.

An agent decides how much it says; a page of it must stay small whatever that is. The bounds below keep it under 400 KiB.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from agents.models import Agent
from agents.reports import Json, JsonObject
from agents.shown import MOST_SHOWN, files_cut, files_shown, tree_shown, value_shown

_ON_PAGE = 32 * 1024
"""Characters of all files together that the page shows."""

MOST_NODES = 150
"""Components of the health tree, and of the available ones."""

MOST_ROWS = 100
"""Attributes, custom capabilities; of packages, which have long texts, half as many."""

_RAW_ON_PAGE = 16 * 1024
# Finding secrets in that takes some seconds, of one download at a time.
_MOST_DOWNLOADED = 8 * 1024 * 1024
_one_at_a_time = threading.Lock()
_PATIENCE_SECONDS = 2.0
# Columns by which the portal keeps connections and uids apart: nothing an agent said.
_OWN_BUSINESS = ("lease_", "next_", "credential_number", "credential_former")

T = TypeVar("T")


def beginning(items: Iterable[T], most: int = MOST_ROWS) -> tuple[list[T], bool]:
    """The first ``most`` of them, and whether there are more."""
    found = list(islice(items, most + 1))
    return found[:most], len(found) > most


def files_beginning(content: Mapping[str, JsonObject]) -> dict[str, dict[str, Json]]:
    """Files as the page shows them. What other parts of it show of the same files was looked at for secrets once, with these."""
    shown = files_shown(content, most=MOST_SHOWN)
    cut = files_cut(shown, _ON_PAGE)
    return {
        key: {**file, **({"size": shown[key]["size"]} if shown[key].get("cut") else {})} for key, file in cut.items()
    }


def raw_beginning(agent: Agent, health: Any, packages: Any, files: Any) -> tuple[str, bool]:
    """The beginning of everything kept about the agent as JSON, and whether there is more; the parts are as the page shows them."""
    text = _as_json(_everything(agent, health, packages, files))
    return (f"{text[:_RAW_ON_PAGE]}…", True) if len(text) > _RAW_ON_PAGE else (text, False)


def whole_agent(admin: ModelAdmin[Any], request: HttpRequest, agent: Agent, *, back: str) -> HttpResponse:
    """Everything kept about it as JSON."""
    state = agent.reported

    def make() -> bytes:
        health, packages = (
            None if tree is None else tree_shown(tree) for tree in (state.health, state.package_statuses)
        )
        components = None if state.components is None else {"components": state.components.content}
        said = _everything(agent, health, packages, files_shown(_files_of(agent), most=_MOST_DOWNLOADED))
        said["components"] = components and tree_shown(components)["components"]
        return _as_json(said).encode(errors="replace")

    return _download(admin, request, make, f"{agent}.json", "application/json", back)


def whole_file(admin: ModelAdmin[Any], request: HttpRequest, agent: Agent, key: str, *, back: str) -> HttpResponse:
    """One file of its effective configuration as text. Raises `Http404` when there is none of that name."""
    files = _files_of(agent)
    if key not in files:
        raise Http404

    def make() -> bytes:
        shown = files_shown({key: files[key]}, most=_MOST_DOWNLOADED)[key]
        return str(shown.get("body", shown.get("body_base64", ""))).encode(errors="replace")

    return _download(admin, request, make, f"{agent}-{key or 'main'}", "text/plain; charset=utf-8", back)


def _download(
    admin: ModelAdmin[Any], request: HttpRequest, make: Any, name: str, content_type: str, back: str
) -> HttpResponse:
    if not _one_at_a_time.acquire(timeout=_PATIENCE_SECONDS):
        admin.message_user(request, _("Another download is being prepared. Try again in a moment."), messages.WARNING)
        return redirect(back)
    try:
        body = make()
    finally:
        _one_at_a_time.release()
    response = HttpResponse(body, content_type=content_type)
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _files_of(agent: Agent) -> Mapping[str, Any]:
    document = agent.reported.effective_config
    return {} if document is None else document.content


def _as_json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _everything(agent: Agent, health: Any, packages: Any, files: Any) -> dict[str, Any]:
    state = agent.reported
    fields = {
        field.attname: getattr(agent, field.attname)
        for field in Agent._meta.concrete_fields
        if field.attname != "id" and not field.attname.startswith(_OWN_BUSINESS)
    }
    said = {
        **fields,
        "last_seen_at": agent.presence.last_seen_at,
        "sequence_num": agent.presence.sequence_num,
        "identifying_attributes": state.identifying_attributes,
        "non_identifying_attributes": state.non_identifying_attributes,
        "custom_capabilities": state.custom_capabilities,
        "connection_settings_status": state.connection_settings_status,
    }
    return {**value_shown(said), "health": health, "package_statuses": packages, "effective_config": files}
