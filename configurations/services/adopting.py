"""Making a configuration of what an agent runs: proposed, then kept as a draft or published.

Whoever may see secrets adopts the true values; for others placeholders stand where they are hidden, which have to be typed before
anything is published (`configurations.masked_values`). So nobody gets a secret out, not even by sending it to an agent of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts import services as accounts
from accounts.models import User
from agents.labels import label_value_problem, operator_key_problem
from agents.models import Agent, ReportedDocument, ReportedState
from agents.remote_config import ConfigFile
from agents.services.revealing import may_reveal
from agents.shown import pair_shown, text_shown
from configurations.checks import Finding, InvalidContentType, normalise_content_type
from configurations.masked_values import masked_values
from configurations.meaning import meaning_of
from configurations.models import NAME_PATTERN, Configuration, ConfigurationDraft
from configurations.own_additions import without_additions
from configurations.services import draft_saving, publishing
from configurations.services.draft_errors import refuse_masked
from configurations.services.drafts import MAX_BODY_BYTES, Draft
from configurations.services.publishing import BY_DEFAULT, RESERVED_NAMES, ReleasePlan
from foundation.errors import Category, DomainError
from foundation.messages import Message

# Of a selector that is proposed.
_MOST_CLAUSES = 8
# An upgrade changes these, and the agent would no longer be matched.
_CHANGING = frozenset({"service.version", "os.description", "os.version", "process.pid", "service.instance.id"})
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 60


class NothingToAdopt(DomainError):
    """The agent has not said what it runs."""

    category = Category.CONFLICT

    def __init__(self) -> None:
        super().__init__(
            Message("no-effective-config", "The agent has not reported what it runs, so there is nothing to adopt.")
        )


class CannotBeAdopted(DomainError):
    """What the agent runs is no configuration that the portal could keep; the text says why."""

    category = Category.REFUSED_BY_AGENTS


class RunsSomethingElse(DomainError):
    """The agent reported something else since it was looked at; nothing was adopted."""

    category = Category.CONFLICT

    def __init__(self) -> None:
        super().__init__(
            Message(
                "effective-config-changed",
                "The agent runs something else than a moment ago: look at what it runs now, then adopt that.",
            )
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """What adopting an agent's configuration would make. ``document``: the hash of what it reported.

    ``draft`` has the texts that the adopter may have. ``taken`` are config keys and paths that were taken out; ``masked`` says
    where placeholders stand, and ``hides`` that it is the adopter who may not see what stands there.
    """

    agent: Agent
    document: str
    name: str
    draft: Draft
    taken: tuple[tuple[str, str], ...]
    masked: tuple[Finding, ...]
    hides: bool

    def findings(self) -> list[Finding]:
        """All that the checks say of the texts. Raises `InvalidConfiguration` for what no draft may have."""
        return draft_saving.savable(self.draft, adopted=True)[1]


def propose(agent: Agent, *, by: User | None, selector: Mapping[str, str] | None = None, name: str = "") -> Proposal:
    """For ``agent``, to be adopted by ``by``; ``selector`` and ``name`` in place of those that fit this agent alone.

    Raises `NothingToAdopt`, `CannotBeAdopted`.
    """
    document = _document_of(agent)
    trusted = may_reveal(by)
    attributes = {"service.instance.id": str(agent.instance_uid), **agent.asserted_labels, **agent.labels}
    files: dict[str, ConfigFile] = {}
    taken: list[tuple[str, str]] = []
    hides = False
    for key, entry in sorted(document.content.items()):
        given = without_additions(entry["body"], attributes)
        text = given.text if trusted else text_shown(given.text)
        hides = hides or text != given.text
        files[key] = ConfigFile(text.encode(), _content_type(entry), str(entry.get("role") or ""))
        taken += [(key, path) for path in given.taken]
    main = "" if "" in files else next(iter(files))
    draft = Draft(
        selector=dict(selector_for(agent) if selector is None else selector),
        content_type=files[main].content_type or "text/yaml",
        config_key=main,
        files=files,
        true_files=None,
        trusted=trusted,
    )
    return Proposal(
        agent=agent,
        document=document.hash,
        name=proposed_name(name or agent.service_name, "" if name else agent.hostname or str(agent.instance_uid)),
        draft=draft,
        taken=tuple(taken),
        masked=tuple(masked_values(files)),
        hides=hides,
    )


@transaction.atomic
def adopt_as_draft(
    proposal: Proposal, draft: Draft, *, name: str, by: User | None, at: datetime, note: str = ""
) -> ConfigurationDraft:
    """Keep ``draft``, made of a proposal, under ``name``; it reaches nobody.

    Raises what `draft_saving.save_new_draft` raises.
    """
    uid = proposal.agent.instance_uid
    row = draft_saving.save_new_draft(name, draft, by=by, at=at, note=note, adopted_from=uid)
    _record(proposal, by=by, data={"draft": row.pk, "name": name})
    return row


@transaction.atomic
def adopt_and_publish(
    proposal: Proposal,
    draft: Draft,
    *,
    name: str,
    by: User | None,
    at: datetime,
    note: str = "",
    force: bool = False,
    plan: ReleasePlan = BY_DEFAULT,
) -> tuple[Configuration, list[Finding]]:
    """Make ``draft`` a configuration, released by ``plan``; returns it with the findings that do not block.

    Raises `ValuesMasked` where values are missing, and what `publishing.create_configuration` raises.
    """
    refuse_masked(draft, by=by, force=force)
    made = publishing.create_configuration(name, draft, by=by, at=at, note=note, force=force, plan=plan)
    _record(proposal, by=by, data={"configuration": name})
    return made


def require_document(proposal: Proposal, document: str | None) -> None:
    """Raises `RunsSomethingElse` when the proposal is not of the ``document`` that was looked at; ``None``: of any."""
    if document is not None and document != proposal.document:
        raise RunsSomethingElse


def edited(proposal: Proposal, **columns: Any) -> Draft:
    """The proposal's draft with other columns than its texts."""
    return replace(proposal.draft, **columns)


def selector_for(agent: Agent) -> dict[str, str]:
    """Labels that name this agent, as far as it has such: by its host and service, else by its instance id."""
    labels = agent.labels
    keys = ("service.name", "host.name") if "host.name" in labels else ("service.instance.id",)
    found = {key: labels[key] for key in keys if key in labels and _is_fit(key, labels[key])}
    return found or fitting_labels(labels)


def fitting_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Of labels that agents share, those for a selector: what operators name first, and nothing that an upgrade changes."""
    fit = [key for key in labels if key not in _CHANGING and _is_fit(key, labels[key])]
    # Attributes of resources have dots, most of which say what the host is rather than what the agent is for.
    first = sorted(
        fit,
        key=lambda key: (key != "service.name", not key.startswith(("service.", "deployment.")) and "." in key, key),
    )
    return {key: labels[key] for key in first[:_MOST_CLAUSES]}


def proposed_name(*parts: str) -> str:
    """A name for a configuration that none has, made of ``parts``."""
    words = "-".join(filter(None, (_UNFIT.sub("-", part).strip("-._") for part in parts)))
    base = words[:_LONGEST_NAME].strip("-._") or "adopted"
    if base in RESERVED_NAMES or not re.fullmatch(NAME_PATTERN, base):
        base = f"adopted-{base}"
    names = {*Configuration.objects.filter(name__startswith=base).values_list("name", flat=True)}
    return next(
        name for name in (base, *(f"{base}-{number}" for number in range(2, len(names) + 3))) if name not in names
    )


def _is_fit(key: str, value: str) -> bool:
    """Whether a selector can have it, and everybody may read it there."""
    if not value or operator_key_problem(key) is not None or label_value_problem(value) is not None:
        return False
    return pair_shown(key, value) == value


def _document_of(agent: Agent) -> ReportedDocument:
    """Raises `NothingToAdopt`, `CannotBeAdopted`."""
    states = ReportedState.objects.filter(agent=agent, effective_config__isnull=False)
    size = states.values_list("effective_config__size", flat=True).first()
    if size is None:
        raise NothingToAdopt
    # The canonical form has quotes and line ends written out, so a text of the limit may be twice as long there.
    document = None if size > 2 * MAX_BODY_BYTES else states.select_related("effective_config").get().effective_config
    bodies = [] if document is None else [entry.get("body") for entry in document.content.values()]
    if document is None or sum(len(body.encode()) for body in bodies if isinstance(body, str)) > MAX_BODY_BYTES:
        raise CannotBeAdopted(
            Message(
                "effective-config-too-large",
                "What the agent runs is larger than {most} bytes, and is not adopted.",
                most=MAX_BODY_BYTES,
            )
        )
    if not bodies or all(isinstance(body, str) and not body.strip() for body in bodies):
        raise NothingToAdopt
    if not all(isinstance(body, str) for body in bodies):
        raise CannotBeAdopted(
            Message("effective-config-no-text", "Files that the agent runs are no text, and are not adopted.")
        )
    return document


def _content_type(entry: Mapping[str, Any]) -> str:
    """As the agent says; of what it says nothing that would do, YAML where it can be read as such."""
    try:
        said = normalise_content_type(str(entry.get("content_type") or "")) if entry.get("content_type") else ""
    except InvalidContentType:
        said = ""
    return said or ("text/yaml" if meaning_of({"": {"body": entry["body"]}}) else "")


def _record(proposal: Proposal, *, by: User | None, data: Mapping[str, Any]) -> None:
    agent = proposal.agent
    accounts.record(
        by=by, verb="agent.adopt", target=agent, name=agent.name_and_host(),
        data={**data, "document": proposal.document[:12], "with_secrets": not proposal.hides},
    )  # fmt: skip
