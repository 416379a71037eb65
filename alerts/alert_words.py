"""The word of queries for alerts: the agents that one of them is about now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, TextField, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from agents.queries import Operation, Term, mistake
from agents.query_words import Suggestion, Word, register_query_word
from alerts.models import Alert
from alerts.rule_kinds import KINDS, AgentKind
from alerts.rule_kinds.base import OTHERS, group_expression, group_name, within_a_rule
from alerts.subjects_firing import group_key
from foundation.messages import Message

_MOST_SUGGESTED = 20
_MOST_GROUPS = 50_000
_LONGEST_NUMBER = 18


def alert_query(alert: Alert) -> str:
    """The query for the agents that it is about; empty when it is about none, or over."""
    about_agents = isinstance(KINDS.get(alert.kind), AgentKind)
    is_known = alert.rule_id is not None and alert.state != Alert.State.RESOLVED and alert.group_key != OTHERS
    return f"alert:{alert.pk}" if about_agents and is_known else ""


def agents_alerted_for(alert: Alert, at: datetime) -> Q:
    """The agents that meet the condition of its rule now, and belong to its group. Raises `InvalidQuery` as its rule does."""
    rule, kind = alert.rule, KINDS.get(alert.kind)
    nobody = Q(pk__in=[])
    if rule is None or not isinstance(kind, AgentKind) or alert.state == Alert.State.RESOLVED:
        return nobody
    found = kind.agents(rule, at).order_by()
    grouping = group_expression(rule)
    if grouping is not None:
        grouped = found.annotate(alert_group=_text(grouping))
        # Of a long value the key has a digest.
        values = grouped.values_list("alert_group", flat=True).distinct()[:_MOST_GROUPS]
        name = group_name(rule)
        value = next((value for value in values if group_key(name, value) == alert.group_key), None)
        if value is None:
            return nobody
        found = found.filter(Exact(_text(grouping), Value(value, output_field=TextField())))
    return Q(pk__in=found.values("pk"))


def _text(grouping: Any) -> Coalesce:
    return Coalesce(grouping, Value(""), output_field=TextField())


@dataclass(frozen=True)
class AlertWord(Word):
    """The number of an alert; one that is over is about nobody."""

    def condition(self, term: Term, at: datetime) -> Q:
        """Its agents now. Raises `InvalidQuery` for what is no number of an alert."""
        if term.operation is not Operation.IS:
            return super().condition(term, at)
        if within_a_rule.get():
            raise mistake(
                term.start, Message("agent-query-alert-within-rule", "A rule cannot ask for the agents of an alert.")
            )
        condition = Q(pk__in=[])
        for value in term.values:
            digits = value.text if value.text.isascii() and value.text.isdecimal() and not value.prefix else ""
            key = int(digits) if 0 < len(digits) <= _LONGEST_NUMBER else 0
            alert = Alert.objects.select_related("rule").filter(pk=key).first()
            if alert is None:
                said = Message("agent-query-no-alert", "There is no such alert: write its number, as in alert:7.")
                raise mistake(value.start, said)
            condition |= agents_alerted_for(alert, at)
        return condition

    def suggestions(self, typed: str) -> list[Suggestion]:
        """Those that fire, with how many agents each has."""
        rows = Alert.objects.firing().order_by("-pk").values_list("pk", "count")[: 5 * _MOST_SUGGESTED]
        return [(str(key), count) for key, count in rows if str(key).startswith(typed)][:_MOST_SUGGESTED]


def register() -> None:
    """Into the language."""
    register_query_word(AlertWord("alert", _("the alert that is about it"), right="alerts.view_alert"))
