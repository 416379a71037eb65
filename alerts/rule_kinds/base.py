"""What all kinds of rules have in common, and the kinds that are conditions on agents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Any, ClassVar

from django.db.models import Count, F, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from agents.label_conditions import label_text, selector_condition
from agents.models import Agent, Approval
from agents.query_conditions import query_condition
from agents.selectors import Operator, Selector
from alerts.models import MOST_SAMPLED, AlertRule
from alerts.parameters import Parameter, reaches
from alerts.subjects_firing import FiringSubject, Sampled, group_key
from foundation.messages import Message

MOST_GROUPS = 50
"""Groups of one rule that have an alert each: those that have one, then the largest. All others have one together."""

OTHERS = "(others)"
"""The key of that one: groups have a label and a value."""

within_a_rule: ContextVar[bool] = ContextVar("within_a_rule", default=False)
"""Whether the query of a rule is read: it cannot ask for alerts, whose rules have queries."""

_GROUP = "alert_group"
# What an agent is named from.
_NAMING = ("pk", "instance_uid", "custom_name", "name", "hostname")
MIN_AGENTS = "min_agents"


class AlertKind(ABC):
    """A condition with parameters. ``title`` and ``about`` are for people, lazily translated."""

    name: ClassVar[str]
    title: ClassVar[Any]
    about: ClassVar[Any]
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    # Whether it is about agents, so that a selector and groups of agents mean something.
    of_agents: ClassVar[bool] = False
    # What it needs to be seen, beside the rights on alerts.
    right: ClassVar[str] = "agents.view_agent"

    @abstractmethod
    def evaluate(self, rule: AlertRule, now: datetime) -> list[FiringSubject]:
        """What is wrong at ``now``, at most `MOST_GROUPS` alerts of it."""

    def problems(self, values: Mapping[str, int]) -> dict[str, list[Message]]:
        """What is wrong with parameters that are each within their bounds."""
        return {}


class AgentKind(AlertKind):
    """A condition that agents meet; counted over all of them or by group."""

    of_agents = True

    @abstractmethod
    def agents(self, rule: AlertRule, now: datetime) -> QuerySet[Agent]:
        """Those of the rule's selector that meet it."""

    @abstractmethod
    def text(self, rule: AlertRule, count: int, total: int) -> Message:
        """What is said of ``count`` of ``total`` agents."""

    def watched(self, rule: AlertRule, now: datetime) -> QuerySet[Agent]:
        """The agents of which a share is meant."""
        return scope(rule, now)

    def fires(self, rule: AlertRule, count: int, total: int) -> bool:
        """Whether so many are enough."""
        return reaches(count, total, least=rule.number(MIN_AGENTS), percent=0)

    def evaluate(self, rule: AlertRule, now: datetime) -> list[FiringSubject]:
        """Three queries at most, however many agents there are: counts, what they are a part of, and samples."""
        found = self.agents(rule, now).order_by()
        grouping = group_expression(rule)
        if grouping is None:
            count = found.count()
            total = self.watched(rule, now).count() if count else 0
            if not self.fires(rule, count, total):
                return []
            rows = found.order_by("pk").values_list(*_NAMING)[:MOST_SAMPLED]
            labels = selector_labels(rule.parsed_selector())
            return [
                FiringSubject("", self.text(rule, count, total), count, total, [_sampled(row) for row in rows], labels)
            ]
        return self._by_group(rule, now, found, grouping)

    def _by_group(self, rule: AlertRule, now: datetime, found: QuerySet[Agent], grouping: Any) -> list[FiringSubject]:
        counts = _counted(found, grouping)
        if not counts:
            return []
        totals = dict(_counted(self.watched(rule, now).order_by(), grouping))
        firing = [(value, count) for value, count in counts if self.fires(rule, count, totals.get(value, count))]
        name = group_name(rule)
        common = selector_labels(rule.parsed_selector())
        others: list[FiringSubject] = []
        if len(firing) > MOST_GROUPS:
            # A group that has an alert keeps it when others outgrow it: it is not over.
            present = keys_with_alerts(rule)
            firing.sort(key=lambda pair: group_key(name, pair[0]) not in present)
            rest = firing[MOST_GROUPS:]
            count, total = sum(count for _value, count in rest), sum(totals.get(value, count) for value, count in rest)
            said = Message(
                "alert-more-groups",
                "In {groups} more groups: {problem}",
                groups=len(rest),
                problem=self.text(rule, count, total),
            )
            others = [FiringSubject(OTHERS, said, count, total, labels=common)]
            firing = firing[:MOST_GROUPS]
        samples = _samples(found, grouping, [value for value, _count in firing])
        return others + [
            FiringSubject(
                group_key(name, value),
                self.text(rule, count, totals.get(value, count)),
                count,
                totals.get(value, count),
                samples.get(value, []),
                {**common, name: value},
            )
            for value, count in firing
        ]


def keys_with_alerts(rule: AlertRule) -> set[str]:
    """The groups of ``rule`` that have an alert which is not over; none of one that is not saved."""
    return set(rule.alerts.open().values_list("group_key", flat=True)) if rule.pk else set()


def scope(rule: AlertRule, now: datetime) -> QuerySet[Agent]:
    """The agents that take part, and that the rule's selector matches and its query asks for."""
    agents = Agent.objects.filter(approval=Approval.APPROVED)
    selector = rule.parsed_selector()
    if selector.requirements:
        agents = agents.filter(selector_condition(selector))
    return agents.filter(rule_query_condition(rule.query, now)) if rule.query else agents


def rule_query_condition(text: str, now: datetime, by: Any = None) -> Q:
    """What agents must be for the query of a rule. Raises `InvalidQuery`.

    The portal itself asks, which may use every word; ``by`` is who writes it, and may use those of their rights.
    """
    token = within_a_rule.set(True)
    try:
        return query_condition(text, by, at=now)
    finally:
        within_a_rule.reset(token)


def group_name(rule: AlertRule) -> str:
    """The label under which an alert of a group says which."""
    return rule.group_label if rule.group_by == AlertRule.Grouping.LABEL else "configuration"


def group_expression(rule: AlertRule) -> Any:
    """What agents are grouped by, ``None`` for nothing."""
    match rule.group_by:
        case AlertRule.Grouping.LABEL:
            return label_text(rule.group_label)
        case AlertRule.Grouping.CONFIGURATION:
            return F("configuration_name")
    return None


def selector_labels(selector: Selector) -> dict[str, str]:
    """The labels that all agents of the selector share by it."""
    return {
        requirement.key: requirement.values[0]
        for requirement in selector.requirements
        if requirement.operator is Operator.IN and len(requirement.values) == 1
    }


def grouped_counts(agents: QuerySet[Agent], rule: AlertRule) -> dict[str, int]:
    """How many of ``agents`` each alert of the rule has, by the key of its group."""
    grouping = group_expression(rule)
    if grouping is None:
        return {"": agents.order_by().count()}
    name = group_name(rule)
    return {group_key(name, value): count for value, count in _counted(agents.order_by(), grouping)}


def _counted(agents: QuerySet[Agent], grouping: Any) -> list[tuple[str, int]]:
    """The largest group first."""
    rows = agents.annotate(**{_GROUP: grouping}).values(_GROUP).annotate(number=Count("*")).order_by("-number", _GROUP)
    return [(value or "", number) for value, number in rows.values_list(_GROUP, "number")]


def _samples(agents: QuerySet[Agent], grouping: Any, values: Sequence[str]) -> dict[str, list[Sampled]]:
    """Some agents of each of these groups, in one query."""
    if not values:
        return {}
    some = Q(**{f"{_GROUP}__in": values})
    if "" in values:
        some |= Q(**{f"{_GROUP}__isnull": True})
    grouped = agents.annotate(**{_GROUP: grouping}).filter(some)
    place = Window(RowNumber(), partition_by=[F(_GROUP)], order_by="pk")
    rows = (
        grouped.annotate(place=place)
        .filter(place__lte=MOST_SAMPLED)
        .order_by(_GROUP, "pk")
        .values_list(*_NAMING, _GROUP)
    )
    wanted = set(values)
    samples: dict[str, list[Sampled]] = {value: [] for value in values}
    for *row, value in rows[: MOST_SAMPLED * MOST_GROUPS * 4]:
        if (value or "") in wanted:
            samples[value or ""].append(_sampled(row))
    return samples


def _sampled(row: Sequence[Any]) -> Sampled:
    agent = Agent(**dict(zip(_NAMING, row, strict=True)))
    return Sampled(agent.name_and_host(), "agent", agent.pk, str(agent.instance_uid))
