"""All configurations as a zip archive: downloaded, and taken over again after a page that says what that would change."""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from accounts.base_admin import PortalAdmin
from accounts.models import User
from agents.shown import files_shown
from configurations.admin.confirmation_page import said_of, targeting_changes
from configurations.exporting import all_configurations
from configurations.file_trees import MAX_TREE_BYTES, ZipTree
from configurations.line_differences import difference
from configurations.manifests import MANIFEST, UnusableManifests, free_name, wanted_in, written
from configurations.models import files_to_json
from configurations.services.applying import (
    Action,
    NotApplicable,
    Step,
    apply_configurations,
    fingerprint,
    plan_configurations,
    require_rights,
)
from configurations.wanted_json import UnreadableConfigurations
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language

# In base64 it goes through the page that asks, below the limit of a form.
_MOST_BYTES = 4 * 1024**2
_MOST_DIFFERENCES = 50
_MOST_REASONS = 50
# The same configurations are the same archive.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_RIGHTS = tuple(f"configurations.{right}_configuration" for right in ("add", "change", "delete"))
_WORDS = {
    Action.CREATE: _("new"),
    Action.UPDATE: _("changed"),
    Action.DELETE: _("deleted"),
    Action.UNCHANGED: _("unchanged"),
}


class ArchiveForm(forms.Form):
    """An archive, or one that was looked at before, with the fingerprint of the plan that was shown."""

    archive = forms.FileField(
        label=_("Zip archive"),
        required=False,
        help_text=_("As Export makes it, or git archive --format=zip: a folder for each configuration."),
    )
    prune = forms.BooleanField(
        label=_("Delete configurations that are not in the archive"), required=False, label_suffix=""
    )
    carried = forms.CharField(required=False, strip=False)
    shown = forms.CharField(required=False, max_length=64)

    def clean(self) -> dict[str, Any]:
        """With the ``body`` of the archive."""
        values = super().clean() or {}
        upload = values.get("archive")
        if upload is not None and upload.size > _MOST_BYTES:
            said = _("The archive has more than %(most)d bytes.") % {"most": _MOST_BYTES}
            raise forms.ValidationError(said)
        try:
            values["body"] = upload.read() if upload else base64.b64decode(values.get("carried") or "", validate=True)
        except (binascii.Error, ValueError):
            values["body"] = b""
        if not values["body"]:
            raise forms.ValidationError(_("Choose an archive."))
        return values


class Archives(PortalAdmin):
    """The part of the configurations' admin that knows archives."""

    def archive_urls(self) -> list[Any]:
        """Of the two pages."""
        wrapped = self.admin_site.admin_view
        return [
            path("export/", wrapped(require_GET(self.export_archive)), name="configurations_export"),
            path("import/", wrapped(self.import_archive), name="configurations_import"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With the button for those who may import."""
        context = {"may_import": any(map(request.user.has_perm, _RIGHTS)), **(extra_context or {})}
        return super().changelist_view(request, context)

    def export_archive(self, request: HttpRequest) -> HttpResponse:
        """The archive, without secrets; taken over again, `[redacted]` stays what it is."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        body = io.BytesIO()
        left, taken = MAX_TREE_BYTES, set[str]()
        with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
            for row in all_configurations():
                form = written(row, files_shown(row.current.files) if row.current else {})
                folder = free_name(row.name, taken)
                for name, content in {MANIFEST: form.manifest.encode(), **form.bodies}.items():
                    left -= len(content)
                    entry = zipfile.ZipInfo(f"{folder}/{name}", _NO_TIME)
                    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                    archive.writestr(entry, content)
                if left < 0:
                    said = _("The configurations are too large for an archive; use manage.py export_configurations.")
                    self.message_user(request, said, messages.ERROR)
                    return redirect(reverse("admin:configurations_configuration_changelist"))
        headers = {"Content-Disposition": 'attachment; filename="configurations.zip"', "Cache-Control": "no-store"}
        return HttpResponse(body.getvalue(), content_type="application/zip", headers=headers)

    def import_archive(self, request: HttpRequest) -> HttpResponse:
        """GET asks for an archive, POST shows the plan, and carries it out when it was shown before."""
        if not (self.has_view_permission(request) and any(map(request.user.has_perm, _RIGHTS))):
            raise PermissionDenied
        posted = request.method == "POST"
        form = ArchiveForm(request.POST, request.FILES) if posted else ArchiveForm()
        context: dict[str, Any] = {"title": _("Import configurations"), "form": form}
        if posted and form.is_valid():
            values = form.cleaned_data
            try:
                if values["shown"] and not values.get("archive"):
                    return self._applied(request, values)
                context |= self._plan(request, values)
            except DomainError as error:
                context["refusal"] = in_readers_language(error)
                context["reasons"] = _reasons(error)
        whole = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(request, "admin/configurations/configuration/import.html", whole)

    def _plan(self, request: HttpRequest, values: dict[str, Any]) -> dict[str, Any]:
        wanted, warnings = wanted_in(ZipTree(io.BytesIO(values["body"])))
        by = cast("User", request.user)
        steps = plan_configurations(wanted, by=by, at=clock.now(), prune=values["prune"])
        changing = [step for step in steps if step.action is not Action.UNCHANGED]
        require_rights(steps, by)
        submit = ngettext("Publish (%(count)d configuration)", "Publish (%(count)d configurations)", len(changing))
        return {
            "planned": True,
            "steps": [_shown(step, with_files=number < _MOST_DIFFERENCES) for number, step in enumerate(changing)],
            "unchanged": len(steps) - len(changing),
            "warnings": [in_readers_language(text) for text in warnings],
            "carried": base64.b64encode(values["body"]).decode(),
            "prune": values["prune"],
            "shown": fingerprint(steps),
            "submit": submit % {"count": len(changing)},
        }

    def _applied(self, request: HttpRequest, values: dict[str, Any]) -> HttpResponse:
        wanted, _warnings = wanted_in(ZipTree(io.BytesIO(values["body"])))
        by = cast("User", request.user)
        steps = apply_configurations(wanted, by=by, at=clock.now(), prune=values["prune"], shown=values["shown"])
        count = sum(step.action is not Action.UNCHANGED for step in steps)
        said = ngettext("%(count)d configuration is published.", "%(count)d configurations are published.", count)
        self.message_user(request, said % {"count": count}, messages.SUCCESS)
        return redirect(reverse("admin:configurations_configuration_changelist"))


def _shown(step: Step, *, with_files: bool) -> dict[str, Any]:
    """A step as the page has it, secrets hidden; the differences of the first ones alone."""
    present = step.present.current.files if step.present and step.present.current else {}
    shown: dict[str, Any] = {
        "name": step.name,
        "action": step.action.value,
        "word": _WORDS[step.action],
        "with_files": with_files and step.wanted is not None,
    }
    if step.wanted is None:
        return shown
    draft = step.wanted.draft
    shown["targeting"] = targeting_changes(step.present, draft)
    shown["findings"] = said_of(step.findings, several=len(draft.files) > 1)
    if with_files:
        shown["difference"] = difference(present, files_to_json(draft.files))
    return shown


def _reasons(error: DomainError) -> list[str]:
    """All of them, each with the name of what it is about."""
    if isinstance(error, UnusableManifests):
        return [in_readers_language(reason) for reason in error.reasons[:_MOST_REASONS]]
    if isinstance(error, NotApplicable | UnreadableConfigurations):
        return [
            ": ".join([part for part in (name, field) if part] + [text])
            for name, fields in error.errors.items()
            for field, said in fields.items()
            for text in _texts(said)
        ][:_MOST_REASONS]
    return []


def _texts(said: Any) -> Sequence[str]:
    """Of what may be nested by field, as errors of single files are."""
    if isinstance(said, dict):
        return [f"{name}: {text}" for name, texts in said.items() for text in _texts(texts)]
    return [text for item in said for text in _texts(item)] if isinstance(said, list) else [in_readers_language(said)]
