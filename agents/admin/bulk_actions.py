"""Actions on many chosen agents: each shows whom it concerns first, and acts when that page was answered.

Apps above this one add actions of their own with `register_bulk_action`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import F, Q, QuerySet
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
from agents.reports import AgentCapabilities
from agents.services import commands, credentials, editing
from agents.services.bulk_requests import chunks
from agents.services.label_previews import LabelPreview, preview_labels, set_and_remove
from foundation.clock import clock
from foundation.languages import in_readers_language

_SAMPLE = 20
_RESTART = int(AgentCapabilities.ACCEPTS_RESTART_COMMAND)

Run = Callable[[Sequence[int], User, datetime, Mapping[str, Any]], int]
"""Gets primary keys, a batch at a time, and the cleaned values of the action's form; returns how many it reached."""

Preview = Callable[[AgentQuerySet, Mapping[str, Any]], LabelPreview]
"""Gets those reached and the cleaned values of the action's form."""


@dataclass(frozen=True, slots=True)
class BulkAction:
    """One entry of the menu. ``eligible`` says who is reached; the others are counted and named with ``skipped`` as the reason.

    ``offline`` says what becomes of agents that are not connected, ``done`` what is said afterwards (with ``count``).
    ``available`` is asked each time the menu is shown. ``preview`` says what the values of the form would do, on a page of its
    own before anything is done.
    """

    name: str
    label: Any
    permission: str
    run: Run
    done: Any
    eligible: Q | None = None
    skipped: Any = ""
    offline: Any = ""
    form: type[forms.Form] | None = None
    danger: bool = False
    available: Callable[[], bool] = lambda: True
    preview: Preview | None = None


_actions: dict[str, BulkAction] = {}


def register_bulk_action(action: BulkAction) -> None:
    """Offer ``action`` in the list of agents; a second registration of the same name replaces the first."""
    _actions[action.name] = action


def actions_for(user: Any) -> dict[str, tuple[Callable[..., Any], str, str]]:
    """The menu for ``user`` as Django's admin wants it."""
    return {
        action.name: (_view(action), action.name, str(action.label))
        for action in _actions.values()
        if user.has_perm(action.permission) and action.available()
    }


def _view(action: BulkAction) -> Callable[..., Any]:
    def view(model_admin: Any, request: HttpRequest, chosen: QuerySet[Agent]) -> HttpResponse | None:
        return _perform(action, model_admin, request, chosen)

    return view


def _perform(
    action: BulkAction, model_admin: Any, request: HttpRequest, chosen: QuerySet[Agent]
) -> HttpResponse | None:
    """The confirmation page; or, once it is answered, the action itself (then the list is shown again)."""
    # Ordering and joined rows of the list are no use to counting.
    rows = Agent.objects.filter(pk__in=chosen.order_by().select_related(None).values("pk")).alias(
        accepts_restart=F("capabilities").bitand(_RESTART)
    )
    reached = rows.filter(action.eligible) if action.eligible is not None else rows
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
            done = _run(action, reached, cast("User", request.user), values)
            model_admin.message_user(request, action.done % {"count": done}, messages.SUCCESS)
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
    skipped = rows.exclude(pk__in=reached.values("pk")) if action.eligible is not None else rows.none()
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": f"{action.label}?",
        "action": action,
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


def _run(action: BulkAction, reached: QuerySet[Agent], by: User, values: Mapping[str, Any]) -> int:
    """All keys are read first, since acting may change who is eligible; then chunks, so that no transaction grows large."""
    keys = list(reached.order_by("pk").values_list("pk", flat=True))
    at = clock.now()
    with one_entry():
        return sum(action.run(some, by, at, values) for some in chunks(keys))


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
    for line in text.splitlines():
        if not line.strip():
            continue
        key, sign, value = line.partition("=")
        if not sign:
            raise forms.ValidationError(_("“%(line)s” has no = in it."), params={"line": line})
        labels[key.strip()] = value.strip()
    try:
        return validate_labels(labels)
    except InvalidLabels as error:
        raise forms.ValidationError([in_readers_language(problem) for problem in error.problems]) from error


def restart(agent_ids: Sequence[int], by: User, at: datetime, _values: Mapping[str, Any]) -> int:
    """Ask each to restart; one that lost the capability meanwhile is left out."""
    return commands.request_restarts(agent_ids, by=by, at=at).asked


def relabel(agent_ids: Sequence[int], by: User, at: datetime, values: Mapping[str, Any]) -> int:
    """Set and remove operator labels; matching follows."""
    return editing.edit_labels(agent_ids, assign=values["put"], remove=values["remove"], by=by, at=at).asked


def forget(agent_ids: Sequence[int], by: User, _at: datetime, _values: Mapping[str, Any]) -> int:
    """Delete them with their history."""
    return editing.forget_agents(agent_ids, by=by)


def preview_relabel(agents: AgentQuerySet, values: Mapping[str, Any]) -> LabelPreview:
    """Who would get or lose which configuration."""
    return preview_labels(agents, set_and_remove(values["put"], values["remove"]))


def agents_get_credentials() -> bool:
    """Whether agents get credentials of their own here."""
    return bool(settings.OPAMP_AGENT_CREDENTIALS)


def revoke(agent_ids: Sequence[int], by: User, at: datetime, _values: Mapping[str, Any]) -> int:
    """Shut them out."""
    return credentials.revoke_credentials(agent_ids, by=by, at=at)


def allow_enrolment(agent_ids: Sequence[int], by: User, at: datetime, _values: Mapping[str, Any]) -> int:
    """Let them in with the shared secret once more."""
    return credentials.allow_enrolment(agent_ids, by=by, at=at)


for _action in (
    BulkAction(
        name="restart",
        label=gettext_lazy("Restart"),
        permission="agents.change_agent",
        run=restart,
        done=gettext_lazy("Agents asked to restart: %(count)d."),
        eligible=Q(accepts_restart=_RESTART),
        skipped=gettext_lazy("the agent does not accept the restart command"),
        offline=gettext_lazy("Those offline restart when they connect."),
    ),
    BulkAction(
        name="relabel",
        label=gettext_lazy("Set or remove labels"),
        permission="agents.change_agent",
        run=relabel,
        done=gettext_lazy("Agents with changed labels: %(count)d."),
        form=LabelsForm,
        preview=preview_relabel,
    ),
    BulkAction(
        name="revoke",
        label=gettext_lazy("Revoke credentials"),
        permission="agents.change_agent",
        run=revoke,
        done=gettext_lazy("Agents shut out: %(count)d."),
        eligible=Q(credential_revoked_at=None),
        skipped=gettext_lazy("its credential is revoked already"),
        danger=True,
        available=agents_get_credentials,
    ),
    BulkAction(
        name="allow_enrolment",
        label=gettext_lazy("Allow enrolment"),
        permission="agents.change_agent",
        run=allow_enrolment,
        done=gettext_lazy("Agents that may enrol: %(count)d."),
        eligible=Q(credential_revoked_at__isnull=False) | Q(credential_issued_at__isnull=False),
        skipped=gettext_lazy("the shared secret is enough for it already"),
        available=agents_get_credentials,
    ),
    BulkAction(
        name="forget",
        label=gettext_lazy("Forget"),
        permission="agents.delete_agent",
        run=forget,
        done=gettext_lazy("Agents forgotten: %(count)d."),
        eligible=Q(credential_revoked_at=None),
        skipped=gettext_lazy("its credential is revoked, and forgetting it would let it in again"),
        offline=gettext_lazy(
            "Agents that still talk come back by themselves, without their history; with the shared secret, if they had a "
            "credential of their own."
        ),
        danger=True,
    ),
):
    register_bulk_action(_action)
