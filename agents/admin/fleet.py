"""Agents in the admin: what they report is read-only, what operators say goes through the services."""

from __future__ import annotations

import json
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from agents import extensions
from agents.labels import InvalidLabels, validate_labels
from agents.models import Agent, status_condition
from agents.reports import Status, capability_names
from agents.services import commands, editing

_CHIPS = 4
# Labels that other columns show already.
_COLUMNS = ("service.", "host.", "os.")
_TIMELINE = 50


class CappedPaginator(Paginator[Agent]):
    """Counts at most 10,000 rows: the exact number of a large fleet is not worth a scan at every page."""

    MOST = 10_000

    @cached_property
    def count(self) -> int:
        """The number of rows, or the cap."""
        rows = cast("QuerySet[Agent]", self.object_list)
        return rows.order_by()[: self.MOST].count()


class StatusFilter(admin.SimpleListFilter):
    """By the derived status."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """All statuses."""
        return [
            (Status.CONNECTED.value, _("connected")),
            (Status.CONFIGURING.value, _("configuring")),
            (Status.ERROR.value, _("error")),
            (Status.DISCONNECTED.value, _("disconnected")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Agent]) -> QuerySet[Agent]:
        """The agents of the chosen status; a strange value chooses nothing."""
        value = self.value()
        return queryset.filter(status_condition(Status(value))) if value in set(Status) else queryset


class AgentForm(forms.ModelForm[Agent]):
    """What operators say: name, notes, labels as ``key=value`` lines."""

    label_lines = forms.CharField(
        label=_("Operator labels"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "labels"}),
        help_text=_("One key=value a line. They win over what the agent reports."),
    )

    class Meta:
        model = Agent
        fields = ["custom_name", "notes"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "label_lines" in self.fields:
            self.fields["label_lines"].initial = "\n".join(
                f"{key}={value}" for key, value in sorted(self.instance.operator_labels.items())
            )

    def clean_label_lines(self) -> dict[str, str]:
        """The labels; a line without ``=`` or a bad key is named in the error."""
        labels: dict[object, object] = {}
        for line in self.cleaned_data["label_lines"].splitlines():
            if not line.strip():
                continue
            key, sign, value = line.partition("=")
            if not sign:
                raise forms.ValidationError(_("“%(line)s” has no = in it."), params={"line": line})
            labels[key.strip()] = value.strip()
        try:
            return validate_labels(labels)
        except InvalidLabels as error:
            raise forms.ValidationError([f"{key}: {text}" for key, text in error.errors]) from error


@admin.register(Agent)
class AgentAdmin(admin.ModelAdmin[Agent]):
    """The fleet."""

    form = AgentForm
    list_display = ["name", "pill", "service_name", "version", "os_type", "running", "seen", "chips"]
    list_filter = [StatusFilter, "healthy", "in_sync", "os_type", "version", "transport"]
    list_select_related = ["presence"]
    list_per_page = 50
    paginator = CappedPaginator
    show_full_result_count = False
    search_fields = ["name", "hostname", "service_name", "instance_uid"]
    search_help_text = _("Name, host, service or instance UID")
    actions = ["restart", "forget"]
    readonly_fields = ["overview", "panels", "reported_state", "timeline"]
    fieldsets = [
        (None, {"fields": ["overview"]}),
        (_("What operators say"), {"fields": ["custom_name", "notes", "label_lines"]}),
        (_("Desired configuration and why"), {"fields": ["panels"]}),
        (_("Reported"), {"fields": ["reported_state"], "classes": ["collapse"]}),
        (_("Timeline"), {"fields": ["timeline"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Agent | None = None) -> Any:
        """Viewers get no field that only a form has."""
        if self.has_change_permission(request, obj):
            return self.fieldsets
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name != "label_lines"]})
            for title, options in self.fieldsets
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Agents register themselves."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        """What the person may see."""
        return super().get_queryset(request).select_related("presence")

    def save_model(self, request: HttpRequest, obj: Agent, form: forms.ModelForm[Agent], change: bool) -> None:
        """Through the service, which audits and re-matches."""
        values = form.cleaned_data
        editing.edit_agent(
            obj.pk,
            by=cast("User", request.user),
            at=timezone.now(),
            custom_name=values["custom_name"],
            notes=values["notes"],
            operator_labels=values["label_lines"],
        )

    def delete_model(self, request: HttpRequest, obj: Agent) -> None:
        """Forget one."""
        editing.forget_agents([obj.pk], by=cast("User", request.user))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Forgetting replaces the stock deletion."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    @admin.action(description=_("Restart selected agents"), permissions=["change"])
    def restart(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        """Ask the capable ones; say which were skipped."""
        asked, skipped = 0, []
        for agent in queryset:
            try:
                commands.request_restart(agent, by=cast("User", request.user), at=timezone.now())
                asked += 1
            except commands.CannotBeSent:
                skipped.append(str(agent))
        self.message_user(request, _("%(count)d agents are asked to restart.") % {"count": asked})
        if skipped:
            text = _("Skipped, because they do not accept the restart command: %(names)s")
            self.message_user(request, text % {"names": ", ".join(skipped[:20])}, messages.WARNING)

    @admin.action(description=_("Forget selected agents"), permissions=["delete"])
    def forget(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        """Delete them with their history; those that still talk come back by themselves."""
        count = editing.forget_agents(list(queryset.values_list("pk", flat=True)), by=cast("User", request.user))
        self.message_user(request, _("%(count)d agents forgotten.") % {"count": count})

    # --- Columns ---------------------------------------------------------------------------------------------------

    @admin.display(description=_("status"))
    def pill(self, agent: Agent) -> SafeString:
        """Text, sign and colour."""
        status = agent.status
        word = render_to_string("admin/status_word.html", {"status": status.value})
        return format_html('<span class="pill pill-{}">{}</span>', status.value, word.strip())

    @admin.display(description=_("configuration"), ordering="configuration_name")
    def running(self, agent: Agent) -> str:
        """Name, revision, and whether the agent has it."""
        if not agent.configuration_name:
            return "–"
        mark = "✖" if agent.config_failed else {True: "✔", False: "◔", None: "?"}[agent.in_sync]
        return f"{mark} {agent.configuration_name} r{agent.configuration_revision}"

    @admin.display(description=_("last seen"), ordering="presence__last_seen_at")
    def seen(self, agent: Agent) -> SafeString:
        """How long ago; the time itself on hover."""
        at = agent.presence.last_seen_at
        return format_html('<span title="{}">{}</span>', at.isoformat(timespec="seconds"), timesince(at))

    @admin.display(description=_("labels"))
    def chips(self, agent: Agent) -> SafeString:
        """Operator labels first, then a few of the reported ones."""
        own = agent.operator_labels
        others = {key: value for key, value in agent.labels.items() if key not in own and not key.startswith(_COLUMNS)}
        pairs = [*own.items(), *others.items()]
        chips = format_html_join("", '<span class="chip">{}={}</span>', pairs[:_CHIPS])
        rest = len(pairs) - _CHIPS
        return format_html("{}{}", chips, f"+{rest}" if rest > 0 else "")

    # --- The agent's page ------------------------------------------------------------------------------------------

    @admin.display(description=_("Now"))
    def overview(self, agent: Agent) -> SafeString:
        """Connection, health, configuration."""
        context = {"agent": agent, "pill": self.pill(agent), "running": self.running(agent), "seen": self.seen(agent)}
        context["capabilities"] = capability_names(agent.capabilities)
        return render_to_string("admin/agents/agent/overview.html", context)

    @admin.display(description="")
    def panels(self, agent: Agent) -> SafeString:
        """What other apps show about the agent."""
        parts = [
            (render_to_string(panel.template, panel.context(cast("HttpRequest", None), agent)),)
            for panel in extensions.panels()
        ]
        return format_html_join("", "{}", parts)

    @admin.display(description="")
    def reported_state(self, agent: Agent) -> SafeString:
        """Attributes, health tree, effective configuration, packages: as reported."""
        state = agent.reported
        effective = state.effective_config
        context = {
            "files": [] if effective is None else list(effective.content.items()),
            "health": _pretty(state.health),
            "attributes": _pretty({**state.identifying_attributes, **state.non_identifying_attributes}),
            "packages": _pretty(state.package_statuses),
            "components": _pretty(None if state.components is None else state.components.content),
            "connections": agent.connections.all()[:20],
        }
        return render_to_string("admin/agents/agent/reported.html", context)

    @admin.display(description="")
    def timeline(self, agent: Agent) -> SafeString:
        """Newest first."""
        return render_to_string("admin/agents/agent/timeline.html", {"events": agent.events.all()[:_TIMELINE]})


def _pretty(value: Any) -> str:
    return "" if value in (None, {}) else json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
