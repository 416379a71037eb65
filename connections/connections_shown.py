"""What pages of agents say of connection settings: the panel and the lines of the timeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, Expression, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.extensions import Panel, TimelineKind
from agents.models import Agent
from agents.shown import message_shown
from connections.content import members_of
from connections.models import AgentConnection, ConnectionSettings, SettingsVersion
from connections.services import settings_of_agents
from connections.services.connection_rollouts import CONNECTION_SUBJECT
from connections.services.moving import with_move

# As over REST.
RETRY_RIGHTS = ("agents.change_agent", "connections.view_connectionsettings")
_DONE = (AgentConnection.Status.APPLIED, AgentConnection.Status.PENDING, AgentConnection.Status.NONE)


def connection_panel(request: HttpRequest, agent: Agent) -> dict[str, Any]:
    """What the agent should have, what it was told of it, and how it answered."""
    rows = AgentConnection.objects.filter(agent=agent).select_related("version__settings")
    row = with_move(rows).first()
    return {
        "agent": agent,
        "connection": row,
        "members": members_shown(row) if row is not None else [],
        "error": message_shown(row.error_message) if row is not None else "",
        "may_see": request.user.has_perm("connections.view_connectionsettings"),
        "may_retry": row is not None
        and bool(row.wanted)
        and row.status not in _DONE
        and request.user.has_perms(RETRY_RIGHTS),
    }


def members_shown(row: AgentConnection) -> list[dict[str, Any]]:
    """Each member of the agent's version, where it leads, and whether the agent takes it and was told."""
    if row.version is None:
        return []
    return [
        {
            "name": name,
            "endpoint": member.get("endpoint", ""),
            "taken": name in row.wanted,
            "told": name in row.wanted and row.told.get(name) == row.wanted[name],
        }
        for name, member in members_of(row.version.shown)
    ]


def with_counts(rows: QuerySet[ConnectionSettings]) -> QuerySet[ConnectionSettings]:
    """Annotated with the newest content, and how many agents should have each and how far they are."""
    newest = SettingsVersion.objects.filter(settings=OuterRef("pk")).order_by("-number").values("shown")[:1]
    done = (AgentConnection.Status.APPLIED, AgentConnection.Status.TOLD)
    return rows.annotate(
        newest_shown=Subquery(newest),
        agent_count=_agents(),
        applied_count=_agents(*done),
        failed_count=_agents(AgentConnection.Status.FAILED),
    )


def _agents(*statuses: str) -> Expression:
    rows = AgentConnection.objects.filter(version__settings=OuterRef("pk"))
    if statuses:
        rows = rows.filter(status__in=statuses)
    return Coalesce(Subquery(rows.order_by().values("version__settings").annotate(n=Count("*")).values("n")), 0)


def connection_versions(settings: ConnectionSettings) -> QuerySet[SettingsVersion]:
    """The newest first, whether each is in force for somebody, and how many agents should have it."""
    return CONNECTION_SUBJECT.versions_of(settings)


PANEL = Panel(
    "connection", "panels/connection.html", connection_panel, gettext_lazy("Connection settings"), tab="connections"
)


def _due(data: Mapping[str, Any]) -> str:
    return _("Should have connection settings %(settings)s, version %(number)s") % _values(data)


def _offered(data: Mapping[str, Any]) -> str:
    values = {**_values(data), "members": ", ".join(map(str, data.get("members", ())))}
    return _("Was told connection settings %(settings)s, version %(number)s: %(members)s") % values


def _applied(data: Mapping[str, Any]) -> str:
    return _("Applied connection settings %(settings)s, version %(number)s") % _values(data)


def _failed(data: Mapping[str, Any]) -> str:
    return _("Could not apply connection settings %(settings)s, version %(number)s: %(error)s") % _values(data)


def _dropped(data: Mapping[str, Any]) -> str:
    return _("Should not have connection settings %(settings)s any more") % _values(data)


def _moved(data: Mapping[str, Any]) -> str:
    return _("Came to %(place)s, as connection settings %(settings)s say") % _values(data)


def _values(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: data.get(name, "") for name in ("settings", "number", "error", "place")}


TIMELINE_KINDS = (
    TimelineKind(settings_of_agents.DUE, gettext_lazy("Connection settings due"), _due, "quiet"),
    TimelineKind(settings_of_agents.OFFERED, gettext_lazy("Connection settings offered"), _offered, "quiet"),
    TimelineKind(settings_of_agents.APPLIED, gettext_lazy("Connection settings applied"), _applied, "good"),
    TimelineKind(settings_of_agents.FAILED, gettext_lazy("Connection settings failed"), _failed, "bad"),
    TimelineKind(settings_of_agents.DROPPED, gettext_lazy("Connection settings dropped"), _dropped, "quiet"),
    TimelineKind(settings_of_agents.MOVED, gettext_lazy("Moved"), _moved, "good"),
)
