"""The list of agents, and the form of what operators say. What agents report is read-only; edits go through the services."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import OrderBy, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.base_admin import PortalChangeList
from accounts.models import User
from agents.admin import (
    bulk_actions,
    cells,
    error_groups,
    facets,
    further_columns,
    list_columns,
    live_rows,
    typed_count,
    view_bar,
)
from agents.admin.export_page import export_page
from agents.admin.label_facets import label_facets
from agents.admin.page import AgentPages
from agents.admin.searching import search_of
from agents.admin.selector_fields import selector_page
from agents.admin.shown_rows import prepared
from agents.admin.suggesting import suggest_page
from agents.admin.view_pages import ViewPages
from agents.models import Agent, AgentQuerySet
from agents.reports import Status
from agents.services import editing
from agents.services.label_previews import LabelPreview, preview_labels
from agents.templatetags.ago import time_element
from foundation.clock import clock
from foundation.languages import in_readers_language
from foundation.paging import WindowPaging

_DJANGO_SELECTION = "admin/js/actions.js"


class AgentForm(forms.ModelForm[Agent]):
    """What operators say: name, notes, labels as ``key=value`` lines."""

    label_lines = forms.CharField(
        label=_("Operator labels"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "labels", "spellcheck": "false"}),
        help_text=_("One key=value a line. They win over what the agent reports."),
    )

    class Meta:
        model = Agent
        fields = ["custom_name", "notes"]
        widgets = {
            "custom_name": forms.TextInput(attrs={"class": "vTextField"}),
            "notes": forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "label_lines" in self.fields:
            self.fields["label_lines"].initial = "\n".join(
                f"{key}={value}" for key, value in sorted(self.instance.operator_labels.items())
            )

    def is_valid(self) -> bool:
        """Not when the person came back from the confirmation to write on."""
        return super().is_valid() and "edit" not in self.data

    def clean_label_lines(self) -> dict[str, str]:
        """The labels; a line without ``=`` or a bad key is named in the error."""
        return bulk_actions.read_label_lines(self.cleaned_data["label_lines"])


class FleetList(PortalChangeList):
    """The list in an order that an index has, with the columns and groups that its address names; or some rows of it."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.rows_asked = live_rows.asked_rows(request)
        super().__init__(request, *args, **kwargs)

    def get_filters_params(self, params: Any = None) -> Any:
        """Without what says how agents are shown, and not which."""
        found = super().get_filters_params(params)
        of_rows = live_rows.PARAMETERS if self.rows_asked is not None else ()
        return {name: value for name, value in found.items() if name not in (*list_columns.PARAMETERS, *of_rows)}

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """Never an address without parameters, where a person's default view would open."""
        found = super().get_query_string(new_params, remove)
        return f"?{SEARCH_VAR}=" if found == "?" else found

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Agent]:
        """Django's own tie-break goes down whatever the columns do."""
        rows = cast("AgentQuerySet", super().get_queryset(request, exclude_parameters))
        asked = cast("list[str | OrderBy]", self.get_ordering(request, self.root_queryset))
        columns = [name for name in asked if not isinstance(name, str) or name not in {"pk", "-pk", "id"}]
        return rows.in_order(*columns) if columns else rows

    def get_results(self, request: HttpRequest) -> None:
        """With the reasons of those in error; and when nobody is found, why. Of some rows alone, nothing beside them."""
        if self.rows_asked is not None:
            rows = error_groups.with_reasons(self.root_queryset.filter(instance_uid__in=self.rows_asked))
            self.result_list = prepared(rows, alike=live_rows.ALIKE in request.GET)
            return
        super().get_results(request)
        self.search = search_of(request)
        self.request = request
        self.filter_specs[len(facets.PARAMETERS) :] = [
            *(label_facets(request) if self.result_count else ()),
            *self.filter_specs[len(facets.PARAMETERS) :],
        ]
        self.views = view_bar.bar_of(request, self)
        self.groups = view_bar.groups_of(request, self) if self.result_count else None
        self.errors: error_groups.Errors | None = None
        self.nothing: list[str] = []
        if not self.result_count:
            # To learn that nobody has a label all agents are read; not once more to show none of them.
            self.result_list = self.root_queryset.none()
            self.nothing = self._why_nothing()
            return
        rows = error_groups.with_reasons(self.result_list)
        self.result_list = prepared(rows, alike=live_rows.are_alike(rows))
        if facets.facet_query_of(request).chosen.get("status") == Status.ERROR.value:
            self.errors = error_groups.errors_among(self.queryset)

    def rows_address(self) -> str:
        """Where an open page reads rows again that have changed."""
        return live_rows.rows_address(self.request, self.result_list)

    def _why_nothing(self) -> list[str]:
        if self.search.text and not self.search.problem:
            if not self.has_active_filters or not Agent.objects.filter(self.search.condition).exists():
                return self.search.why_nothing()
            return [str(_("The search finds agents, but none that the chosen filters let through."))]
        return [str(_("No agent is let through by the chosen filters."))] if self.has_active_filters else []

    def error_links(self) -> list[dict[str, Any]]:
        """The groups of errors, each with the list of its agents."""
        return [
            {
                "text": group.text or error_groups.NO_REASON,
                "number": group.number,
                "url": self.get_query_string({error_groups.REASON: group.text}, remove=["p"]),
            }
            for group in (self.errors.groups if self.errors else ())
        ]


@admin.register(Agent)
class AgentAdmin(WindowPaging, AgentPages):
    """The fleet."""

    form = AgentForm
    list_display = ["title", "pill", "service", "os_type", "running", "seen", "chips"]
    list_per_page = 50
    show_full_result_count = False
    # `facets` counts by itself.
    show_facets = admin.ShowFacets.NEVER
    # Searching is by `get_search_results`; the box is only shown when this is not empty.
    search_fields = ["name"]
    search_help_text = _(
        "Name, host, service, instance UID; labels, such as env=prod; facts, such as status:error or seen>1h"
    )
    fieldsets = [(_("What operators say"), {"fields": ["custom_name", "notes", "label_lines"]})]
    change_form_template = "admin/agents/agent/change_form.html"

    @property
    def media(self) -> forms.Media:
        """Plain modules, served by us; without Django's script for choosing rows, which knows only those that were there first."""
        inherited = super().media
        js = [script for script in inherited._js if script != _DJANGO_SELECTION]  # type: ignore[attr-defined]  # noqa: SLF001  it has no other entry point
        own: list[Any] = [forms.Script(f"portal/{name}.js", type="module") for name in ("agent", "selection", "query")]
        return forms.Media(css=inherited._css, js=[*js, *own])  # type: ignore[attr-defined]  # noqa: SLF001

    @property
    def list_filter(self) -> tuple[type[admin.ListFilter], ...]:  # type: ignore[override]  # the base has a plain attribute
        """Those of other apps too."""
        return facets.all_facets()

    def get_list_filter(self, request: HttpRequest) -> Any:
        """None for some rows of a page, which are there already."""
        return () if live_rows.asked_rows(request) is not None else super().get_list_filter(request)

    def rows_page(self, request: HttpRequest) -> HttpResponse:
        """The rows that an open page has heard of."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return live_rows.rows_page(request, self)

    def get_list_display(self, request: HttpRequest) -> Any:
        """Those that are asked for; else with the columns of other apps, before the labels, which are as wide as there is room."""
        if asked := list_columns.asked_columns(request):
            return list_columns.drawn_columns(asked)
        return [*self.list_display[:-1], *further_columns.shown(), self.list_display[-1]]

    def get_urls(self) -> list[Any]:
        """With what belongs to the list, before what takes any address."""
        wrapped = self.admin_site.admin_view
        return [
            path("suggest/", wrapped(suggest_page), name="agent_suggest"),
            path("export/", wrapped(require_http_methods(["GET", "POST"])(export_page)), name="agent_export"),
            path("selector/", wrapped(require_POST(selector_page)), name="agents_selector"),
            path("rows/", wrapped(require_http_methods(["GET"])(self.rows_page)), name="agents_agent_rows"),
            *ViewPages(self.admin_site).urls(),
            *super().get_urls(),
        ]

    def get_ordering(self, request: HttpRequest) -> Any:
        """The one that the address names."""
        return list_columns.ordering_of(request) or super().get_ordering(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Asked for nothing, it opens with the person's default view, under an address that others can open too."""
        if request.method == "GET" and not request.GET and (view := view_bar.first_view(request)) is not None:
            return redirect(view_bar.view_address(view))
        return super().changelist_view(request, extra_context)

    def get_fieldsets(self, request: HttpRequest, obj: Agent | None = None) -> Any:
        """Viewers get no field that only a form has."""
        if self.has_change_permission(request, obj):
            return self.fieldsets
        return [(_("What operators say"), {"fields": ["custom_name", "notes"]})]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Agents register themselves."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        """With the hot row, which the list and the page both show."""
        return super().get_queryset(request).select_related("presence")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """In an order that an index has."""
        return FleetList

    def get_paginator(self, request: HttpRequest, queryset: Any, per_page: int, *args: Any, **kwargs: Any) -> Any:
        """With the number of agents where the filters' counts have it: nobody is counted, or looked for, twice."""
        found = facets.found_by(request)
        if found is not None and not (found.groups or found.partial):
            queryset = queryset.none()
        paginator = super().get_paginator(request, queryset, per_page, *args, **kwargs)
        if found is not None and (not found.partial or found.number >= paginator.window):
            paginator.count = min(found.number, paginator.window)
        return paginator

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Agent], search_term: str
    ) -> tuple[QuerySet[Agent], bool]:
        """What the box asks for; `searching` reads it."""
        return queryset.filter(search_of(request).condition), False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Only those with a confirmation page of their own."""
        return dict(bulk_actions.actions_for(request.user))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Labels that change what the agent should run are confirmed first."""
        if request.method == "POST" and object_id is not None and "confirmed" not in request.POST:
            agent = self.get_object(request, unquote(object_id))
            form = AgentForm(request.POST, instance=agent)
            if self.has_change_permission(request, agent) and form.is_valid():
                wanted = form.cleaned_data["label_lines"]
                found = preview_labels(Agent.objects.filter(pk=agent.pk), lambda _present: wanted)
                if found.changes_files:
                    return self._ask_labels(request, agent, found)
        return super().changeform_view(request, object_id, form_url, extra_context)

    def _ask_labels(self, request: HttpRequest, agent: Agent, found: LabelPreview) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Change the labels of %(agent)s?") % {"agent": agent},
            "agent": agent,
            "preview": found,
            "carried": typed_count.carried(request.POST, without=["edit"]),
            "page": reverse("admin:agents_agent_change", args=[agent.pk]),
        }
        return TemplateResponse(request, "admin/agents/agent/labels_confirm.html", context)

    def save_model(self, request: HttpRequest, obj: Agent, form: forms.ModelForm[Agent], change: bool) -> None:
        """Through the service, which audits and re-matches."""
        values = form.cleaned_data
        editing.edit_agent(
            obj.pk,
            by=cast("User", request.user),
            at=clock.now(),
            custom_name=values["custom_name"],
            notes=values["notes"],
            operator_labels=values["label_lines"],
        )

    def response_change(self, request: HttpRequest, obj: Agent) -> HttpResponse:
        """Back to the page, where the effect is seen."""
        self.message_user(request, _("Saved."), messages.SUCCESS)
        return redirect(reverse("admin:agents_agent_change", args=[obj.pk]))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """GET asks, saying what goes and what comes back; POST forgets."""
        agent = self.get_object(request, unquote(object_id))
        if not self.has_delete_permission(request, agent):
            raise PermissionDenied
        if request.method != "POST":
            text = _(
                "Its timeline, connections, commands, notes and operator labels are deleted with it, and do not come back."
            )
            hint = _(
                "An agent that still talks registers anew with its next message, as a new agent without a history; with "
                "the shared secret, if it had a credential of its own."
            )
            title = _("Forget %(agent)s?") % {"agent": agent.headline[0]}
            return self._ask(request, agent, title, text, _("Forget"), waits=False, hint=hint, danger=True)
        name = str(agent)
        self.delete_model(request, agent)
        self.message_user(request, _("%(agent)s is forgotten.") % {"agent": name}, messages.SUCCESS)
        return redirect(reverse("admin:agents_agent_changelist"))

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """The agent alone; its history, which goes with it, may be long."""
        return [str(agent) for agent in objs], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: Agent) -> None:
        """Forget one."""
        try:
            editing.forget_agent(obj.pk, by=cast("User", request.user))
        except editing.CannotBeForgotten as error:  # it was shut out while the question was on the screen
            raise PermissionDenied(in_readers_language(error)) from error

    def has_delete_permission(self, request: HttpRequest, obj: Agent | None = None) -> bool:
        """One that is shut out stays: forgetting it would let it in again."""
        return super().has_delete_permission(request, obj) and (obj is None or obj.credential_revoked_at is None)

    # --- Columns ---------------------------------------------------------------------------------------------------

    @admin.display(description=_("name"), ordering="name")
    def title(self, agent: Agent) -> SafeString:
        """What tells it apart, and the rest of its name, unless the next column has it."""
        first, second = agent.headline
        second = "" if second == agent.service_name else second
        named = format_html('{} <span class="quiet">{}</span>' if second else "{}", first, second)
        # What the page listens to (static/portal/live.js).
        return format_html('<span data-topic="agent:{}">{}</span>', agent.instance_uid, named)

    @admin.display(description=_("status"))
    def pill(self, agent: Agent) -> SafeString:
        """Text, sign and colour; of an error also why; and what other apps have to say."""
        return cells.pill(agent, getattr(agent, "reason", None), getattr(agent, "marks", ()))

    @admin.display(description=_("service"), ordering="version")
    def service(self, agent: Agent) -> SafeString:
        """What runs there, and its version, which is all that is said where every row has the same service."""
        name = agent.service_name or "–"
        if getattr(agent, "alike", False) and agent.version:
            return format_html('<span title="{}">{}</span>', name, agent.version)
        return format_html('{} <span class="quiet">{}</span>', name, agent.version)

    @admin.display(description=_("configuration"), ordering="configuration_name")
    def running(self, agent: Agent) -> SafeString:
        """Name, revision, and whether the agent has it."""
        return cells.running_cell(agent)

    @admin.display(description=_("last seen"), ordering="presence__last_seen_at")
    def seen(self, agent: Agent) -> SafeString:
        """How long ago; the time itself on hover."""
        return time_element(agent.presence.last_seen_at)

    @admin.display(description=_("labels"))
    def chips(self, agent: Agent) -> SafeString:
        """Operator labels first, then a few of the reported ones."""
        return cells.chips(agent)

    def action_checkbox(self, obj: Agent) -> SafeString:
        """Drawn without a form's widget."""
        return cells.checkbox(obj)
