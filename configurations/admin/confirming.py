"""What a confirmation page shows before agents get something else: numbers, samples, difference. Saves nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from accounts.languages import in_readers_language
from agents.admin import confirming
from agents.selectors import parse_selector
from configurations.models import Configuration, Revision, files_to_json
from configurations.previewing import Preview, successors
from configurations.services.drafts import Draft

_MOST_LINES = 2_000
_CLASSES = {"+": "ins", "-": "del", "@": "hunk"}


class DiffLine(NamedTuple):
    """One line of a unified diff with the class that colours it."""

    text: str
    kind: str


def difference(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> list[DiffLine]:
    """A unified diff of all files in their stored form; at most 2,000 lines."""
    lines: list[DiffLine] = []
    for line in _unified(before, after):
        if len(lines) == _MOST_LINES:
            lines.append(DiffLine("…", "hunk"))
            break
        kind = "file" if line.startswith(("+++", "---")) else _CLASSES.get(line[:1], "")
        lines.append(DiffLine(line, kind))
    return lines


def _unified(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for key in sorted({*before, *after}):
        former, present = (_text(side.get(key, {})).splitlines() for side in (before, after))
        yield from difflib.unified_diff(former, present, fromfile=key or "main", tofile=key or "main", lineterm="")


def _text(file: Mapping[str, str]) -> str:
    return file.get("body", file.get("body_base64", ""))


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
    return in_readers_language(value) if isinstance(value, str) else str(value)


def page_of(
    found: Preview, draft: Draft, *, row: Configuration | None, changing: int, show_agents: bool
) -> dict[str, Any]:
    """The context of the confirmation page's numbers for ``draft`` becoming the state of ``row``."""
    present: Revision | None = row.current if row else None
    return {
        "found": found,
        "changing": changing,
        "sample": found.sample if show_agents else [],
        "more": max(found.assigned - len(found.sample), 0) if show_agents else 0,
        "difference": difference(present.files if present else {}, files_to_json(draft.files)),
        "targeting": targeting_changes(row, draft),
        "successors": sorted(successors(row.name).items()) if row and not draft.enabled else [],
        "must_type": changing > confirming.TYPE_ABOVE,
    }
