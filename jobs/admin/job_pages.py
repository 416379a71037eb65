"""Jobs in the admin: the list, and the page where one is watched, cancelled, taken up again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.base_admin import Missing, PortalAdmin
from accounts.models import User
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from foundation.refreshing import refreshes_itself
from jobs.errors import FileStoreAway, NotAllowed
from jobs.job_downloads import job_file_response
from jobs.jobs_shown import job_pill
from jobs.models import Job, JobResult
from jobs.services.starting import cancel_job, retry_job

# Characters of the parameters.
_PARAMETERS = 2_000
# Results on the page: those that failed first, then those that were skipped.
_RESULTS = 50
_ACTS: dict[str, tuple[Callable[..., Job], Any]] = {
    "cancel": (cancel_job, _("Cancelled: what was done stays.")),
    "retry": (retry_job, _("It goes on.")),
}


@admin.register(Job)
class JobAdmin(PortalAdmin):
    """What is under way, and what was: one's own, and to administrators everybody's."""

    list_display = ["what", "pill", "how_far", "started_by_name", "created_at", "ended_at"]
    list_display_links = ["what"]
    list_filter = ["state"]
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """Whose they are decides, not a right."""
        return Job.objects.visible_to(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """In the menu of everybody who may do anything, and so may have some."""
        user = request.user
        # Of an administrator nobody has to ask.
        return bool(user.is_active and user.is_staff and (user.is_superuser or user.get_all_permissions()))

    def has_view_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        """Everybody who is let in; `get_queryset` says which."""
        return bool(request.user.is_active and request.user.is_staff)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Actions make them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        """Buttons do it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        """They go by themselves after a while."""
        return False

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Nobody, whether there is such a job or not."""
        raise PermissionDenied

    @admin.display(description=_("job"), ordering="pk")
    def what(self, row: Job) -> str:
        """What it does."""
        return in_readers_language(row.title_message)

    @admin.display(description=_("state"), ordering="state")
    def pill(self, row: Job) -> SafeString:
        """Text and sign."""
        return job_pill(row)

    @admin.display(description=_("progress"))
    def how_far(self, row: Job) -> str:
        """Of how many."""
        if row.total is None:
            return format_html("{}", row.handled)
        bar = format_html('<progress max="100" value="{}"></progress> ', row.percent or 0) if row.is_live else ""
        return format_html("{}{} / {}", bar, row.handled, row.total)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One job, drawn by us: there is nothing to type."""
        row = cast("Job", self.get_object(request, object_id))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": in_readers_language(row.title_message),
            "subtitle": None,
            "opts": self.opts,
            "row": row,
            "key": str(row.pk),
            "pill": job_pill(row),
            "error": in_readers_language(row.error_message) if row.error_message else "",
            "parameters": json.dumps(row.parameters, ensure_ascii=False, indent=1)[:_PARAMETERS]
            if row.parameters
            else "",
            "results": [_shown(result) for result in _worst_first(row)],
            "most_results": _RESULTS,
            "file": row.offered_file,
            "may_cancel": row.state in {Job.State.WAITING, Job.State.RUNNING},
            "may_retry": row.state in {Job.State.FAILED, Job.State.CANCELLED},
        }
        template = "live.html" if refreshes_itself(request) else "page.html"
        return TemplateResponse(request, f"admin/jobs/job/{template}", context)

    def get_urls(self) -> list[Any]:
        """With the buttons, and what the fly-out reads again."""
        act = self.admin_site.admin_view(require_POST(self.act))
        flyout = self.admin_site.admin_view(require_safe(self.flyout))
        return [
            path("flyout/", flyout, name="jobs_flyout"),
            path("<int:pk>/file/", self.admin_site.admin_view(require_safe(self.file)), name="job_file"),
            path("<int:pk>/act/<slug:name>/", act, name="job_act"),
            *super().get_urls(),
        ]

    def flyout(self, request: HttpRequest) -> HttpResponse:
        """The fly-out alone."""
        return TemplateResponse(request, "admin/jobs/flyout_alone.html", {"has_permission": True})

    def file(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """What the job made; what there is none of is said on its page."""
        row = cast("Job", self.get_object(request, str(pk)))
        try:
            return job_file_response(request, row, by=cast("User", request.user))
        except NotAllowed as error:
            raise PermissionDenied from error
        except FileStoreAway as error:
            messages.error(request, in_readers_language(error))
            return redirect("admin:jobs_job_change", row.pk)
        except DomainError as error:
            raise Missing(in_readers_language(error)) from error

    def act(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """What a button does; what cannot be done is said on the page."""
        row = cast("Job", self.get_object(request, str(pk)))
        page = reverse("admin:jobs_job_change", args=[row.pk])
        if name not in _ACTS:
            return redirect(page)
        act, done = _ACTS[name]
        try:
            act(row.pk, by=cast("User", request.user))
        except DomainError as error:
            messages.error(request, in_readers_language(error))
        else:
            messages.success(request, done)
        return redirect(page)


def _worst_first(row: Job) -> list[JobResult]:
    found: list[JobResult] = []
    for outcome in ("failed", "skipped", "done"):
        if len(found) < _RESULTS:
            found += row.results.filter(outcome=outcome).order_by("pk")[: _RESULTS - len(found)]
    return found


_LOOKS = {"done": ("good", "✔"), "skipped": ("quiet", "–"), "failed": ("bad", "✖")}


def _shown(result: JobResult) -> dict[str, Any]:
    look, sign = _LOOKS[result.outcome]
    said = in_readers_language(result.said) if result.said else ""
    return {"result": result, "look": look, "sign": sign, "said": said}
