"""What a confirmation page shows before agents get something else: numbers, samples, difference. Saves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agents.admin import typed_count
from agents.remote_config import RemoteConfig
from agents.selectors import parse_selector
from configurations.admin.reach_seen import REACH_SEEN
from configurations.checks import Finding
from configurations.line_differences import DiffLine, difference, remembered
from configurations.models import RELEASE_SUBJECT, Configuration, Revision, files_to_json
from configurations.pipelines_shown import pipelines_between
from configurations.previewing import Preview, stages_of_draft, successors
from configurations.services.drafts import Draft, InvalidConfiguration
from foundation.languages import in_readers_language
from foundation.messages import Message
from rollouts.admin.descriptions import stage_words
from rollouts.admin.forms import ReleaseForm
from rollouts.models import Rollout

_MOST_SOURCES = 5


def revision_difference(former: Revision | None, present: Revision) -> list[DiffLine]:
    """What the files of ``present`` differ in; they are read only when that is not remembered."""
    return remembered(
        former.hash if former else "",
        present.hash,
        lambda: difference(former.files if former else {}, present.files),
    )


def said_of(findings: Sequence[Finding], *, several: bool) -> list[str]:
    """Findings in words: with their line, and with their file where there are ``several``."""
    return [_said_of(item, several=several) for item in findings]


def said_of_errors(error: InvalidConfiguration) -> list[str]:
    """Why it cannot be saved, each reason with its field."""
    said = ((field, in_readers_language(text)) for field, texts in error.errors.items() for text in texts)
    return [f"{field}: {text}" for field, text in said]


def _said_of(item: Finding, *, several: bool) -> str:
    said = in_readers_language(item.message)
    if not item.line:
        return said
    values = {"file": item.file or _("main file"), "line": item.line, "column": item.column, "message": said}
    if several:
        return _("Line %(line)d, column %(column)d of %(file)s: %(message)s") % values
    return _("Line %(line)d, column %(column)d: %(message)s") % values


def targeting_changes(row: Configuration | None, draft: Draft) -> list[tuple[str, str, str]]:
    """What else changes beside the files: label, before, after."""
    if row is None:
        return []
    wanted = parse_selector(draft.selector, match_all=draft.match_all)
    pairs = [
        (_("enabled"), row.enabled, draft.enabled),
        (_("priority"), row.priority, draft.priority),
        (_("selector"), row.parsed_selector().words, wanted.words),
    ]
    return [(str(label), _word(before), _word(after)) for label, before, after in pairs if before != after]


def _word(value: object) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return in_readers_language(value) if isinstance(value, Message) else str(value)


def sources(found: Preview, draft: Draft) -> list[dict[str, Any]]:
    """From which configurations agents are taken, most first; of the first ones what their files differ in."""
    named = [taken.name for taken in found.taken[:_MOST_SOURCES] if taken.name]
    rows = {row.name: row for row in Configuration.objects.select_related("current").filter(name__in=named)}
    files = files_to_json(draft.files)

    def change(name: str) -> list[DiffLine] | None:
        row = rows.get(name)
        return None if row is None or row.current is None else difference(row.current.files, files)

    return [{"name": taken.name, "agents": taken.agents, "change": change(taken.name)} for taken in found.taken]


def numbers_explained(found: Preview, row: Configuration | None) -> list[str]:
    """The numbers of the page in words: whom it gains from where, and who loses it."""
    said = []
    for taken in found.taken[:_MOST_SOURCES]:
        values = {"count": taken.agents, "name": taken.name}
        if taken.name:
            text = ngettext("%(count)d agent leaves %(name)s", "%(count)d agents leave %(name)s", taken.agents)
        else:
            text = ngettext(
                "%(count)d agent has no configuration of this portal yet",
                "%(count)d agents have no configuration of this portal yet",
                taken.agents,
            )
        said.append(text % values)
    if row is not None and found.lost:
        text = ngettext("%(count)d agent loses %(name)s", "%(count)d agents lose %(name)s", found.lost)
        said.append(text % {"count": found.lost, "name": row.name})
    return said


def release_context(
    chosen: ReleaseForm, draft: Draft, *, row: Configuration | None, name: str, show_agents: bool
) -> dict[str, Any]:
    """How it goes out: the question, what is on its way already, and the stages that were chosen."""
    policy = chosen.policy if chosen.is_usable else None
    return {
        "release": chosen,
        "names_agents": show_agents,
        "active_rollout": Rollout.objects.active().of(RELEASE_SUBJECT, row.pk).first() if row else None,
        "planned": [
            {"planned": stage, "words": stage_words(stage.stage, is_rest=stage.everybody_else)}
            for stage in (stages_of_draft(draft, policy, name=name) if policy is not None else ())
        ],
    }


def page_of(
    found: Preview, draft: Draft, *, row: Configuration | None, new_files: bool, show_agents: bool
) -> dict[str, Any]:
    """The context of the confirmation page's numbers for ``draft`` becoming the state of ``row``."""
    changing = found.changing(new_files=new_files)
    getting, sample = found.getting(new_files=new_files)
    present: Revision | None = row.current if row else None
    return {
        "found": found,
        # Of what is switched off or deleted the files do not matter.
        "leaves": row is not None and row.enabled and not draft.enabled and not new_files,
        "warnings": [
            (_said_of(item, several=len(draft.files) > 1), item.agents if show_agents else ())
            for item in found.findings
            # What is to be confirmed says it already.
            if not (found.warnings and item.message.problem_code == "no-agent-matches")
        ],
        "to_confirm": said_of(found.warnings, several=False),
        "reach_field": REACH_SEEN,
        "changing": changing,
        "sample": sample if show_agents else [],
        "more": max(getting - len(sample), 0) if show_agents else 0,
        "sources": sources(found, draft),
        "explained": numbers_explained(found, row),
        "difference": remembered(
            present.hash if present else "",
            RemoteConfig(dict(draft.files)).config_hash().hex(),
            lambda: difference(present.files if present else {}, files_to_json(draft.files)),
        ),
        "pipelines": pipelines_between(present.files if present else {}, files_to_json(draft.files)),
        "targeting": targeting_changes(row, draft),
        "successors": sorted(successors(row.name).items()) if row and not row.is_fragment and not draft.enabled else [],
        "must_type": changing > typed_count.TYPE_ABOVE,
    }
