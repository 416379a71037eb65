"""Connection settings in the admin: the list, the form with its confirmation, versions, agents, moving."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.base_admin import PortalAdmin
from accounts.models import User
from agents.admin import typed_count
from agents.models import Agent
from connections.admin.connection_pages import ConnectionPages, agents_shown
from connections.admin.forms import SettingsForm
from connections.connections_shown import RETRY_RIGHTS, connection_versions, with_counts
from connections.models import RELEASE_SUBJECT, ConnectionSettings
from connections.services import settings_edits, telling_again
from connections.services.connection_releases import BY_DEFAULT, ConnectionPlan
from connections.services.moving import counted_moves
from connections.services.settings_edits import Saved, newest_version
from connections.templatetags.member_words import members_in_words
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from rollouts.admin.descriptions import stage_words
from rollouts.admin.forms import ReleaseForm
from rollouts.models import Rollout
from rollouts.progress import planned_stages
from rollouts.services.rolling_out import salt_of

_VERSIONS = 50
_LARGEST_ID = 2**63 - 1
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
class ConnectionSettingsAdmin(ConnectionPages, PortalAdmin):
    """Where agents should be connected."""

    form = SettingsForm
    actions = None
    change_form_template = "admin/connections/connectionsettings/change_form.html"
    list_display = ["name", "selector_text", "priority", "enabled", "leads_to", "agents", "updated_at"]
    list_filter = ["enabled"]
    search_fields = ["name", "description"]
    list_per_page = 100
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

    @admin.display(description=_("selector"))
    def selector_text(self, row: ConnectionSettings) -> SafeString:
        """As a label query."""
        selector = row.parsed_selector()
        return format_html("<code>{}</code>" if selector.requirements else "{}", in_readers_language(selector.words))

    @admin.display(description=_("leads to"))
    def leads_to(self, row: ConnectionSettings) -> str:
        """The endpoint of its newest version, else the names of what it tells."""
        shown = getattr(row, "newest_shown", None) or {}
        endpoint: str = shown.get("opamp", {}).get("endpoint", "")
        return endpoint or members_in_words(shown)

    @admin.display(description=_("agents"))
    def agents(self, row: ConnectionSettings) -> SafeString:
        """How many should have them, and how far they are."""
        failed = getattr(row, "failed_count", 0)
        said = format_html("{} / {}", getattr(row, "applied_count", 0), getattr(row, "agent_count", 0))
        return format_html('{} <span class="bad">✖ {}</span>', said, failed) if failed else said

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

    def _plan(self, request: HttpRequest, obj: ConnectionSettings | None) -> ConnectionPlan:
        if "confirmed" not in request.POST:
            return BY_DEFAULT
        chosen = self._release_form(request, obj)
        if not chosen.is_usable:
            return BY_DEFAULT
        replace = bool(chosen.cleaned_data.get("replace")) if chosen.is_bound else False
        return ConnectionPlan(chosen.policy, replace=replace)

    def _release_form(self, request: HttpRequest, obj: ConnectionSettings | None) -> ReleaseForm:
        default = BY_DEFAULT.policy_for(obj or ConnectionSettings())
        return ReleaseForm(request.POST if request.method == "POST" else None, default=default, may_remember=False)

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
            chosen = self._release_form(request, obj)
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
        policy = chosen.policy if chosen.is_usable else None
        name = obj.name if obj else form.cleaned_data["name"]
        planned = planned_stages(policy, salt_of(RELEASE_SUBJECT, name), form.reach.members) if policy else ()
        active = Rollout.objects.active().of(RELEASE_SUBJECT, obj.pk).first() if obj else None
        left_out = {"confirmed", "stage", *chosen.sent_names()}
        context = {
            "title": _("Save and release %(name)s?") % {"name": name},
            "verb": _("Save and release"),
            "text": _("Agents that match are told with their next message; what they have already is not told again."),
            "reach": form.reach,
            "warnings": [in_readers_language(message) for message in form.warnings],
            "carried": typed_count.carried(request.POST, without=left_out),
            "release": chosen,
            "active_rollout": active,
            "planned": [{"planned": stage, "words": stage_words(stage.stage)} for stage in planned],
            "count": form.reach.agents,
            "counted": True,
            "must_type": form.reach.agents > typed_count.TYPE_ABOVE,
            "problem": problem,
        }
        return self.ask(request, obj, context)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        """It was saved while it was judged."""
        return form.saved.settings

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """See `save_form`."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing hangs on it here."""

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """One that is used stays."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except DomainError as error:
            self.message_user(request, in_readers_language(error), messages.ERROR)
            return redirect(reverse("admin:connections_connectionsettings_change", args=[object_id]))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Versions go with it, whoever may see their rows."""
        found, counts, _needed, protected = super().get_deleted_objects(objs, request)
        return found, counts, set(), protected

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Through the service. Raises `connections.errors.SettingsInUse`."""
        settings_edits.delete_settings(obj, by=cast("User", request.user), at=clock.now())

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With versions, agents, and how far a move is."""
        row = ConnectionSettings.objects.filter(pk=object_id).first() if _is_key(object_id) else None
        context: dict[str, Any] = {}
        if row is not None and self.has_view_or_change_permission(request, row):
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
        agent = get_object_or_404(Agent, pk=min(agent_id, _LARGEST_ID))
        try:
            telling_again.tell_again(agent.pk, by=cast("User", request.user), at=clock.now())
        except DomainError as error:
            self.message_user(request, in_readers_language(error), messages.ERROR)
        else:
            self.message_user(request, _("It is told once more with its next message."), messages.SUCCESS)
        return redirect(reverse("admin:agents_agent_change", args=[agent.pk]))

    def changeable(self, request: HttpRequest, pk: int) -> ConnectionSettings:
        """The settings, for who may change them. Raises `PermissionDenied`, `Http404`."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        row = ConnectionSettings.objects.filter(pk=min(pk, _LARGEST_ID)).first()
        if row is None:
            raise Http404
        return row

    def ask(self, request: HttpRequest, row: ConnectionSettings | None, context: dict[str, Any]) -> TemplateResponse:
        """A page with one form."""
        page = reverse("admin:connections_connectionsettings_changelist")
        if row is not None:
            page = reverse("admin:connections_connectionsettings_change", args=[row.pk])
        whole = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "settings_row": row,
            "page": page,
            **context,
        }
        return TemplateResponse(request, "admin/connections/connectionsettings/ask.html", whole)

    def tell_saved(self, request: HttpRequest, saved: Saved) -> HttpResponse:
        """Where to go after a release."""
        if saved.rollout is not None and request.user.has_perm("rollouts.view_rollout"):
            return redirect(reverse("admin:rollouts_rollout_change", args=[saved.rollout.pk]))
        said = _("Version %(number)s of %(name)s is released.")
        self.message_user(
            request, said % {"number": saved.version.number, "name": saved.settings.name}, messages.SUCCESS
        )
        return redirect(reverse("admin:connections_connectionsettings_change", args=[saved.settings.pk]))


def _is_key(text: str) -> bool:
    """Whether a row may have it."""
    return text.isascii() and text.isdecimal() and len(text) <= 18
