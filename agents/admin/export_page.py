"""The list of agents as a file, from the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.views.main import SEARCH_VAR
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import User
from agents.admin import list_columns
from agents.agent_columns import EXPORTED, AgentColumn, columns_named
from agents.agent_files import CSV, JSONL, agent_file_response
from agents.models import AgentQuerySet
from agents.queries import InvalidQuery
from agents.query_conditions import agents_matching
from agents.services.export_jobs import start_export
from foundation.errors import DomainError
from foundation.languages import in_readers_language


def export_page(request: HttpRequest) -> HttpResponseBase:
    """``q``, ``columns`` and ``format``, as over REST; what the list would not show, leads back to it. POST: as a job."""
    if not request.user.has_perm("agents.view_agent"):
        raise PermissionDenied
    kind = request.GET.get("format", CSV)
    if kind not in {CSV, JSONL}:
        raise BadRequest(_("A file is csv or jsonl."))
    query = request.GET.get("q", "").strip()
    columns = list_columns.asked_columns(request) or columns_named(EXPORTED)
    try:
        agents = agents_matching(query, request.user)
    except InvalidQuery:
        # The list says what is wrong, and where.
        return _back(request)
    if request.method == "POST":
        return _start(request, agents, columns, kind, query)
    return agent_file_response(request, agents, columns, kind, by=cast("User", request.user), query=query)


def _start(
    request: HttpRequest, agents: AgentQuerySet, columns: Sequence[AgentColumn], kind: str, query: str
) -> HttpResponseBase:
    keys = list(agents.order_by("pk").values_list("pk", flat=True))
    try:
        job = start_export(keys, columns, kind, by=cast("User", request.user), query=query)
    except DomainError as error:
        messages.error(request, in_readers_language(error))
        return _back(request)
    return redirect("admin:jobs_job_change", job.pk)


def _back(request: HttpRequest) -> HttpResponseBase:
    """To the list as it was."""
    shown = {name: request.GET[name] for name in (SEARCH_VAR, list_columns.COLUMNS) if name in request.GET}
    return redirect(f"{reverse('admin:agents_agent_changelist')}?{urlencode({SEARCH_VAR: '', **shown})}")
