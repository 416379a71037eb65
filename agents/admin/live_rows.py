"""The rows of the list that have changed, for a page that is open: they alone are read and drawn, and nothing is counted.

Which agents are listed, and in which order, stays as it was on the page until it reads itself as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.admin.templatetags import admin_list
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.base_admin import StrangeUrl
from agents.admin.list_columns import COLUMNS, asked_columns

if TYPE_CHECKING:
    from agents.models import Agent

# Instance UIDs, each by itself; whether all rows of the page have the same service, which a row alone cannot know; and where
# Django's links of rows lead back to.
ROW, ALIKE, BACK = "row", "alike", "_changelist_filters"
PARAMETERS = (ROW, ALIKE, BACK)
# As many as a page may have, and no more than an address takes.
MOST_ROWS = 100


def rows_address(request: HttpRequest, rows: list[Agent]) -> str:
    """Where the rows of this list are read again; ``row=`` of each that is wanted follows."""
    columns = ",".join(column.name for column in asked_columns(request))
    said = {COLUMNS: columns, ALIKE: "1" if are_alike(rows) else "", BACK: request.GET.urlencode()}
    return f"{reverse('admin:agents_agent_rows')}?{urlencode({name: value for name, value in said.items() if value})}"


def are_alike(rows: list[Agent]) -> bool:
    """Whether every row has the same service."""
    return len({agent.service_name for agent in rows}) == 1


def asked_rows(request: HttpRequest) -> list[UUID] | None:
    """Whose rows are asked for, ``None`` where the list is. Raises `StrangeUrl`."""
    if request.resolver_match is None or request.resolver_match.url_name != "agents_agent_rows":
        return None
    try:
        found = [UUID(text) for text in request.GET.getlist(ROW)]
    except ValueError:
        found = []
    if not 0 < len(found) <= MOST_ROWS:
        raise StrangeUrl(_("Rows are asked for by the instance UIDs of 1 to 100 agents."))
    return found


def rows_page(request: HttpRequest, model_admin: Any) -> TemplateResponse:
    """A table of the rows asked for, as the list draws them. Raises `StrangeUrl`."""
    changelist = model_admin.get_changelist_instance(request)
    changelist.formset = None
    context = {"rows": admin_list.results(changelist)}
    return TemplateResponse(request, "admin/agents/agent/rows.html", context)
