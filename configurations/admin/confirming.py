"""What a confirmation page shows before agents get something else: numbers, samples, difference. Saves nothing."""

from __future__ import annotations

import base64
import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from accounts.languages import in_readers_language
from agents.admin import confirming
from agents.selectors import parse_selector
from configurations.checks import Finding
from configurations.models import Configuration, Revision, files_to_json
from configurations.previewing import Preview, successors
from configurations.services.drafts import Draft, InvalidConfiguration

_MOST_LINES = 2_000
_MOST_SOURCES = 5
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
        former, present = before.get(key), after.get(key)
        if former == present:
            continue
        name = key or _("main file")
        yield f"--- {name}" if former is not None else "--- " + _("(no such file)")
        yield f"+++ {name}" if present is not None else "+++ " + _("(no such file)")
        for label, field in ((_("content type"), "content_type"), (_("role"), "role")):
            yield from _changed(label, (former or {}).get(field, ""), (present or {}).get(field, ""))
        lines = difflib.unified_diff(_text(former).splitlines(), _text(present).splitlines(), lineterm="")
        # The first two name the files once more.
        yield from islice(lines, 2, None)


def _changed(label: str, former: str, present: str) -> Iterator[str]:
    if former != present:
        yield from (f"{sign}{label}: {value}" for sign, value in (("-", former), ("+", present)) if value)


def _text(file: Mapping[str, str] | None) -> str:
    """The body as lines; bytes that are no text by their number and digest."""
    if file is None:
        return ""
    if "body_base64" in file:
        body = base64.b64decode(file["body_base64"])
        digest = hashlib.sha256(body).hexdigest()[:16]
        return _("%(count)d bytes that are no text, SHA-256 %(digest)s…") % {"count": len(body), "digest": digest}
    return file.get("body", "")


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
    return in_readers_language(value) if isinstance(value, str) else str(value)


def sources(found: Preview, draft: Draft) -> list[dict[str, Any]]:
    """From which configurations agents are taken, most first; of the first ones what their files differ in."""
    named = [taken.name for taken in found.taken[:_MOST_SOURCES] if taken.name]
    rows = {row.name: row for row in Configuration.objects.select_related("current").filter(name__in=named)}
    files = files_to_json(draft.files)

    def change(name: str) -> list[DiffLine] | None:
        row = rows.get(name)
        return None if row is None or row.current is None else difference(row.current.files, files)

    return [{"name": taken.name, "agents": taken.agents, "change": change(taken.name)} for taken in found.taken]


def page_of(
    found: Preview, draft: Draft, *, row: Configuration | None, new_files: bool, show_agents: bool
) -> dict[str, Any]:
    """The context of the confirmation page's numbers for ``draft`` becoming the state of ``row``."""
    changing = found.changing(new_files=new_files)
    getting, sample = found.getting(new_files=new_files)
    present: Revision | None = row.current if row else None
    return {
        "found": found,
        "warnings": said_of(found.findings, several=len(draft.files) > 1),
        "changing": changing,
        "sample": sample if show_agents else [],
        "more": max(getting - len(sample), 0) if show_agents else 0,
        "sources": sources(found, draft),
        "difference": difference(present.files if present else {}, files_to_json(draft.files)),
        "targeting": targeting_changes(row, draft),
        "successors": sorted(successors(row.name).items()) if row and not draft.enabled else [],
        "must_type": changing > confirming.TYPE_ABOVE,
    }
