"""One agent's page: cards, sections, timeline; and what can be asked of the agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.base_admin import PortalAdmin
from accounts.models import User
from agents import extensions
from agents.admin import revealing, whole
from agents.admin.trees import bounded, component_steps, health_steps
from agents.event_texts import Line, line_of, part_words, reason_words
from agents.models import Agent, AgentEvent
from agents.reports import AgentCapabilities, RemoteConfigStatuses, capability_names
from agents.services import commands, credentials
from agents.services.identity import assign_instance_uid
from agents.services.revealing import may_reveal
from agents.shown import tree_shown, value_shown
from foundation.clock import clock
from foundation.languages import in_readers_language
from foundation.refreshing import refreshes_itself

_TIMELINE = 50
_CONNECTIONS = 50
_COMMANDS = 10
# In the audit trail.
_WHAT = "effective configuration"
_LARGEST_ID = 2**63 - 1
_ANSWERS = {
    RemoteConfigStatuses.UNSET: _("nothing yet"),
    RemoteConfigStatuses.APPLIED: _("applied"),
    RemoteConfigStatuses.APPLYING: _("is applying it"),
    RemoteConfigStatuses.FAILED: _("failed"),
}


class MessageForm(forms.Form):
    """A custom message; which capabilities there are depends on the agent."""

    capability = forms.ChoiceField(label=_("Capability"))
    message_type = forms.CharField(
        label=_("Type"), max_length=255, widget=forms.TextInput(attrs={"class": "vTextField"})
    )
    text = forms.CharField(
        label=_("Data"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "labels", "spellcheck": "false"}),
        help_text=_("Sent as UTF-8 text."),
    )

    def __init__(self, data: Any = None, *, capabilities: list[str]) -> None:
        super().__init__(data, prefix="message")
        cast("forms.ChoiceField", self.fields["capability"]).choices = [(name, name) for name in capabilities]


class AgentPages(PortalAdmin):
    """The part of the agents' admin that is about one agent."""

    def get_urls(self) -> list[Any]:
        """More of the timeline, restart, custom message."""
        wrapped = self.admin_site.admin_view
        return [
            path("<int:pk>/timeline/", wrapped(self.timeline), name="agent_timeline"),
            path("<int:pk>/restart/", wrapped(self.restart), name="agent_restart"),
            path("<int:pk>/uid/", wrapped(self.assign_uid), name="agent_assign_uid"),
            path("<int:pk>/revoke/", wrapped(self.revoke), name="agent_revoke"),
            path("<int:pk>/enrolment/", wrapped(self.allow_enrolment), name="agent_enrolment"),
            path("<int:pk>/whole/", wrapped(require_safe(self.whole)), name="agent_whole"),
            path("<int:pk>/whole/file/", wrapped(require_safe(self.whole_file)), name="agent_whole_file"),
            path("<int:pk>/secrets/", wrapped(require_POST(self.reveal)), name="agent_secrets"),
            path("<int:pk>/secrets/file/", wrapped(require_POST(self.reveal_file)), name="agent_secrets_file"),
            path("<int:pk>/message/", wrapped(require_POST(self.send_message)), name="agent_message"),
            *super().get_urls(),
        ]

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Agent | None = None,
    ) -> HttpResponse:
        """With everything the agent reported."""
        assert obj is not None  # noqa: S101  agents are never added by hand
        if refreshes_itself(request):
            return TemplateResponse(request, "admin/agents/agent/live.html", self._live_parts(obj))
        context |= self._sections(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _live_parts(self, agent: Agent) -> dict[str, Any]:
        """What changes by itself: the cards and the newest lines of the timeline."""
        return {
            "agent": agent,
            "answer": _ANSWERS[_answer(agent)],
            "own_credentials": settings.OPAMP_AGENT_CREDENTIALS,
            "capabilities": capability_names(agent.capabilities),
            **_timeline_of(agent, None),
        }

    def _sections(self, request: HttpRequest, agent: Agent) -> dict[str, Any]:
        state = agent.reported
        changes = self.has_change_permission(request, agent)
        document = state.effective_config
        files = {} if document is None else whole.files_beginning(document.content)
        packages, more_packages = _packages_of(state.package_statuses)
        custom, more_custom = whole.beginning(str(name) for name in state.custom_capabilities)
        health, more_health = (None, False) if state.health is None else bounded(state.health, whole.MOST_NODES)
        health = None if health is None else tree_shown(health)
        components, more_components = (
            ({}, False)
            if state.components is None
            else bounded({"components": state.components.content}, whole.MOST_NODES)
        )
        identifying, more_identifying = whole.beginning(sorted(state.identifying_attributes.items()))
        others, more_others = whole.beginning(sorted(state.non_identifying_attributes.items()))
        raw, more_raw = whole.raw_beginning(agent, health, packages, files)
        return {
            **self._live_parts(agent),
            "title": agent.headline[0],
            "subtitle": None,
            "show_delete": False,
            "show_save_and_continue": False,
            "restartable": changes and bool(agent.capabilities & AgentCapabilities.ACCEPTS_RESTART_COMMAND),
            "may_change": changes,
            "may_revoke": changes and _has_credential(agent) and agent.credential_revoked_at is None,
            "may_enrol": changes and (agent.credential_revoked_at or agent.credential_issued_at) is not None,
            "identifying": sorted(value_shown(dict(identifying)).items()),
            "non_identifying": sorted(value_shown(dict(others)).items()),
            "more_attributes": more_identifying or more_others,
            "operator_labels": sorted(agent.operator_labels.items()),
            "health": None if health is None else health_steps("", health),
            "more_health": more_health,
            "files": sorted(files.items()),
            "unstored": [(part_words(part), size) for part, size in sorted(state.unstored.items())],
            "may_reveal": bool(files) and may_reveal(request.user),
            "download": reverse("admin:agent_secrets_file", args=[agent.pk]),
            "whole_file": reverse("admin:agent_whole_file", args=[agent.pk]),
            "components": component_steps(tree_shown(components).get("components") or {}),
            "more_components": more_components,
            "packages": sorted((packages.get("packages") or {}).items()),
            "more_packages": more_packages,
            "package_error": packages.get("error_message", ""),
            "custom_capabilities": custom,
            "more_custom": more_custom,
            "message_form": MessageForm(capabilities=custom) if custom and changes else None,
            "commands": agent.commands.order_by("-id")[:_COMMANDS],
            "connections": [(row, reason_words(row.reason)) for row in agent.connections.all()[:_CONNECTIONS]],
            "heading": extensions.heading_of(request, agent),
            **_panels_of(request, agent),
            "raw": raw,
            "more_raw": more_raw,
        }

    def timeline(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Older lines than ``before``: a page, or only its lines for a page that has the newer ones."""
        agent = self._agent(request, pk, "view")
        before = request.GET.get("before", "")
        older = min(int(before), _LARGEST_ID) if before.isdecimal() and len(before) < 20 else None
        found = {"agent": agent, **_timeline_of(agent, older)}
        if "fragment" in request.GET:
            return TemplateResponse(request, "admin/agents/agent/timeline.html", found)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Timeline of %(agent)s") % {"agent": agent.headline[0]},
            **found,
        }
        return TemplateResponse(request, "admin/agents/agent/timeline_page.html", context)

    def whole(self, request: HttpRequest, pk: int) -> HttpResponse:
        """All that is kept of the agent, secrets hidden."""
        agent = self._agent(request, pk, "view")
        return whole.whole_agent(self, request, agent, back=reverse("admin:agents_agent_change", args=[pk]))

    def whole_file(self, request: HttpRequest, pk: int) -> HttpResponse:
        """One file of what it runs, secrets hidden."""
        agent, back = self._agent(request, pk, "view"), reverse("admin:agents_agent_change", args=[pk])
        return whole.whole_file(self, request, agent, request.GET.get("key", ""), back=back)

    def reveal(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the agent runs with its secrets (S-116): for those with the right who know their password, and audited."""
        agent = self._agent(request, pk, "view")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("What %(agent)s runs, with secrets") % {"agent": agent.headline[0]},
            "list": reverse("admin:agents_agent_changelist"),
            "back": reverse("admin:agents_agent_change", args=[pk]) + "#effective",
            "back_title": _("Effective configuration"),
            "download": reverse("admin:agent_secrets_file", args=[pk]),
        }
        return revealing.secrets_page(self, request, agent, _reported_files(agent), context, what=_WHAT)

    def reveal_file(self, request: HttpRequest, pk: int) -> HttpResponse:
        """One file of it as a download, whatever its size."""
        agent = self._agent(request, pk, "view")
        files, back = _reported_files(agent), reverse("admin:agents_agent_change", args=[pk]) + "#effective"
        key = request.POST.get("key", "")
        return revealing.secrets_file(self, request, agent, files, key, what=_WHAT, back=back)

    def restart(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET asks, POST restarts."""
        agent = self._agent(request, pk, "change")
        if request.method != "POST":
            text = _("The agent stops and starts again; what it collects meanwhile may be lost.")
            return self._ask(request, agent, _("Restart %(agent)s?") % {"agent": agent.headline[0]}, text, _("Restart"))
        try:
            commands.request_restart(agent, by=cast("User", request.user), at=clock.now())
        except commands.CannotBeSent as error:
            self.message_user(request, in_readers_language(error), messages.ERROR)
        else:
            self.message_user(
                request, _("%(agent)s is asked to restart.") % {"agent": agent.headline[0]}, messages.SUCCESS
            )
        return redirect(reverse("admin:agents_agent_change", args=[pk]))

    def assign_uid(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET asks, POST assigns."""
        agent = self._agent(request, pk, "change")
        if request.method != "POST":
            text = _("The agent is told a new UID and goes by it from then on; its history moves along.")
            return self._ask(
                request,
                agent,
                _("Assign %(agent)s a new UID?") % {"agent": agent.headline[0]},
                text,
                _("Assign a new UID"),
            )
        assign_instance_uid(agent, by=cast("User", request.user), at=clock.now())
        self.message_user(request, _("The new UID is on its way."), messages.SUCCESS)
        return redirect(reverse("admin:agents_agent_change", args=[pk]))

    def revoke(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET asks, POST shuts the agent out."""
        agent = self._agent(request, pk, "change")
        if request.method != "POST":
            text = _(
                "The agent is disconnected at once and may not come back, neither with its credential nor with the shared "
                "secret, until its enrolment is allowed."
            )
            title = _("Revoke the credential of %(agent)s?") % {"agent": agent.headline[0]}
            return self._ask(request, agent, title, text, _("Revoke"), waits=False)
        credentials.revoke_credentials([pk], by=cast("User", request.user), at=clock.now())
        self.message_user(request, _("%(agent)s is shut out.") % {"agent": agent.headline[0]}, messages.SUCCESS)
        return redirect(reverse("admin:agents_agent_change", args=[pk]))

    def allow_enrolment(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET asks, POST allows."""
        agent = self._agent(request, pk, "change")
        if request.method != "POST":
            text = _(
                "Whoever has the shared secret may come in as this agent once more, until its new credential is used. A "
                "revoked credential stays refused."
            )
            title = _("Allow %(agent)s to enrol?") % {"agent": agent}
            return self._ask(request, agent, title, text, _("Allow enrolment"), waits=False)
        credentials.allow_enrolment([pk], by=cast("User", request.user), at=clock.now())
        self.message_user(request, _("%(agent)s may enrol.") % {"agent": agent}, messages.SUCCESS)
        return redirect(reverse("admin:agents_agent_change", args=[pk]))

    def _ask(
        self,
        request: HttpRequest,
        agent: Agent,
        title: str,
        text: Any,
        verb: Any,
        *,
        waits: bool = True,
        hint: Any = "",
        danger: bool = False,
    ) -> HttpResponse:
        """The page that asks; ``waits``: an agent that is offline is reached when it connects."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "agent": agent,
            "text": text,
            "verb": verb,
            "waits": waits,
            "hint": hint,
            "danger": danger,
            "page": reverse("admin:agents_agent_change", args=[agent.pk]),
        }
        return TemplateResponse(request, "admin/agents/agent/ask.html", context)

    def send_message(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Queue a custom message; its way is seen in the timeline."""
        agent = self._agent(request, pk, "change")
        form = MessageForm(request.POST, capabilities=[str(name) for name in agent.reported.custom_capabilities])
        if form.is_valid():
            values = form.cleaned_data
            try:
                commands.send_custom_message(
                    agent,
                    capability=values["capability"],
                    message_type=values["message_type"],
                    data=values["text"].replace("\r\n", "\n").encode(),
                    by=cast("User", request.user),
                    at=clock.now(),
                )
            except commands.CannotBeSent as error:
                self.message_user(request, in_readers_language(error), messages.ERROR)
            else:
                self.message_user(request, _("The message is on its way."), messages.SUCCESS)
        else:
            for name, errors in form.errors.items():
                label = form.fields[name].label if name in form.fields else ""
                self.message_user(request, f"{label}: {' '.join(map(str, errors))}", messages.ERROR)
        return redirect(reverse("admin:agents_agent_change", args=[pk]) + "#custom")

    def _agent(self, request: HttpRequest, pk: int, need: str) -> Agent:
        agent = get_object_or_404(Agent.objects.select_related("presence", "reported"), pk=min(pk, _LARGEST_ID))
        allowed = self.has_view_permission if need == "view" else self.has_change_permission
        if not allowed(request, agent):
            raise PermissionDenied
        return agent


def _panels_of(request: HttpRequest, agent: Agent) -> dict[str, Any]:
    """The sections of other apps: those that are tabs, and those that stand within one, by its name."""
    tabs: list[dict[str, Any]] = []
    within: dict[str, list[dict[str, Any]]] = {}
    for panel in extensions.panels():
        html = SafeString(render_to_string(panel.template, panel.context(request, agent), request))
        into = within.setdefault(panel.tab, []) if panel.tab else tabs
        into.append({"name": panel.name, "title": panel.title, "html": html})
    return {"panels": tabs, "within": within}


def _answer(agent: Agent) -> RemoteConfigStatuses:
    """What it answered to the configuration it should run; what it says of another one is no answer."""
    if agent.config_failed:
        return RemoteConfigStatuses.FAILED
    if agent.configuration_hash and agent.remote_config_hash != agent.configuration_hash:
        return RemoteConfigStatuses.UNSET
    return RemoteConfigStatuses(agent.remote_config_status)


def _reported_files(agent: Agent) -> Mapping[str, Any]:
    document = agent.reported.effective_config
    return {} if document is None else document.content


def _packages_of(statuses: Any) -> tuple[dict[str, Any], bool]:
    """What a page shows of what the agent says of packages, and whether there is more."""
    if not isinstance(statuses, dict):
        return {}, False
    kept, more = whole.beginning(sorted((statuses.get("packages") or {}).items()), whole.MOST_ROWS // 2)
    return tree_shown({**statuses, "packages": dict(kept)}), more


def _has_credential(agent: Agent) -> bool:
    """Where agents get credentials, and of one that has its own also when that was switched off since."""
    return bool(settings.OPAMP_AGENT_CREDENTIALS or agent.credential_issued_at)


def _timeline_of(agent: Agent, before: int | None) -> dict[str, Any]:
    """The newest lines, or those older than the event ``before``; ``older`` is where the next ones begin."""
    events = AgentEvent.objects.filter(agent=agent)
    if before is not None:
        events = events.filter(pk__lt=before)
    found = list(events[: _TIMELINE + 1])
    lines: list[Line] = [line_of(event) for event in found[:_TIMELINE]]
    return {"lines": lines, "before": before, "older": lines[-1].event.pk if len(found) > _TIMELINE else None}
