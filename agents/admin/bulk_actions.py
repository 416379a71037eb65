"""Actions on many chosen agents: each shows whom it concerns first, and acts when that page was answered.

Up to `JOB_ABOVE` agents at once, and a job beyond.

Apps above this one add actions of their own with `register_bulk_action`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.models import User
from accounts.services import one_entry
from agents.admin import typed_count
from agents.labels import InvalidLabels, validate_labels
from agents.models import Agent, AgentQuerySet
from agents.services.acting import start_acting
from agents.services.actions import AgentAction, action_named
from agents.services.bulk_requests import chunks
from agents.services.label_previews import LabelPreview, preview_labels, set_and_remove
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language

_SAMPLE = 20
_LINE_END = re.compile(r"\r\n|\r|\n")
# More agents than so many are acted on as a job; that is where their number is typed, too.
JOB_ABOVE = 100

Preview = Callable[[AgentQuerySet, Mapping[str, Any]], LabelPreview]
"""Gets those reached and the cleaned values of the action's form."""

Stored = Callable[[Mapping[str, Any], datetime], dict[str, Any]]
"""Gets the cleaned values of the action's form, and gives the action's parameters."""


@dataclass(frozen=True, slots=True)
class BulkAction:
    """How the menu offers one of `agents.services.actions`: those not reached are counted and named with their reason.

    ``offline`` says what becomes of agents that are not connected, ``done`` what is said afterwards (with ``count``).
    ``parameters`` makes what the action takes of the values of ``form``. ``preview`` says what these would do, on a page of
    its own before anything is done.
    """

    name: str
    done: Any
    offline: Any = ""
    form: type[forms.Form] | None = None
    parameters: Stored = lambda _values, _at: {}
    danger: bool = False
    preview: Preview | None = None

    @property
    def action(self) -> AgentAction | None:
        """What is done; ``None`` when it is not available here."""
        return action_named(self.name)

    @property
    def label(self) -> str:
        """Its verb, in the reader's language."""
        return in_readers_language(self.action.title) if self.action else self.name


_actions: dict[str, BulkAction] = {}


def register_bulk_action(action: BulkAction) -> None:
    """Offer ``action`` in the list of agents; a second registration of the same name replaces the first."""
    _actions[action.name] = action


def actions_for(user: Any) -> dict[str, tuple[Callable[..., Any], str, str]]:
    """The menu for ``user`` as Django's admin wants it."""
    return {
        action.name: (_view(action), action.name, action.label)
        for action in _actions.values()
        if action.action is not None and user.has_perm(action.action.right)
    }


def _view(action: BulkAction) -> Callable[..., Any]:
    def view(model_admin: Any, request: HttpRequest, chosen: QuerySet[Agent]) -> HttpResponse | None:
        return _perform(action, model_admin, request, chosen)

    return view


def _perform(
    action: BulkAction, model_admin: Any, request: HttpRequest, chosen: QuerySet[Agent]
) -> HttpResponse | None:
    """The confirmation page; or, once it is answered, the action itself (then the list is shown again)."""
    done = action.action
    if done is None:
        raise PermissionDenied
    # Ordering and joined rows of the list are no use to counting.
    rows = Agent.objects.filter(pk__in=chosen.order_by().select_related(None).values("pk"))
    reached = done.reached(rows)
    count = reached.count()
    returns = "edit" in request.POST
    answered = "confirmed" in request.POST and not returns
    filled = answered or returns or "preview" in request.POST
    form = action.form(request.POST if filled else None) if action.form else None
    refusal = None
    if answered and (form is None or form.is_valid()):
        refusal = typed_count.problem_of(request.POST, count)
        if refusal is None:
            values = form.cleaned_data if form is not None else {}
            by, parameters = cast("User", request.user), action.parameters(values, clock.now())
            if count > JOB_ABOVE:
                return _start_job(model_admin, request, done, reached, parameters)
            asked_of = _run(done, reached, by, parameters)
            model_admin.message_user(request, action.done % {"count": asked_of}, messages.SUCCESS)
            # To the first page: after forgetting a page of agents the one they stood on may be gone.
            asked = request.GET.copy()
            asked.pop("p", None)
            return redirect(f"{request.path}?{asked.urlencode()}" if asked else request.path)
    preview: LabelPreview | None = None
    if action.preview and form is not None and filled and not returns and form.is_valid():
        preview = action.preview(reached, form.cleaned_data)
    # What was typed goes along hidden once its effect is on the page.
    kept = [] if preview is not None or form is None else list(form.fields)
    chosen_count = rows.count()
    skipped = rows.exclude(pk__in=reached.values("pk")) if done.eligible is not None else rows.none()
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": f"{action.label}?",
        "action": action,
        "skipped": in_readers_language(done.skipped) if done.skipped else "",
        "as_job": count > JOB_ABOVE,
        "count": count,
        "chosen_count": chosen_count,
        "sample": reached.in_order("name")[:_SAMPLE],
        "more": max(count - _SAMPLE, 0),
        "skipped_count": chosen_count - count,
        "skipped_sample": skipped.in_order("name")[:_SAMPLE],
        "offline_count": reached.filter(connected=False).count(),
        "form": form if preview is None else None,
        "preview": preview,
        "typed": [(field.label, field.value()) for field in form if field.value()] if preview and form else [],
        "asks_preview": action.preview is not None and preview is None,
        "refusal": refusal,
        "must_type": count > typed_count.TYPE_ABOVE,
        "carried": typed_count.carried(request.POST, without=["confirmed", "preview", "edit", *kept]),
        "submit": ngettext("%(verb)s (%(count)d agent)", "%(verb)s (%(count)d agents)", count)
        % {"verb": action.label, "count": count},
        "page": request.get_full_path(),
    }
    return TemplateResponse(request, "admin/agents/agent/bulk.html", context)


def _run(action: AgentAction, reached: QuerySet[Agent], by: User, parameters: Mapping[str, Any]) -> int:
    """All keys are read first, since acting may change who is eligible; then chunks, so that no transaction grows large."""
    keys = list(reached.order_by("pk").values_list("pk", flat=True))
    at = clock.now()
    with one_entry():
        return sum(action.run(some, by, at, parameters).asked for some in chunks(keys))


def _start_job(
    model_admin: Any,
    request: HttpRequest,
    action: AgentAction,
    reached: QuerySet[Agent],
    parameters: Mapping[str, Any],
) -> HttpResponse:
    """Exactly those who are reached now, however long it takes; where it stands the job's page says."""
    keys = list(reached.order_by("pk").values_list("pk", flat=True))
    try:
        job = start_acting(action, keys, by=cast("User", request.user), parameters=parameters)
    except DomainError as error:
        model_admin.message_user(request, in_readers_language(error), messages.ERROR)
        return redirect(request.get_full_path())
    model_admin.message_user(
        request, _("It is under way for %(count)d agents.") % {"count": len(keys)}, messages.SUCCESS
    )
    return redirect("admin:jobs_job_change", job.pk)


# --- The actions of this app ---------------------------------------------------------------------------------------


class LabelsForm(forms.Form):
    """Labels to set, as ``key=value`` lines, and keys to remove."""

    put = forms.CharField(
        label=gettext_lazy("Set"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "labels", "spellcheck": "false"}),
        help_text=gettext_lazy("One key=value a line. They win over what the agents report."),
    )
    remove = forms.CharField(
        label=gettext_lazy("Remove"),
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false"}),
        help_text=gettext_lazy("Keys of operator labels, separated by commas. What agents report themselves stays."),
    )

    def clean_put(self) -> dict[str, str]:
        """The labels; a mistake is named with its line."""
        return read_label_lines(self.cleaned_data["put"])

    def clean_remove(self) -> list[str]:
        """The keys."""
        return [key.strip() for key in self.cleaned_data["remove"].split(",") if key.strip()]

    def clean(self) -> dict[str, Any]:
        """One of the two at least, and no key in both."""
        values = super().clean() or self.cleaned_data
        put, remove = values.get("put"), values.get("remove")
        if not self.errors and not put and not remove:
            raise forms.ValidationError(_("Write at least one label to set or to remove."))
        both = sorted(set(put or ()) & set(remove or ()))
        if both:
            raise forms.ValidationError(_("To be set and removed at once: %(keys)s") % {"keys": ", ".join(both)})
        return values


def read_label_lines(text: str) -> dict[str, str]:
    """Labels from ``key=value`` lines. Raises ValidationError that names the line or the key."""
    labels: dict[object, object] = {}
    # Not `splitlines`, for which some characters of a value are line ends too.
    for line in _LINE_END.split(text):
        if not line.strip():
            continue
        key, sign, value = line.partition("=")
        if not sign:
            raise forms.ValidationError(_("“%(line)s” has no = in it."), params={"line": line})
        if key.strip() in labels:
            raise forms.ValidationError(_("“%(key)s” is there twice."), params={"key": key.strip()})
        labels[key.strip()] = value.strip()
    try:
        return validate_labels(labels)
    except InvalidLabels as error:
        raise forms.ValidationError([in_readers_language(problem) for problem in error.problems]) from error


def _label_change(values: Mapping[str, Any], _at: datetime) -> dict[str, Any]:
    return {"set": values["put"], "remove": values["remove"]}


def preview_relabel(agents: AgentQuerySet, values: Mapping[str, Any]) -> LabelPreview:
    """Who would get or lose which configuration."""
    return preview_labels(agents, set_and_remove(values["put"], values["remove"]))


for _action in (
    BulkAction(
        name="restart",
        done=gettext_lazy("Agents asked to restart: %(count)d."),
        offline=gettext_lazy("Those offline restart when they connect."),
    ),
    BulkAction(
        name="relabel",
        done=gettext_lazy("Agents with changed labels: %(count)d."),
        form=LabelsForm,
        parameters=_label_change,
        preview=preview_relabel,
    ),
    BulkAction(name="revoke", done=gettext_lazy("Agents shut out: %(count)d."), danger=True),
    BulkAction(name="allow_enrolment", done=gettext_lazy("Agents that may enrol: %(count)d.")),
    BulkAction(
        name="forget",
        done=gettext_lazy("Agents forgotten: %(count)d."),
        offline=gettext_lazy(
            "Agents that still talk come back by themselves, without their history; with the shared secret, if they had a "
            "credential of their own."
        ),
        danger=True,
    ),
):
    register_bulk_action(_action)
