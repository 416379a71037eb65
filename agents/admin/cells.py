"""Cells of the list of agents that fifty rows of it would make slow: what few values make is drawn once and kept.

The words are those of the templates that other pages use.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.template.loader import render_to_string
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext as _

from agents.extensions import Mark
from agents.models import Agent, Approval
from agents.shown import pair_shown

_CHIPS = 3
_LONGEST_VALUE = 40
_LONGEST_REASON = 120
# Labels that other columns show already.
_COLUMNS = ("service.", "host.", "os.")
# Django's text, translated by its own catalogue.
_SELECT = "Select this object for an action - {}"


def checkbox(agent: Agent) -> SafeString:
    """The one that chooses the agent for an action, as Django draws it."""
    return format_html(
        '<input type="checkbox" name="{}" value="{}" class="action-select" aria-label="{}">',
        ACTION_CHECKBOX_NAME,
        agent.pk,
        gettext(_SELECT).format(agent),
    )


def approval_marks(agent: Agent) -> Sequence[Mark]:
    """*Awaiting approval* and *rejected*; nothing for all others."""
    if agent.approval == Approval.PENDING:
        return [Mark(Approval.PENDING.label, _("Nothing is offered to it until somebody approves it."))]
    if agent.approval == Approval.REJECTED:
        return [Mark(Approval.REJECTED.label, _("It may not connect."))]
    return ()


def pill(agent: Agent, reason: str | None = None, marks: Sequence[Mark] = ()) -> SafeString:
    """The status: text, sign and colour; ``reason``: of an error; ``marks``: of other apps."""
    drawn = _drawn("admin/pill.html", get_language(), ("status", agent.status.value))
    for mark in marks:
        drawn += format_html(' <span class="pill pill-mark" title="{}">{}</span>', mark.title, mark.word)
    if not reason:
        return drawn
    short = reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 1]}…"
    return format_html('{}<span class="reason" title="{}">{}</span>', drawn, reason, short)


def running_cell(agent: Agent) -> SafeString:
    """Name and revision of what the agent should run, and whether it does."""
    names = ("configuration_name", "configuration_revision", "config_failed", "in_sync", "connected")
    facts = tuple((name, getattr(agent, name)) for name in names)
    return _drawn("admin/agents/agent/running.html", get_language(), ("agent", facts))


def chips(agent: Agent) -> SafeString:
    """Operator labels first, then a few of the reported ones."""
    own = agent.operator_labels
    others = [key for key in agent.labels if key not in own and not key.startswith(_COLUMNS)]
    keys = [*own, *others]
    parts = [_chip(key, own.get(key, agent.labels.get(key)), own=key in own) for key in keys[:_CHIPS]]
    if len(keys) > _CHIPS:
        parts.append(f'<span class="chip chip-rest">+{len(keys) - _CHIPS}</span>')
    return SafeString("".join(parts))


def _chip(key: str, value: object, *, own: bool) -> str:
    text = pair_shown(key, str(value))
    if len(text) > _LONGEST_VALUE:
        text = f"{text[: _LONGEST_VALUE - 1]}…"
    told = _("set by an operator")
    kind = f' chip-own" title="{escape(told)}"' if own else '"'
    return f'<span class="chip{kind}>{escape(key)}={escape(text)}</span>'


@lru_cache(maxsize=1_024)
def _drawn(template: str, _language: str, value: tuple[str, Any]) -> SafeString:
    """The template with one variable: a text, or pairs of attributes. Kept for each language."""
    name, content = value
    context = {name: dict(content) if isinstance(content, tuple) else content}
    return SafeString(render_to_string(template, context).strip())
