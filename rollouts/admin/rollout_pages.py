"""Rollouts in the admin: the list, and the page where one is watched, paused, approved, rolled back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.base_admin import PortalAdmin
from accounts.models import User
from agents.templatetags.ago import time_element
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from foundation.messages import Message
from foundation.refreshing import refreshes_itself
from rollouts.admin.descriptions import gate_words, policy_words, stage_title, stage_words
from rollouts.models import Rollout
from rollouts.policies import Policy
from rollouts.progress import StageProgress, progress_and_members
from rollouts.services import rolling_out
from rollouts.services.freezing import current_freezes
from rollouts.subjects import subject_of

_AGENTS = 100
_LONGEST_REASON = 500
_PILLS = {
    Rollout.State.AWAITING_APPROVAL: ("configuring", "◔"),
    Rollout.State.SCHEDULED: ("configuring", "◷"),
    Rollout.State.RUNNING: ("configuring", "▶"),
    Rollout.State.PAUSED: ("error", "❚❚"),
    Rollout.State.COMPLETED: ("connected", "✔"),
    Rollout.State.ABORTED: ("disconnected", "■"),
    Rollout.State.ROLLED_BACK: ("disconnected", "↩"),
    Rollout.State.REPLACED: ("disconnected", "○"),
}
# What a button does, the right it needs, and what is said when it was done.
_ACTS: dict[str, tuple[Callable[..., Rollout], str, Any]] = {
    "approve": (rolling_out.approve, "approve", _("Approved.")),
    "start": (rolling_out.begin_now, "change", _("Begun, although the window is closed.")),
    "pause": (rolling_out.pause, "change", _("Paused.")),
    "resume": (rolling_out.resume, "change", _("Resumed.")),
    "abort": (rolling_out.abort, "change", _("Aborted: who has got it keeps it.")),
    "roll_back": (rolling_out.roll_back_rollout, "change", _("Rolled back: each agent gets what it had before.")),
}
_WITH_REASON = frozenset({"start", "pause", "roll_back"})


def state_pill(rollout: Rollout) -> SafeString:
    """The state as text and sign."""
    state = rollout.state_at(clock.now())
    look, sign = _PILLS[state]
    return format_html('<span class="pill pill-{}">{} {}</span>', look, sign, state.label)


class ListedStateFilter(admin.SimpleListFilter):
    """Where they stand now."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """All of them."""
        return list(Rollout.State.choices)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The chosen ones; a strange value chooses nothing."""
        value = self.value()
        return queryset if value is None else queryset.in_states([value], clock.now())


@admin.register(Rollout)
class RolloutAdmin(PortalAdmin):
    """What is on its way, and what was."""

    list_display = ["title", "pill", "at_stage", "how", "started_by_name", "started", "ended"]
    list_display_links = ["title"]
    list_filter = [ListedStateFilter]
    search_fields = ["name"]
    search_help_text = _("Name of the configuration")
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Publishing makes them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Rollout | None = None) -> bool:
        """Buttons do it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Rollout | None = None) -> bool:
        """They are kept as the trail of what happened."""
        return False

    @admin.display(description=_("rollout"), ordering="pk")
    def title(self, row: Rollout) -> str:
        """What of what."""
        return str(row)

    @admin.display(description=_("state"), ordering="state")
    def pill(self, row: Rollout) -> SafeString:
        """Text and sign."""
        return state_pill(row)

    @admin.display(description=_("stage"))
    def at_stage(self, row: Rollout) -> str:
        """The present one of all."""
        place = f"{row.stage + 1} / {len(row.stages)}"
        return f"{place} · {row.stage_name}" if row.stage_name else place

    @admin.display(description=_("how"))
    def how(self, row: Rollout) -> str:
        """The stages in a line."""
        return policy_words(row.parsed_policy())

    @admin.display(description=_("started at"), ordering="started_at")
    def started(self, row: Rollout) -> SafeString:
        """How long ago; the time itself on hover."""
        return time_element(row.started_at)

    @admin.display(description=_("ended at"), ordering="ended_at")
    def ended(self, row: Rollout) -> SafeString | str:
        """The same; nothing while it is on its way."""
        return time_element(row.ended_at) if row.ended_at else "–"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One rollout, drawn by us: there is nothing to type."""
        row = cast("Rollout", self.get_object(request, object_id))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        template = "live.html" if refreshes_itself(request) else "change_form.html"
        context = {
            **self.admin_site.each_context(request),
            "title": str(row),
            "opts": self.opts,
            "row": row,
            **_page_of(request, row),
        }
        return TemplateResponse(request, f"admin/rollouts/rollout/{template}", context)

    def get_urls(self) -> list[Any]:
        """With the buttons."""
        act = self.admin_site.admin_view(require_POST(self.act))
        return [path("<int:pk>/act/<slug:name>/", act, name="rollout_act"), *super().get_urls()]

    def act(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """What a button does; what cannot be done is said on the page."""
        row = cast("Rollout", self.get_object(request, str(pk)))
        page = reverse("admin:rollouts_rollout_change", args=[row.pk])
        if name not in _ACTS:
            return redirect(page)
        act, right, done = _ACTS[name]
        if not request.user.has_perm(f"rollouts.{right}_rollout"):
            raise PermissionDenied
        options: dict[str, Any] = {"by": cast("User", request.user), "at": clock.now()}
        reason = request.POST.get("reason", "").replace("\0", "").strip()[:_LONGEST_REASON]
        if reason and name in _WITH_REASON:
            options["reasons"] = [Message("rollout-reason", "Reason given: {reason}", reason=" ".join(reason.split()))]
        try:
            act(row.pk, **options)
        except DomainError as error:
            messages.error(request, in_readers_language(error))
        else:
            messages.success(request, done)
        return redirect(page)


def _page_of(request: HttpRequest, row: Rollout) -> dict[str, Any]:
    """All that the page shows, and which buttons it has."""
    State = Rollout.State  # noqa: N806  a class
    may_change = request.user.has_perm("rollouts.change_rollout")
    now, policy = clock.now(), row.parsed_policy()
    stages, count, members = progress_and_members(row, now, most=_AGENTS)
    if not request.user.has_perm("agents.view_agent"):
        count, members = 0, []
    return {
        "subtitle": None,
        "pill": state_pill(row),
        "subject_page": subject_of(row).page_of(row),
        "reasons": [in_readers_language(Message.from_json(reason)) for reason in row.reasons],
        "stages": [_stage_shown(progress) for progress in stages],
        "policy": policy,
        "window": policy.window,
        "members": members,
        "member_count": count,
        "most_members": _AGENTS,
        "steps": [_step_shown(step, policy) for step in row.steps.order_by("-pk")[:200]],
        "may_approve": row.state == State.AWAITING_APPROVAL and request.user.has_perm("rollouts.approve_rollout"),
        "own": row.started_by_id == request.user.pk,
        # What a freeze holds nobody begins: it is ended first.
        "may_start": may_change and row.state_at(now) == State.SCHEDULED and not current_freezes().shown(now),
        "may_pause": may_change and row.state == State.RUNNING,
        "may_resume": may_change and row.state == State.PAUSED,
        "may_abort": may_change and row.is_active,
        "may_roll_back": may_change and (row.is_active or row.state == State.ABORTED),
    }


def _stage_shown(progress: StageProgress) -> dict[str, Any]:
    counts = progress.counts
    return {
        "progress": progress,
        "words": stage_words(progress.stage, is_rest=progress.everybody_else),
        "gate": gate_words(progress.gate),
        "title": stage_title(progress.number, progress.stage.name),
        "applied": counts.applied,
        "counts": [
            (sign, look, number, word)
            for sign, look, number, word in (
                ("✖", "bad", counts.failed, _("failed")),
                ("◔", "wait", counts.waiting, _("pending")),
                ("!", "bad", counts.unhealthy, _("unhealthy")),
                ("○", "bad", counts.lost, _("disconnected since they got it")),
                ("○", "quiet", counts.offline, _("offline")),
                ("❚❚", "quiet", counts.held, _("frozen or paused")),
                ("–", "quiet", counts.incapable, _("cannot be configured")),
                ("…", "quiet", counts.to_come, _("to come")),
                ("–", "quiet", progress.passed_over, _("get something else, which is stronger there")),
            )
            if number
        ],
    }


def _step_shown(step: Any, policy: Policy) -> dict[str, Any]:
    return {
        "step": step,
        "stage": stage_title(step.stage + 1, policy.name_of(step.stage)) if step.stage >= 0 else "–",
        "reasons": [in_readers_language(Message.from_json(reason)) for reason in step.reasons],
        "unassigned": step.data.get("unassigned", 0),
    }
