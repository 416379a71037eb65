"""Previews while somebody types: which agents the targeting concerns, and what is wrong with the text. Saves nothing."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST

from accounts.models import User
from agents.admin.selector_fields import selector_of, selector_rows
from agents.selectors import InvalidSelector
from configurations.admin.editor_data import EditorData
from configurations.admin.file_forms import FileForms
from configurations.admin.forms import new_files, whole_number
from configurations.admin.starting_pages import StartingPages
from configurations.checks import Finding
from configurations.masked_values import masked_values
from configurations.models import ConfigurationDraft
from configurations.previewing import reach
from configurations.services.draft_saving import draft_in
from configurations.services.drafts import Draft, InvalidConfiguration, blocking, checked, draft_of
from configurations.services.forcing import may_force
from foundation.languages import in_readers_language


class LivePreviews(EditorData, StartingPages):
    """The part of the configurations' admin that answers an editor."""

    def live_urls(self) -> list[URLPattern]:
        """Previews while typing, and what an editor asks beside them."""
        wrapped = self.admin_site.admin_view
        return [
            path("reach/", wrapped(require_POST(self.live_reach)), name="configuration_reach"),
            path("problems/", wrapped(require_POST(self.live_problems)), name="configuration_problems"),
            *self.editor_urls(),
            *self.starting_urls(),
        ]

    def live_reach(self, request: HttpRequest) -> HttpResponse:
        """Which agents the typed targeting concerns: a fragment of HTML, and the clauses for the row editor."""
        row = self.edited(request)
        posted = request.POST
        try:
            selector = selector_of(posted.get("selector", ""), match_all="match_all" in posted)
        except InvalidSelector as error:
            texts = [in_readers_language(problem) for problem in error.problems]
            html = render_to_string("admin/configurations/configuration/reach.html", {"errors": texts}, request)
            return JsonResponse({"html": html, "rows": None, "changing": None})
        draft = Draft(
            kind=row.kind if row else posted.get("kind", ""),
            selector=selector.as_json(),
            match_all=selector.match_all,
            priority=whole_number(posted.get("priority", "")),
            enabled="enabled" in posted,
        )
        found = reach(draft, name=row.name if row else None)
        show = request.user.has_perm("agents.view_agent")
        context = {
            "found": found,
            "sample": found.sample if show else [],
            "more": max(found.assigned - len(found.sample), 0) if show else 0,
            "enabled": draft.enabled,
            "existing": row is not None,
        }
        return JsonResponse(
            {
                "html": render_to_string("admin/configurations/configuration/reach.html", context, request),
                "rows": selector_rows(selector),
                "changing": [found.changing(new_files=False), found.changing(new_files=True)],
            }
        )

    def live_problems(self, request: HttpRequest) -> HttpResponse:
        """What is wrong with the typed text, with places; and whether it differs from what agents have."""
        row = self.edited(request)
        present = draft_of(row) if row else None
        saved = self._saved(request)
        base = (draft_in(saved) if saved else present or Draft()).edited_by(cast("User", request.user))
        files = FileForms(request.POST, base)
        findings: list[Finding] = []
        others: list[str] = []
        draft = base
        if not files.is_valid():
            others = [str(text) for form in files for texts in form.errors.values() for text in texts]
        else:
            try:
                draft = dataclasses.replace(files.drafted(base), selector={})
                draft = draft.restored()
                force = "force" in request.POST and may_force(cast("User", request.user))
                findings = checked(draft, present=present, force=force).findings
            except InvalidConfiguration as error:
                findings = error.findings
                told = {str(blocking(item)) for item in findings}
                others = [
                    in_readers_language(text)
                    for texts in error.errors.values()
                    for text in texts
                    if str(text) not in told
                ]
            if saved is not None and saved.adopted_from is not None:
                findings = [*masked_values(draft.files), *findings]
        places = [(files.place_of(item.file), item) for item in findings]
        context = {
            "findings": [{"finding": item, "place": place} for place, item in places],
            "others": others,
            "several": len(draft.files) > 1,
        }
        marks: dict[str, dict[str, str]] = {}
        for item in reversed(findings):
            kind = "error" if item.blocks else "warning"
            marks.setdefault(item.file, {})[str(item.line)] = kind
        lines = files.lines(marks) if files.is_valid() else []
        current = row.current if row else None
        return JsonResponse(
            {
                "html": render_to_string("admin/configurations/configuration/problems.html", context, request),
                # Of the first file, and of all in the order of their forms.
                "lines": lines[0] if lines else {},
                "file_lines": lines,
                "findings": [_for_editor(item, place) for place, item in places],
                "new_files": current is None or new_files(draft, current.hash),
            }
        )

    def _saved(self, request: HttpRequest) -> ConfigurationDraft | None:
        """The saved draft that is open in the form, if one is."""
        key = whole_number(request.POST.get("draft", ""))
        return ConfigurationDraft.objects.filter(pk=key).first() if key else None


def _for_editor(item: Finding, place: int) -> dict[str, Any]:
    """A finding as the editor of the ``place``-th form shows it."""
    text = in_readers_language(item.message)
    return {
        "place": place,
        "line": item.line,
        "column": item.column,
        "severity": "error" if item.blocks else "warning",
        "message": f"{text} ({item.path})" if item.path else text,
    }
