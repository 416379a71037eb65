"""Silences: made and ended by people, held against alerts by who evaluates them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.label_conditions import selector_condition
from agents.models import Agent
from agents.selectors import InvalidSelector, parse_selector
from alerts.errors import InvalidAlerting, NotNow
from alerts.models import Alert, AlertRule, AlertSeverity, Silence
from alerts.rule_kinds import KINDS, AgentKind
from alerts.rule_kinds.base import grouped_counts
from alerts.services.at_the_same_time import must_be_there
from foundation.messages import Message
from rollouts.reasons import InvalidExpiry, InvalidReason, checked_expiry, checked_reason

MOST_ACTIVE = 200
_MARKED = 1_000
FIELDS = ("rule", "severity", "selector", "note", "expires_at")


@transaction.atomic
def create_silence(values: Mapping[str, Any], *, by: User | None, at: datetime) -> Silence:
    """Have alerts that it matches sent no more until ``expires_at``. Raises `InvalidAlerting`, `NotNow`."""
    row = Silence(
        rule=values.get("rule"),
        severity=values.get("severity") or "",
        selector=values.get("selector") or {},
        note=values.get("note", ""),
        author=by,
        author_name=by.get_username() if by else accounts.SYSTEM,
        starts_at=at,
        expires_at=values["expires_at"],
    )
    _check(row, at)
    if Silence.objects.active(at).count() >= MOST_ACTIVE:
        raise NotNow(
            Message("too-many-silences", "At most {most} silences at a time: end others first.", most=MOST_ACTIVE)
        )
    if row.rule is not None:
        must_be_there("rule", [row.rule])
    row.save(force_insert=True)
    data = {
        "rule": row.rule.name if row.rule else None,
        "severity": row.severity,
        "selector": row.selector,
        "expires_at": row.expires_at.isoformat(timespec="seconds"),
    }
    accounts.record(by=by, verb="silence.create", target=row, name=row.note, data=data)
    mark_silenced(at)
    return row


@transaction.atomic
def end_silence(key: int, *, by: User | None, at: datetime) -> Silence:
    """Have them sent again. Raises `Silence.DoesNotExist`, `NotNow` for one that is over."""
    row: Silence = Silence.objects.select_for_update().get(pk=key)
    if not row.is_active(at):
        raise NotNow(Message("silence-is-over", "The silence is over already."))
    row.ended_at, row.ended_by_name = at, by.get_username() if by else accounts.SYSTEM
    row.save(update_fields=["ended_at", "ended_by_name"])
    accounts.record(by=by, verb="silence.end", target=row, name=row.note)
    mark_silenced(at)
    return row


def _check(row: Silence, at: datetime) -> None:
    errors: dict[str, list[Any]] = {}
    if row.severity and row.severity not in AlertSeverity.values:
        errors["severity"] = [Message("alerting-one-of", "One of {known}.", known=", ".join(AlertSeverity.values))]
    try:
        row.selector = parse_selector(row.selector).as_json()
    except InvalidSelector as error:
        errors["selector"] = [*error.problems]
    try:
        row.note = checked_reason(row.note)
    except InvalidReason as error:
        errors["note"] = [error.message]
    try:
        checked_expiry(row.expires_at, at)
    except InvalidExpiry as error:
        errors["expires_at"] = [error.message]
    if errors:
        raise InvalidAlerting(errors)


class Silencer:
    """The silences of one moment, held against the alerts of one rule after the other."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._active: Sequence[Silence] = list(Silence.objects.active(at).order_by("pk")[:MOST_ACTIVE])
        self._counts: dict[tuple[int, int], Mapping[str, int]] = {}

    def found(self, rule: AlertRule, key: str, labels: Mapping[str, str], count: int) -> Silence | None:
        """The first that matches the alert of ``rule`` with this group, which ``count`` agents make fire now."""
        matching = (silence for silence in self._active if self._matches(silence, rule, key, labels, count))
        return next(matching, None)

    def _matches(self, silence: Silence, rule: AlertRule, group: str, labels: Mapping[str, str], count: int) -> bool:
        if silence.rule_id not in (None, rule.pk) or silence.severity not in ("", rule.severity):
            return False
        if not silence.selector or silence.parsed_selector().matches(labels):
            return True
        kind = KINDS.get(rule.kind)
        if not isinstance(kind, AgentKind):
            return False
        matched = self._matched(silence, rule, kind)
        return 0 < count <= matched.get(group, 0)

    def _matched(self, silence: Silence, rule: AlertRule, kind: AgentKind) -> Mapping[str, int]:
        """How many of the agents of each alert of the rule the silence matches: one query for all of them."""
        key = (silence.pk, rule.pk)
        if key not in self._counts:
            agents = kind.agents(rule, self._at)
            chosen = Agent.objects.filter(selector_condition(silence.parsed_selector())).order_by().values("pk")
            self._counts[key] = grouped_counts(agents.filter(pk__in=chosen), rule)
        return self._counts[key]


def mark_silenced(at: datetime) -> None:
    """Have firing alerts name the silence that matches them now, so that nobody waits for the next evaluation."""
    silencer = Silencer(at)
    for alert in Alert.objects.firing().filter(rule__isnull=False).select_related("rule").order_by("pk")[:_MARKED]:
        found = silencer.found(alert.rule, alert.group_key, alert.labels, alert.count)
        if (found.pk if found else None) != alert.silence_id:
            alert.change(silence_id=found.pk if found else None)
