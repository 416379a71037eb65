"""What people do with rules: make, change, delete; and what a rule would find now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.labels import label_key_problem
from agents.queries import InvalidQuery
from agents.selectors import InvalidSelector, parse_selector
from agents.shown import value_shown
from alerts.errors import InvalidAlerting
from alerts.models import AlertRule, Receiver
from alerts.parameters import read_parameters
from alerts.plain_texts import name_problem
from alerts.rule_kinds import KINDS
from alerts.rule_kinds.base import rule_query_condition
from alerts.services.at_the_same_time import must_be_there, one_of_a_name
from alerts.services.editions import must_be_edition
from alerts.services.evaluating import MOST_RULES, resolve_left
from alerts.subjects_firing import FiringSubject
from foundation.clock import clock
from foundation.messages import Message

FIELDS = (
    "name", "description", "kind", "parameters", "selector", "query", "severity", "enabled", "dwell_seconds", "clear_seconds",
    "repeat_seconds", "group_by", "group_label",
)  # fmt: skip
LONGEST_SECONDS = 30 * 24 * 3600
_LEAST_REPEAT = 60
# A pause that holds from before counts for nothing in one that is looked at by itself.
_TIMES = ("dwell_seconds", "clear_seconds", "repeat_seconds")


@transaction.atomic
def create_rule(values: Mapping[str, Any], *, by: User | None, at: datetime) -> AlertRule:
    """Make a rule; ``values`` are columns, and ``receivers``. Raises `InvalidAlerting`."""
    rule = AlertRule(created_at=at, updated_at=at, **{name: values[name] for name in FIELDS if name in values})
    check_rule(rule, by=by)
    if AlertRule.objects.count() >= MOST_RULES:
        raise InvalidAlerting({"name": [Message("too-many-alert-rules", "At most {most} rules.", most=MOST_RULES)]})
    with one_of_a_name():
        rule.save(force_insert=True)
    _set_receivers(rule, values)
    accounts.record(by=by, verb="alert_rule.create", target=rule, name=rule.name, data={"kind": rule.kind})
    return rule


@transaction.atomic
def update_rule(
    key: int, values: Mapping[str, Any], *, by: User | None, at: datetime, editions: Collection[int] | None = None
) -> AlertRule:
    """Change columns and receivers. ``editions``: one of them must be the present.

    Raises `AlertRule.DoesNotExist`, `InvalidAlerting`, `ChangedMeanwhile`.
    """
    rule: AlertRule = AlertRule.objects.select_for_update().get(pk=key)
    must_be_edition(rule, editions)
    if values.get("kind", rule.kind) != rule.kind:
        raise InvalidAlerting({"kind": [Message("alert-rule-kind-fixed", "The kind stays: make another rule.")]})
    before = {name: getattr(rule, name) for name in FIELDS}
    former = _receiver_names(rule)
    for name in FIELDS:
        if name in values:
            setattr(rule, name, values[name])
    # Who edits something else is not asked about a query that somebody wrote.
    check_rule(rule, by=by if rule.query != before["query"] else None)
    changed = {name: [before[name], getattr(rule, name)] for name in FIELDS if before[name] != getattr(rule, name)}
    _set_receivers(rule, values)
    if former != (receivers := _receiver_names(rule)):
        changed["receivers"] = [former, receivers]
    if not changed:
        return rule
    rule.edition += 1
    rule.updated_at = at
    rule.problem = None
    with one_of_a_name():
        rule.save()
    data = {"changed": {name: value_shown(pair) for name, pair in changed.items()}}
    accounts.record(by=by, verb="alert_rule.update", target=rule, name=rule.name, data=data)
    if not rule.enabled:
        resolve_left(at)
    return rule


@transaction.atomic
def delete_rule(rule: AlertRule, *, by: User | None, at: datetime) -> None:
    """Delete it; its alerts end, and stay as what happened."""
    if not AlertRule.objects.filter(pk=rule.pk).update(enabled=False):
        # Somebody else has deleted it.
        return
    accounts.record(by=by, verb="alert_rule.delete", target=rule, name=rule.name)
    resolve_left(at)
    rule.delete()


def preview_rule(rule: AlertRule, at: datetime, *, by: User | None = None) -> list[FiringSubject]:
    """What ``rule``, saved or not, finds at ``at``, whatever its dwell, for who writes it. Raises `InvalidAlerting`."""
    check_rule(rule, by=by, named=False)
    return KINDS[rule.kind].evaluate(rule, at)


def check_rule(rule: AlertRule, *, by: User | None, named: bool = True) -> None:
    """Have everything in it valid, and parameters whole. Raises `InvalidAlerting` with all that is not.

    ``by`` is who writes its query, ``None`` where it is only used.
    """
    errors: dict[str, list[Any]] = {}
    kind = KINDS.get(rule.kind)
    if kind is None:
        raise InvalidAlerting({"kind": [Message("alerting-one-of", "One of {known}.", known=", ".join(KINDS))]})
    skipped = ["parameters", "selector", *([] if named else ["name"])]
    try:
        rule.clean_fields(exclude=skipped)
        if named:
            rule.validate_unique()
    except ValidationError as error:
        errors |= {name: list(texts) for name, texts in error.message_dict.items()}
    if named and (unfit := name_problem(rule.name)):
        errors.setdefault("name", []).append(unfit)
    rule.parameters, problems = read_parameters(kind.parameters, rule.parameters)
    errors |= problems
    if not problems:
        errors |= kind.problems(rule.parameters)
    for name in _TIMES:
        seconds = getattr(rule, name)
        least = _LEAST_REPEAT if name == "repeat_seconds" and seconds else 0
        if name not in errors and not least <= seconds <= LONGEST_SECONDS:
            errors[name] = [
                Message("alert-seconds", "From {least} to {most} seconds.", least=least, most=LONGEST_SECONDS)
            ]
    try:
        rule.selector = parse_selector(rule.selector).as_json()
    except InvalidSelector as error:
        errors["selector"] = [*error.problems]
    try:
        rule_query_condition(rule.query, clock.now(), by)
    except InvalidQuery as error:
        errors["query"] = [error.message]
    errors |= _grouping_problems(rule, of_agents=kind.of_agents)
    if errors:
        raise InvalidAlerting(errors)


def _grouping_problems(rule: AlertRule, *, of_agents: bool) -> dict[str, list[Message]]:
    if not of_agents:
        rule.group_label = ""
        said = Message("alert-kind-without-agents", "Rules of this kind are not about agents: leave this out.")
        found = {name: [said] for name in ("selector", "query") if getattr(rule, name)}
        return found | ({"group_by": [said]} if rule.group_by != AlertRule.Grouping.RULE else {})
    if rule.group_by != AlertRule.Grouping.LABEL:
        rule.group_label = ""
        return {}
    if not rule.group_label:
        return {"group_label": [Message("alert-group-label", "Name the label whose values make the groups.")]}
    problem = label_key_problem(rule.group_label)
    return {"group_label": [problem]} if problem else {}


def _receiver_names(rule: AlertRule) -> list[str]:
    return list(rule.receivers.order_by("name").values_list("name", flat=True))


def _set_receivers(rule: AlertRule, values: Mapping[str, Any]) -> None:
    if "receivers" in values:
        receivers: Sequence[Receiver] = list(values["receivers"])
        must_be_there("receivers", receivers)
        rule.receivers.set(receivers)
