"""Selectors that hardly anybody means: they reach nobody, or far more agents than before. Said before saving, never blocking."""

from __future__ import annotations

from agents.label_conditions import selector_condition
from agents.models import Agent
from agents.selectors import Selector, parse_selector
from configurations.checks import Finding, FindingKind, Severity
from configurations.models import Configuration
from configurations.services.drafts import Draft
from foundation.messages import Message

# More than so many times as many agents as before.
GROWTH = 2


def reach_warnings(draft: Draft, present: Configuration | None) -> list[Finding]:
    """What is to be confirmed of whom ``draft`` reaches, compared with ``present`` as it is stored; agents are only counted.

    Nothing where the selector stays, nor of nobody in a portal without agents. Raises `InvalidSelector`.
    """
    if not draft.enabled:
        return []
    selector = parse_selector(draft.selector, match_all=draft.match_all)
    former = present.parsed_selector() if present is not None and present.enabled else None
    if former == selector:
        return []
    now, before = _reached(selector), 0 if former is None else _reached(former)
    if not now:
        zero = Message("reach-zero", "The selector reaches no agent; before, it reached {before}.", before=before)
        return [_warning(zero)] if Agent.objects.exists() else []
    if before and now > GROWTH * before:
        doubled = Message(
            "reach-doubled",
            "The selector reaches {now} agents, more than twice as many as before ({before}).",
            now=now,
            before=before,
        )
        return [_warning(doubled)]
    return []


def _reached(selector: Selector) -> int:
    return Agent.objects.filter(selector_condition(selector)).count()


def _warning(message: Message) -> Finding:
    return Finding(Severity.WARNING, FindingKind.TARGETING, message, 0, 0, "selector")
