"""Pages that make a configuration of what agents run: of one agent, and of the groups that run the same."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from agents.admin.selector_fields import SelectorFormField
from agents.extensions import PagePart
from agents.label_conditions import selector_condition
from agents.models import Agent
from agents.selectors import parse_selector
from agents.shown import MOST_SHOWN, files_shown, pair_shown
from configurations.admin import confirmation_page
from configurations.models import files_to_json
from configurations.services import adopting, effective_groups
from configurations.services.adopting import Proposal
from configurations.services.drafts import InvalidConfiguration
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language

ADOPT_RIGHTS = ("agents.view_agent", "configurations.view_configuration", "configurations.add_configuration")
SEE_RIGHTS = ("agents.view_agent", "configurations.view_configuration")
_PER_PAGE = 20
_LARGEST_ID = 2**63 - 1


class AdoptForm(forms.Form):
    """As what to adopt it; ``document`` is what the page has shown."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false", "autocomplete": "off"}),
    )
    selector = SelectorFormField()
    note = forms.CharField(
        label=gettext_lazy("Note for the revision"),
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    document = forms.CharField(max_length=64, widget=forms.HiddenInput)


def adopt_agent(request: HttpRequest, agent_id: int) -> HttpResponse:
    """GET shows what would be made of what the agent runs, POST keeps it as a draft."""
    _require(request, ADOPT_RIGHTS)
    agent = get_object_or_404(Agent, pk=min(agent_id, _LARGEST_ID))
    back = reverse("admin:agents_agent_change", args=[agent.pk])
    try:
        found = adopting.propose(agent, by=cast("User", request.user))
    except DomainError as error:
        messages.error(request, in_readers_language(error))
        return redirect(back)
    title = _("Adopt what %(agent)s runs?") % {"agent": agent.name_and_host()}
    return _asked(request, found, {"title": title, "back": back})


def adopt_group(request: HttpRequest, key: str) -> HttpResponse:
    """The same for agents that run the same, with the labels that they share as selector."""
    _require(request, ADOPT_RIGHTS)
    back = reverse("admin:agent_groups")
    group = effective_groups.group_of(key, everybody=True)
    try:
        found = effective_groups.propose_for_group(key, by=cast("User", request.user))
    except DomainError as error:
        messages.error(request, in_readers_language(error))
        return redirect(back)
    if found is None or group is None:
        raise Http404
    return _asked(request, found, {"title": _("Adopt what this group runs?"), "group": group, "back": back})


def groups_page(request: HttpRequest) -> HttpResponse:
    """Agents by what they run, the largest groups first; by default those that should run nothing of ours."""
    _require(request, SEE_RIGHTS)
    everybody = request.GET.get("assigned") == "any"
    found = effective_groups.agent_groups(everybody=everybody)
    pages = max(-(-len(found) // _PER_PAGE), 1)
    text = request.GET.get("p", "1")
    page = min(max(int(text), 1), pages) if text.isascii() and text.isdecimal() and len(text) < 10 else 1
    shown = effective_groups.described_groups(found[(page - 1) * _PER_PAGE : page * _PER_PAGE], everybody=everybody)
    context = {
        **admin.site.each_context(request),
        "title": _("Running configurations"),
        "groups": [
            {"row": each, "labels": [(key, pair_shown(key, value)) for key, value in sorted(each.selector.items())]}
            for each in shown
        ],
        "everybody": everybody,
        "total": len(found),
        "most": effective_groups.MOST_GROUPS,
        "unjudged": effective_groups.unjudged(),
        "page": page,
        "pages": range(1, pages + 1) if pages > 1 else (),
        "may_adopt": request.user.has_perms(ADOPT_RIGHTS),
    }
    return TemplateResponse(request, "admin/configurations/configuration/groups.html", context)


def adopt_heading(request: HttpRequest, agent: Agent) -> PagePart:
    """The way to adopt what an agent runs, on its page."""
    if agent.reported.effective_config_id is None or not request.user.has_perms(ADOPT_RIGHTS):
        return PagePart()
    return PagePart(tools=[(reverse("admin:agent_adopt", args=[agent.pk]), _("Adopt its configuration…"))])


def _require(request: HttpRequest, rights: tuple[str, ...]) -> None:
    if not request.user.has_perms(rights):
        raise PermissionDenied


def _asked(request: HttpRequest, found: Proposal, more: dict[str, Any]) -> HttpResponse:
    initial = {"name": found.name, "selector": found.draft.selector, "document": found.document}
    form = AdoptForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        kept = _kept(request, found, form)
        if kept is not None:
            messages.success(request, _("The draft is saved. It reaches no agent until it is published."))
            return redirect(reverse("admin:configuration_draft", args=[kept]))
    problems: list[str] = []
    try:
        problems = confirmation_page.said_of(found.findings(), several=len(found.draft.files) > 1)
    except InvalidConfiguration as error:
        problems = confirmation_page.said_of_errors(error)
    proposed = Agent.objects.filter(selector_condition(parse_selector(found.draft.selector))).count()
    context = {
        **admin.site.each_context(request),
        **more,
        "opts": Agent._meta,
        "agent": found.agent,
        "form": form,
        "proposed": proposed,
        "taken": found.taken,
        "several": len(found.draft.files) > 1,
        "hides": found.hides,
        "masked": len(found.masked),
        "problems": problems,
        "files": sorted(files_shown(files_to_json(found.draft.files), most=MOST_SHOWN).items()),
    }
    return TemplateResponse(request, "admin/configurations/configuration/adopt.html", context)


def _kept(request: HttpRequest, found: Proposal, form: AdoptForm) -> int | None:
    """The key of the draft; ``None`` when it cannot be kept, which the form then says."""
    values = form.cleaned_data
    try:
        adopting.require_document(found, values["document"])
        draft = adopting.edited(found, selector=values["selector"])
        row = adopting.adopt_as_draft(
            found, draft, name=values["name"], by=cast("User", request.user), at=clock.now(), note=values["note"]
        )
    except InvalidConfiguration as error:
        for field, texts in error.errors.items():
            form.add_error(field if field in form.fields else None, [in_readers_language(text) for text in texts])
        return None
    except adopting.RunsSomethingElse as error:
        # The page shows what it runs now, and asks about that.
        shown = request.POST.copy()
        shown["document"] = found.document
        form.data = shown
        form.add_error(None, in_readers_language(error))
        return None
    except DomainError as error:
        form.add_error(None, in_readers_language(error))
        return None
    return int(row.pk)
