"""What the checks say of all files that an agent would get together, beyond what they say of a draft's alone. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.conf import settings

from agents.models import Agent
from agents.remote_config import ConfigFile
from agents.shown import message_shown
from configurations.checks import Finding, FindingKind, Severity, judge_files
from configurations.models import Configuration, Revision, files_from_json
from configurations.services.assigning import Target
from configurations.services.composing import files_together
from configurations.services.drafts import SAID_OF_WHOLES, Draft
from configurations.services.targeting import current_targeting
from foundation.messages import Message

_MOST = 5


def findings_together(
    draft: Draft, files: Mapping[str, ConfigFile], *, name: str | None, instance_uid: UUID | str | None
) -> list[Finding]:
    """Warnings for one agent that the draft reaches, as an example; ``files`` are the draft's true ones.

    Of templates nothing is said: what comes of them is another text for each agent.
    """
    is_fragment = draft.kind == Configuration.Kind.FRAGMENT
    if instance_uid is None or not (is_fragment or Configuration.objects.fragments().exists()):
        return []
    agent = Agent.objects.filter(instance_uid=instance_uid).first()
    target = None if agent is None else current_targeting().target_of(agent)
    if agent is None or target is None:
        return []
    beside = [part for part in (target.parts if is_fragment else target.fragments) if part.name != name]
    others = _files_of(beside)
    together = files_together([files, others])
    if not beside or any(file.template for file in together.values()):
        return []
    # Alone a fragment lacks what stands elsewhere; whether it is there can be seen now.
    partial, complete = (files, others) if is_fragment else (others, files)
    known = {_what(item) for item in _problems(complete)}
    known |= {_what(item) for item in _problems(partial) if item.message.problem_code not in SAID_OF_WHOLES}
    names = ", ".join(part.name for part in beside)
    return [
        _said(item, agent=agent.name_and_host(), names=names)
        for item in _problems(together)
        if _what(item) not in known
    ][:_MOST]


def _files_of(parts: list[Target]) -> dict[str, ConfigFile]:
    keys = [part.revision_id for part in parts if part.revision_id is not None]
    stored = dict(Revision.objects.filter(pk__in=keys).values_list("pk", "files"))
    return files_together(files_from_json(stored[key]) for key in keys if key in stored)


def _problems(files: Mapping[str, ConfigFile]) -> list[Finding]:
    texts = {key: (text, file.content_type) for key, file in files.items() if (text := file.text) is not None}
    judged = judge_files(texts, allowed=settings.COMPONENTS_ALLOWED, denied=settings.COMPONENTS_DENIED)
    return [item for found in judged.findings.values() for item in found if item.blocks]


def _what(item: Finding) -> tuple[str, int, str]:
    return item.file, item.line, str(item.message)


def _said(item: Finding, *, agent: str, names: str) -> Finding:
    message = Message(
        "wrong-together",
        "Together with {names}, as {agent} would get it, line {line} of {file}: {problem}",
        names=names,
        agent=agent,
        line=item.line,
        file=item.file or "-",
        problem=item.message.with_texts(message_shown),
    )
    return Finding(Severity.WARNING, FindingKind.TARGETING, message, 0, 0, "files")
