"""What an agent gets of a configuration, for people to look at: rendered as it would be, with everything secret hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.models import Agent
from agents.redaction import HIDDEN
from agents.redaction.known import known_hidden
from agents.remote_config import RemoteConfig
from agents.shown import files_shown
from configurations.models import Assignment, Configuration, Revision, files_to_json
from configurations.services.rendering import Renderer, rendering_of
from foundation.messages import Message
from variables.services.known_values import Values, current_values
from variables.templating import RenderingFailure

# In place of a secret while it is rendered: letters alone stay one word in any format.
_TOKEN = "Q0SECRETQ0"  # noqa: S105  no secret


@dataclass(frozen=True, slots=True)
class RenderedFiles:
    """``files`` as they are shown, ``config_hash`` (hex) as it is offered; both empty where ``error`` says why."""

    revision: int
    config_hash: str
    files: Mapping[str, Mapping[str, Any]]
    error: Message | None = None


def shown_for(configuration: Configuration, labels: Mapping[str, str]) -> RenderedFiles:
    """The newest revision for an agent with these labels."""
    revision = configuration.current
    return RenderedFiles(0, "", {}) if revision is None else revision_shown_for(revision, labels)


def revision_shown_for(revision: Revision, labels: Mapping[str, str]) -> RenderedFiles:
    """One revision for an agent with these labels."""
    if not revision.templated:
        return RenderedFiles(revision.number, revision.hash, files_shown(revision.files))
    values = current_values()
    try:
        config_hash = Renderer(values).render(revision.pk, labels).hash
        config = Renderer(values, adapt=_without_secrets).render(revision.pk, labels).config
    except RenderingFailure as failure:
        return RenderedFiles(revision.number, "", {}, failure.message)
    return RenderedFiles(revision.number, config_hash, files_shown(_stored(config)))


def rendered_for(assignment: Assignment, agent: Agent) -> Mapping[str, Mapping[str, Any]] | None:
    """What the agent should run, true but for known secrets, as its effective configuration is stored.

    ``None`` where its templates have no result, or nothing of ours is assigned. With the files of fragments.
    """
    revision = assignment.revision
    if assignment.composition_id is None and revision is not None and not revision.templated:
        files: Mapping[str, Mapping[str, Any]] = revision.files
        return files
    try:
        rendered = rendering_of(assignment, agent.labels, Renderer())
    except RenderingFailure:
        return None
    if rendered is None:
        return None
    stored = files_to_json(rendered.config.files)
    for entry in stored.values():
        if "body" in entry:
            entry["body"] = known_hidden(str(entry["body"]))
    return stored


def _without_secrets(values: Values) -> Values:
    return Values(values.generation, values.variables, dict.fromkeys(values.secrets, _TOKEN))


def _stored(config: RemoteConfig) -> dict[str, dict[str, Any]]:
    stored = files_to_json(config.files)
    for entry in stored.values():
        if "body" in entry:
            entry["body"] = str(entry["body"]).replace(_TOKEN, HIDDEN)
    return stored
