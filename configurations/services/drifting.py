"""Agents whose report says what they run: whether that is what they applied.

What drift is decides `configurations.drift`; this file says of whom it is asked, and how much of it one batch may ask.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.models import AgentEvent, ReportedDocument
from agents.redaction.known import known_hidden
from agents.services.batch import ReportingAgent
from configurations.drift import drift_once, known_drift
from configurations.models import files_to_json
from configurations.outcome import AssignmentStatus
from configurations.services.assigning import AssignedAgent
from configurations.services.offering_again import count_anew
from configurations.services.rendering import Renderer, desired_files

MOST_COMPARED = 512 * 1024
"""Bytes of reported files that one batch compares beyond the first; what was compared before costs nothing."""


def note_drift(reporting: Sequence[ReportingAgent], assigned: dict[int, AssignedAgent], renderer: Renderer) -> None:
    """Book of those that report their effective configuration whether it is what they applied, with lines for the timeline.

    Agents for which there is no room in this batch are judged by their next report of what they run.
    """
    compared = 0
    for member in reporting:
        document = _reported_now(member)
        if document is None or assigned[member.agent.pk].assignment.status != AssignmentStatus.APPLIED.value:
            continue
        agent = member.agent
        hashes = (agent.configuration_hash, document.hash)
        drift = known_drift(hashes)
        if drift is None:
            given = _given(assigned[agent.pk], renderer) if compared < MOST_COMPARED else None
            if given is None:
                continue
            compared += document.size
            drift = drift_once(given, document.content, hashes=hashes)
        if member.change("config_drifted", drift.has_drifted):
            if drift.has_drifted:
                count_anew(assigned[agent.pk])
            member.tell(
                AgentEvent.Kind.DRIFTED if drift.has_drifted else AgentEvent.Kind.DRIFT_ENDED,
                configuration=agent.configuration_name,
                revision=agent.configuration_revision,
            )


def _given(assigned: AssignedAgent, renderer: Renderer) -> dict[str, dict[str, str]] | None:
    """The files that the agent applied, with known secrets hidden as they are in what it reports; ``None`` if they are gone."""
    agent = assigned.agent
    config = desired_files(assigned.assignment, agent.configuration_hash, agent.labels, renderer)
    if config is None:
        return None
    given = files_to_json(config.files)
    for entry in given.values():
        if "body" in entry:
            entry["body"] = known_hidden(entry["body"])
    return given


def _reported_now(member: ReportingAgent) -> ReportedDocument | None:
    """The effective configuration that came with this report, if it was stored."""
    document = member.documents.get("effective_config")
    return document if document is not None and member.state.effective_config_id == document.hash else None
