"""Packages in the admin: the list, the page with versions, files and agents, and what is done there."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.models import User
from agents.models import Agent
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from packages.admin.forms import PackageForm, VersionForm, tell
from packages.admin.policy_page import PolicyPage
from packages.admin.version_pages import VersionPages
from packages.models import RELEASE_SUBJECT, Installation, Package
from packages.packages_shown import RETRY_RIGHTS, counted, versions_of
from packages.services import installing_again, package_edits
from rollouts.admin.descriptions import policy_words
from rollouts.admin.released_pages import LARGEST_ID, ReleasedAdmin, progress_text
from rollouts.models import Rollout
from rollouts.services.version_publishing import BY_DEFAULT

_AGENTS, _VERSIONS = 100, 50


@admin.register(Package)
class PackageAdmin(VersionPages, PolicyPage, ReleasedAdmin):
    """What agents should have installed."""

    form = PackageForm
    ask_template = "admin/packages/package/ask.html"
    row_name = "package"
    change_form_template = "admin/packages/package/change_form.html"
    list_display = ["name", "kind", "selector_text", "priority", "enabled", "newest", "agents", "updated_at"]
    list_filter = ["kind", "enabled"]
    search_fields = ["name", "notes"]
    fields = ["name", "kind", "selector", "match_all", "priority", "enabled", "notes"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Counted."""
        return counted(super().get_queryset(request))

    @admin.display(description=_("newest version"))
    def newest(self, row: Package) -> str:
        """Released or not."""
        return getattr(row, "newest_version", None) or "–"

    @admin.display(description=_("agents"))
    def agents(self, row: Package) -> SafeString:
        """How many should have it, and how far they are."""
        done, agents = getattr(row, "installed_count", 0), getattr(row, "agent_count", 0)
        return progress_text(done, agents, getattr(row, "failed_count", 0))

    def get_urls(self) -> list[Any]:
        """Those of versions and files, and of one agent."""
        wrapped = self.admin_site.admin_view
        return [
            path("<int:pk>/versions/add/", wrapped(self.add_version), name="package_add_version"),
            *self.version_urls(wrapped),
            self.policy_url(wrapped),
            path("install/<int:agent_id>/", wrapped(require_POST(self.install_again)), name="package_install_again"),
            *super().get_urls(),
        ]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """A form that knows who fills it in."""
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"actor": request.user})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """With the edition where something can be changed."""
        writes = obj is not None and self.has_change_permission(request, obj)
        return [*super().get_fields(request, obj), *(["based_on"] if writes else [])]

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Through the service. Raises `packages.errors.PackageInUse`."""
        package_edits.delete_package(obj, by=cast("User", request.user), at=clock.now())

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With versions, their files, and the agents."""
        package = self.visible_row(request, object_id)
        context: dict[str, Any] = {}
        if package is not None:
            rows = Installation.objects.filter(package=package).select_related("agent", "version")
            sees = request.user.has_perm("agents.view_agent")
            context = {
                "package": package,
                "selector_shown": self.selector_text(package),
                "versions": versions_of(package)[:_VERSIONS],
                "installations": rows.order_by("status", "agent__name", "pk")[:_AGENTS] if sees else [],
                "installation_count": rows.count(),
                "most_installations": _AGENTS,
                "active_rollout": Rollout.objects.active().of(RELEASE_SUBJECT, package.pk).first(),
                "may_change": self.has_change_permission(request, package),
                "policy": policy_words(BY_DEFAULT.policy_for(package)),
            }
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def add_version(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A form, then the page where its file is uploaded."""
        package = self.changeable(request, pk)
        form = VersionForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                row = package_edits.add_version(
                    package, **form.cleaned_data, by=cast("User", request.user), at=clock.now()
                )
            except DomainError as error:
                tell(form, error)
            else:
                return redirect(reverse("admin:package_upload", args=[package.pk, row.number]))
        context = {
            "title": _("Add a version of %(name)s") % {"name": package},
            "form": form,
            "verb": _("Add version"),
            "text": _("It reaches nobody before it has a file and is released."),
        }
        return self.ask(request, package, context)

    def install_again(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        """What the agent has not installed is offered once more."""
        if not request.user.has_perms(RETRY_RIGHTS):
            raise PermissionDenied
        agent = get_object_or_404(Agent, pk=min(agent_id, LARGEST_ID))
        try:
            count = installing_again.install_again(agent.pk, by=cast("User", request.user), at=clock.now())
        except DomainError as error:
            self.message_user(request, in_readers_language(error), messages.ERROR)
        else:
            self.message_user(request, _("Packages offered once more: %(count)d.") % {"count": count}, messages.SUCCESS)
        return redirect(reverse("admin:agents_agent_change", args=[agent.pk]))
