"""Connection settings in the admin: the list, the form with its confirmation, versions, agents, moving."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.models import User
from agents.admin import typed_count
from agents.models import Agent
from connections.admin.connection_pages import ConnectionPages, agents_shown
from connections.admin.forms import SettingsForm
from connections.connections_shown import RETRY_RIGHTS, connection_versions, with_counts
from connections.models import RELEASE_SUBJECT, ConnectionSettings
from connections.services import settings_edits, telling_again
from connections.services.moving import counted_moves
from connections.services.settings_edits import Saved, newest_version
from connections.templatetags.member_words import members_in_words
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from rollouts.admin.forms import ReleaseForm
from rollouts.admin.released_pages import (
    LARGEST_ID,
    ReleasedAdmin,
    chosen_plan,
    progress_text,
    release_form,
    version_release_context,
)
from rollouts.models import Rollout
from rollouts.services.version_publishing import BY_DEFAULT, VersionPlan

_VERSIONS = 50
_TLS = ["verify", "ca_pem", "proxy"]


def _fields(section: str, *more: str) -> list[Any]:
    return [f"{section}_{name}" for name in ("endpoint", "headers", *more, *_TLS)]


def _opened(fieldset: Any, told: Any) -> Any:
    """The section without its fold where it has something to tell."""
    title, options = fieldset
    first = str(options["fields"][0])
    is_told = first in told or first.removesuffix("_endpoint") in told
    return (title, {name: value for name, value in options.items() if name != "classes"}) if is_told else fieldset


@admin.register(ConnectionSettings)
class ConnectionSettingsAdmin(ConnectionPages, ReleasedAdmin):
    """Where agents should be connected."""

    form = SettingsForm
    ask_template = "admin/connections/connectionsettings/ask.html"
    row_name = "settings_row"
    change_form_template = "admin/connections/connectionsettings/change_form.html"
    list_display = ["name", "selector_text", "priority", "enabled", "leads_to", "agents", "updated_at"]
    list_filter = ["enabled"]
    search_fields = ["name", "description"]
    fieldsets = [
        (None, {"fields": ["name", "description", "selector", "match_all", "priority", "enabled", "note"]}),
        (_("This server (OpAMP)"), {"fields": _fields("opamp", "heartbeat_seconds", "keep_credentials")}),
        (_("Own metrics"), {"fields": _fields("own_metrics"), "classes": ["collapse"]}),
        (_("Own traces"), {"fields": _fields("own_traces"), "classes": ["collapse"]}),
        (_("Own logs"), {"fields": _fields("own_logs"), "classes": ["collapse"]}),
        (_("Other connections"), {"fields": ["other_connections"], "classes": ["collapse"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Counted."""
        return with_counts(super().get_queryset(request))

    @admin.display(description=_("leads to"))
    def leads_to(self, row: ConnectionSettings) -> str:
        """The endpoint of its newest version, else the names of what it tells."""
        shown = getattr(row, "newest_shown", None) or {}
        endpoint: str = shown.get("opamp", {}).get("endpoint", "")
        return endpoint or members_in_words(shown)

    @admin.display(description=_("agents"))
    def agents(self, row: ConnectionSettings) -> SafeString:
        """How many should have them, and how far they are."""
        done, agents = getattr(row, "applied_count", 0), getattr(row, "agent_count", 0)
        return progress_text(done, agents, getattr(row, "failed_count", 0))

    def get_urls(self) -> list[Any]:
        """Those of versions, of moving, and of one agent."""
        wrapped = self.admin_site.admin_view
        again = wrapped(require_POST(self.offer_again))
        return [
            *self.version_urls(wrapped),
            path("again/<int:agent_id>/", again, name="connection_offer_again"),
            *super().get_urls(),
        ]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """A form that knows who fills it in, whether it is confirmed, and how it goes out then."""
        form = super().get_form(request, obj, change, **kwargs)
        how = {"actor": request.user, "saves": "confirmed" in request.POST, "plan": self._plan(request, obj)}
        return type(form.__name__, (form,), how)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """With the edition where something can be changed; who may only look sees no empty fields of a form."""
        told = newest_version(obj).shown if obj is not None else {}
        fieldsets = [_opened(fieldset, told) for fieldset in super().get_fieldsets(request, obj)]
        if obj is not None and not self.has_change_permission(request, obj):
            title, options = fieldsets[0]
            return [(title, {**options, "fields": [name for name in options["fields"] if name != "note"]})]
        if obj is not None:
            title, options = fieldsets[0]
            fieldsets[0] = (title, {**options, "fields": [*options["fields"], "based_on"]})
        return fieldsets

    def _plan(self, request: HttpRequest, obj: ConnectionSettings | None) -> VersionPlan:
        if "confirmed" not in request.POST:
            return BY_DEFAULT
        chosen = release_form(request, obj or ConnectionSettings())
        return chosen_plan(chosen) if chosen.is_usable else BY_DEFAULT

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """What was typed is shown with whom it reaches, and saved once that is confirmed."""
        if request.method != "POST":
            return super().changeform_view(request, object_id, form_url, extra_context)
        obj = self.get_object(request, object_id) if object_id else None
        allowed = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        if not allowed:
            raise PermissionDenied
        # Judged with nothing saved, also where it is confirmed: the fleet may have grown.
        judging = type("Judging", (self.get_form(request, obj, change=obj is not None),), {"saves": False})
        form = judging(request.POST, instance=obj)
        if form.is_valid():
            chosen = release_form(request, obj or ConnectionSettings())
            problem = self._problem(request, form, chosen)
            if "confirmed" not in request.POST or problem is not None or request.POST.get("stage") == "stages":
                return self._confirm(request, obj, form, chosen, problem)
        return super().changeform_view(request, object_id, form_url, extra_context)

    def _problem(self, request: HttpRequest, form: Any, chosen: ReleaseForm) -> str | None:
        if "confirmed" not in request.POST or request.POST.get("stage") == "stages":
            return None
        if not chosen.is_usable:
            return str(_("Look at how it goes out once more."))
        return typed_count.problem_of(request.POST, form.reach.agents)

    def _confirm(
        self,
        request: HttpRequest,
        obj: ConnectionSettings | None,
        form: SettingsForm,
        chosen: ReleaseForm,
        problem: str | None,
    ) -> TemplateResponse:
        name = obj.name if obj else form.cleaned_data["name"]
        left_out = {"confirmed", "stage", *chosen.sent_names()}
        context = {
            "title": _("Save and release %(name)s?") % {"name": name},
            "verb": _("Save and release"),
            "text": _("Agents that match are told with their next message; what they have already is not told again."),
            "reach": form.reach,
            "warnings": [in_readers_language(message) for message in form.warnings],
            "carried": typed_count.carried(request.POST, without=left_out),
            **version_release_context(RELEASE_SUBJECT, obj, name, chosen, form.reach.members, problem),
        }
        return self.ask(request, obj, context)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        """It was saved while it was judged."""
        return form.saved.settings

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Through the service. Raises `connections.errors.SettingsInUse`."""
        settings_edits.delete_settings(obj, by=cast("User", request.user), at=clock.now())

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With versions, agents, and how far a move is."""
        row = self.visible_row(request, object_id)
        context: dict[str, Any] = {}
        if row is not None:
            sees = request.user.has_perm("agents.view_agent")
            newest = newest_version(row)
            context = {
                "settings_row": row,
                "selector_shown": self.selector_text(row),
                "newest": newest,
                "versions": connection_versions(row)[:_VERSIONS],
                "active_rollout": Rollout.objects.active().of(RELEASE_SUBJECT, row.pk).first(),
                "may_change": self.has_change_permission(request, row),
                "moves": counted_moves(row) if newest.origin and sees else None,
                **(agents_shown(row, request) if sees else {}),
            }
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def offer_again(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        """The agent is told all of its settings once more."""
        if not request.user.has_perms(RETRY_RIGHTS):
            raise PermissionDenied
        agent = get_object_or_404(Agent, pk=min(agent_id, LARGEST_ID))
        try:
            telling_again.tell_again(agent.pk, by=cast("User", request.user), at=clock.now())
        except DomainError as error:
            self.message_user(request, in_readers_language(error), messages.ERROR)
        else:
            self.message_user(request, _("It is told once more with its next message."), messages.SUCCESS)
        return redirect(reverse("admin:agents_agent_change", args=[agent.pk]))

    def tell_saved(self, request: HttpRequest, saved: Saved) -> HttpResponse:
        """Where to go after a release."""
        if saved.rollout is not None and request.user.has_perm("rollouts.view_rollout"):
            return redirect(reverse("admin:rollouts_rollout_change", args=[saved.rollout.pk]))
        said = _("Version %(number)s of %(name)s is released.")
        self.message_user(
            request, said % {"number": saved.version.number, "name": saved.settings.name}, messages.SUCCESS
        )
        return redirect(reverse("admin:connections_connectionsettings_change", args=[saved.settings.pk]))
