"""What pages and REST say of alerts: texts, names of kinds, pages of what they name, and the panel of an agent."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from agents.extensions import Panel
from agents.models import Agent
from alerts.models import Alert
from alerts.rule_kinds import KINDS, AgentKind
from alerts.rule_kinds.base import group_expression, group_name
from alerts.subjects_firing import group_key
from foundation.clock import clock
from foundation.languages import in_readers_language

# Where the page of each kind of thing is.
_PAGES = {
    "agent": "admin:agents_agent_change",
    "rollout": "admin:rollouts_rollout_change",
    "configuration": "admin:configurations_configuration_change",
    "certificate": "admin:certificates_agentcertificate_change",
    "enrolment_token": "admin:enrolment_enrolmenttoken_change",
    "api_token": "admin:accounts_apitoken_change",
}
_MOST_ON_A_PAGE = 20


def kind_title(name: str) -> str:
    """What the kind is called; one that is gone by its name."""
    kind = KINDS.get(name)
    return str(kind.title) if kind else name


def alert_text(alert: Alert) -> str:
    """What it says, in the reader's language."""
    return in_readers_language(alert.message)


def may_see_names(user: Any, kind: str) -> bool:
    """Whether ``user`` may see the things that alerts of this kind name."""
    known = KINDS.get(kind)
    return bool(user.has_perm(known.right)) if known else bool(user.is_superuser)


def with_pages(sample: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The sample with the address of each page."""
    return [{**one, "page": reverse(_PAGES[one["what"]], args=[one["key"]])} for one in sample if one["what"] in _PAGES]


def alerts_of(agent: Agent) -> list[Alert]:
    """The alerts that fire for this agent: each rule is asked whether it meets the condition now."""
    now = clock.now()
    found = []
    open_ones = Alert.objects.firing().filter(rule__enabled=True).select_related("rule").order_by("-pk")
    groups: dict[int, set[str] | None] = {}
    for alert in open_ones[:_MOST_ON_A_PAGE]:
        rule = alert.rule
        kind = KINDS.get(alert.kind)
        if rule is None or not isinstance(kind, AgentKind):
            continue
        if rule.pk not in groups:
            own = kind.agents(rule, now).filter(pk=agent.pk).order_by()
            expression = group_expression(rule)
            if expression is None:
                groups[rule.pk] = {""} if own.exists() else set()
            else:
                values = own.annotate(alert_group=expression).values_list("alert_group", flat=True)
                groups[rule.pk] = {group_key(group_name(rule), value or "") for value in values}
        if alert.group_key in (groups[rule.pk] or set()):
            found.append(alert)
    return found


def alerts_panel(request: HttpRequest, agent: Agent) -> dict[str, Any]:
    """What fires for the agent."""
    if not request.user.has_perm("alerts.view_alert"):
        return {"may_see": False}
    return {"may_see": True, "alerts": [(alert, alert_text(alert)) for alert in alerts_of(agent)]}


ALERTS_PANEL = Panel("alerts", "panels/alerts.html", alerts_panel, _("Alerts"))
