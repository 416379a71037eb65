"""What rules find becomes alerts: the leading process looks every few seconds.

Each change of an alert compares its ``turn`` and is written together with the deliveries it brings, so two processes that lead
for a moment tell nobody twice, and what a process that died left is found in the rows. Pending alerts have told nobody and
leave no trace.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Min

from alerts.models import Alert, AlertDelivery, AlertRule, Silence
from alerts.rule_kinds import KINDS
from alerts.services.early_evaluation import CHORE
from alerts.services.notifying import announce, receivers_of, tell_receivers, told_of
from alerts.services.silencing import Silencer
from alerts.subjects_firing import FiringSubject
from foundation.clock import is_ahead
from foundation.errors import DomainError
from foundation.hastening import want_again_in
from foundation.messages import Message
from foundation.topics import tell_changed

logger = logging.getLogger(__name__)

SECONDS = 15.0
MOST_RULES = 200
# Of an alert in which nothing else changed it is noted so often that it still holds.
_SEEN_AGAIN = timedelta(minutes=1)
_LEFT_AT_ONCE = 500


def evaluate_all(at: datetime) -> None:
    """Look at every rule that is enabled. One that fails harms no other."""
    silencer = Silencer(at)
    well: list[int] = []
    for rule in AlertRule.objects.filter(enabled=True).order_by("pk")[:MOST_RULES]:
        try:
            evaluate(rule, at, silencer)
        except DatabaseError as error:
            if not _is_answering():
                raise
            _note_problem(rule, error)
        except Exception as error:  # noqa: BLE001  it is logged there
            _note_problem(rule, error)
        else:
            well.append(rule.pk)
    AlertRule.objects.filter(pk__in=well).update(evaluated_at=at)
    AlertRule.objects.filter(pk__in=well, problem__isnull=False).update(problem=None)
    resolve_left(at)
    end = _next_end(at)
    if end is not None:
        want_again_in(CHORE, (end - at).total_seconds())


def _next_end(at: datetime) -> datetime | None:
    """When the first of the pauses that run now is over: until one fires, until one is resolved, of a silence.

    What rules that cannot be evaluated wait for changes nothing.
    """
    alerts = Alert.objects.open().filter(rule__enabled=True, rule__problem__isnull=True).order_by()
    pending = alerts.filter(state=Alert.State.PENDING).values_list("rule__dwell_seconds").annotate(Min("started_at"))
    clearing = alerts.filter(cleared_since__isnull=False)
    clearing = clearing.values_list("rule__clear_seconds").annotate(Min("cleared_since"))
    ends = [since + timedelta(seconds=seconds) for seconds, since in [*pending, *clearing]]
    ends += Silence.objects.active(at).order_by("expires_at").values_list("expires_at", flat=True)[:1]
    return min(ends, default=None)


def _is_answering() -> bool:
    try:
        return AlertRule.objects.order_by().values("pk")[:1].count() >= 0
    except DatabaseError:
        return False


def _note_problem(rule: AlertRule, error: Exception) -> None:
    """What it asks for may mean nothing any more, such as a word of an app that is gone: its alerts stay as they are."""
    if isinstance(error, DomainError):
        said = Message("alert-rule-not-understood", "It cannot be evaluated: {problem}", problem=error.message)
    else:
        said = Message(
            "alert-rule-failed", "It could not be evaluated ({error}); the log says more.", error=type(error).__name__
        )
    if rule.problem != said.as_json():
        # Once, not with each look.
        logger.error("an alert rule could not be evaluated", extra={"rule": rule.pk}, exc_info=error)
        AlertRule.objects.filter(pk=rule.pk).update(problem=said.as_json())


def evaluate(rule: AlertRule, at: datetime, silencer: Silencer) -> None:
    """Have the alerts of ``rule`` say what is true at ``at``."""
    subjects = {subject.key: subject for subject in KINDS[rule.kind].evaluate(rule, at)}
    present = {alert.group_key: alert for alert in rule.alerts.open()}
    begun = [_begun(rule, subject, at) for key, subject in subjects.items() if key not in present]
    if begun:
        # Another process may have written the same at this moment.
        Alert.objects.bulk_create(begun, ignore_conflicts=True)
        present = {alert.group_key: alert for alert in rule.alerts.open()}
        tell_changed("alerts.alert", *(alert.pk for alert in present.values() if alert.turn == 0))
    for key, alert in present.items():
        subject = subjects.get(key)
        if subject is None:
            _absent(rule, alert, at)
        elif alert.state == Alert.State.PENDING:
            _wait(rule, alert, subject, at, silencer)
        else:
            _hold(rule, alert, subject, at, silencer)


def resolve_left(at: datetime) -> int:
    """End what belongs to rules that are off or gone; returns how many."""
    left = Alert.objects.open().exclude(rule__enabled=True).select_related("rule").order_by("pk")
    return sum(_end(alert, alert.rule, at) for alert in left[:_LEFT_AT_ONCE])


def _begun(rule: AlertRule, subject: FiringSubject, at: datetime) -> Alert:
    return Alert(
        rule=rule,
        kind=rule.kind,
        group_key=subject.key,
        started_at=at,
        **_facts(rule, subject, at),
    )


def _facts(rule: AlertRule, subject: FiringSubject, at: datetime) -> dict[str, Any]:
    return {
        "labels": dict(subject.labels),
        "text": subject.text.as_json(),
        "count": subject.count,
        "total": subject.total,
        "sample": [one.as_json() for one in subject.sample],
        "severity": rule.severity,
        "rule_name": rule.name,
        "last_at": at,
    }


def _wait(rule: AlertRule, alert: Alert, subject: FiringSubject, at: datetime, silencer: Silencer) -> None:
    """Fire when it has held for long enough."""
    if is_ahead(alert.started_at, at):
        # The clock was put back: what it measured is worth nothing.
        alert.change(started_at=at)
    if alert.has_lasted(alert.started_at, rule.dwell_seconds, at):
        _fire(rule, alert, subject, at, silencer)
    else:
        _refresh(alert, _facts(rule, subject, at), at)


def _fire(rule: AlertRule, alert: Alert, subject: FiringSubject, at: datetime, silencer: Silencer) -> None:
    silence = silencer.found(rule, subject.key, subject.labels, subject.count)
    told = {} if silence else {"notified_at": at, "notices": alert.notices + 1}
    with transaction.atomic():
        changed = alert.change(
            state=Alert.State.FIRING,
            fired_at=at,
            silence_id=silence.pk if silence else None,
            **told,
            **_facts(rule, subject, at),
        )
        if not changed:
            return
        if told:
            tell_receivers(alert, AlertDelivery.Event.FIRING, receivers_of(rule), rule, at)
        announce(alert, at)


def _hold(rule: AlertRule, alert: Alert, subject: FiringSubject, at: datetime, silencer: Silencer) -> None:
    """Keep it as true as it is, and tell once more what is due."""
    silence = silencer.found(rule, subject.key, subject.labels, subject.count)
    facts = {**_facts(rule, subject, at), "silence_id": silence.pk if silence else None, "cleared_since": None}
    _refresh(alert, facts, at)
    if silence is not None:
        return
    if alert.notified_at is None:
        _tell_again(rule, alert, AlertDelivery.Event.FIRING, at)
    elif rule.repeat_seconds and alert.acknowledged_at is None:
        if is_ahead(alert.notified_at, at):
            alert.change(notified_at=at)
        elif alert.has_lasted(alert.notified_at, rule.repeat_seconds, at):
            _tell_again(rule, alert, AlertDelivery.Event.REPEATED, at)


def _tell_again(rule: AlertRule, alert: Alert, event: AlertDelivery.Event, at: datetime) -> None:
    with transaction.atomic():
        if alert.change(notified_at=at, notices=alert.notices + 1):
            tell_receivers(alert, event, receivers_of(rule), rule, at)


def _absent(rule: AlertRule, alert: Alert, at: datetime) -> None:
    """It holds no more: a pending one is forgotten, a firing one is over when that has lasted."""
    if alert.state == Alert.State.PENDING:
        _forget(alert)
    elif rule.clear_seconds and (alert.cleared_since is None or is_ahead(alert.cleared_since, at)):
        alert.change(cleared_since=at)
    elif alert.has_lasted(alert.cleared_since or at, rule.clear_seconds, at):
        _end(alert, rule, at)


def _end(alert: Alert, rule: AlertRule | None, at: datetime) -> bool:
    """Who was told that it began is told that it is over."""
    if alert.state == Alert.State.PENDING:
        return _forget(alert)
    with transaction.atomic():
        receivers = told_of(alert)
        if not alert.change(
            state=Alert.State.RESOLVED, resolved_at=at, silence_id=None, notices=alert.notices + bool(receivers)
        ):
            return False
        tell_receivers(alert, AlertDelivery.Event.RESOLVED, receivers, rule, at)
        announce(alert, at)
    return True


def _forget(alert: Alert) -> bool:
    """A pending one, of which nobody was told."""
    deleted = Alert.objects.filter(pk=alert.pk, turn=alert.turn).delete()[0]
    if deleted:
        tell_changed("alerts.alert", alert.pk)
    return bool(deleted)


def _refresh(alert: Alert, facts: Mapping[str, Any], at: datetime) -> None:
    """Write what changed; that it was seen again is no news for a while."""
    same = all(getattr(alert, name) == value for name, value in facts.items() if name != "last_at")
    if not same or abs(at - alert.last_at) >= _SEEN_AGAIN:
        alert.change(**facts)
