"""Which of the agents that a configuration reaches lack a component it uses, by what they report of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, QuerySet

from agents.models import Agent, ReportedDocument, ReportedState
from agents.remote_config import ConfigFile
from configurations.checks import ComponentUse, Finding, FindingKind, Severity, judge_files
from configurations.reported_components import types_by_section
from foundation.messages import Message

_MOST_NAMED = 20
# What an agent is named from.
_NAMING = ("agent__instance_uid", "agent__custom_name", "agent__name", "agent__hostname")
_MOST_TYPES = 20


def missing_components(files: Mapping[str, ConfigFile], agents: QuerySet[Agent]) -> list[Finding]:
    """A warning for each type of component that some of ``agents`` do not have; agents that report none are not counted.

    Agents with the same distribution share one report, so the cost is that of the distributions.
    """
    states = ReportedState.objects.filter(agent__in=agents.order_by(), components__isnull=False)
    counts = dict(states.order_by().values_list("components_id").annotate(number=Count("pk")))
    uses = _uses(files) if counts else ()
    if not uses:
        return []
    contents = ReportedDocument.objects.filter(hash__in=counts).values_list("hash", "content")
    lacking: dict[int, list[str]] = {}
    for key, content in contents:
        known = _by_section(content)
        for number, use in enumerate(uses):
            if use.section in known and _plain(use.kind) not in known[use.section]:
                lacking.setdefault(number, []).append(key)
    total = sum(counts.values())
    return [_finding(uses[number], states, lacking[number], counts, total) for number in sorted(lacking)[:_MOST_TYPES]]


def _uses(files: Mapping[str, ConfigFile]) -> tuple[ComponentUse, ...]:
    texts = {}
    for key, file in files.items():
        try:
            texts[key] = (file.body.decode(), file.content_type)
        except UnicodeDecodeError:
            continue
    return judge_files(texts).uses


def _finding(
    use: ComponentUse, states: QuerySet[ReportedState], keys: list[str], counts: Mapping[str, int], total: int
) -> Finding:
    rows = states.filter(components__in=keys).order_by("agent__name", "agent_id")
    named = [row.agent for row in rows.select_related("agent").only(*_NAMING)[:_MOST_NAMED]]
    message = Message(
        "agents-lack-component",
        "{count} of {total} agents have no {name} among their {section}; they will refuse this.",
        count=sum(counts[key] for key in keys),
        total=total,
        name=use.kind,
        section=use.section,
    )
    agents = tuple((agent.pk, str(agent.instance_uid), agent.headline[0]) for agent in named)
    place = use.place
    return Finding(
        Severity.WARNING, FindingKind.COLLECTOR, message, place.line, place.column, use.path, use.file, agents
    )


def _by_section(content: Any) -> dict[str, set[str]]:
    return {section: {_plain(kind) for kind in kinds} for section, kinds in types_by_section(content).items()}


def _plain(kind: str) -> str:
    """Types that got underscores later are the same as before."""
    plain = kind.replace("_", "")
    return "otlp" if plain == "otlpgrpc" else plain
