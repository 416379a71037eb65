"""Pages below connection settings: releasing a version, moving agents, and the agents of a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from agents.admin import typed_count
from agents.shown import message_shown
from connections.admin.form_texts import fields_of
from connections.admin.forms import MoveForm, put_errors
from connections.content import OPAMP, warnings_of
from connections.models import RELEASE_SUBJECT, ConnectionSettings
from connections.services import settings_edits
from connections.services.connection_releases import publish_settings
from connections.services.moving import MoveState, agents_of, with_move
from connections.services.settings_edits import Saved, judged_content, newest_version, readable_content
from connections.services.settings_reach import Reach, reach_of
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from rollouts.admin.forms import ReleaseForm
from rollouts.admin.released_pages import chosen_plan, is_meant, release_form, version_release_context

_AGENTS = 100
MOVE_WORDS = {
    MoveState.MOVED.value: _("moved"),
    MoveState.HERE.value: _("still here"),
    MoveState.AWAY.value: _("told, and away since"),
    MoveState.OFFLINE.value: _("offline, not told yet"),
    MoveState.FAILED.value: _("failed"),
    MoveState.INCAPABLE.value: _("cannot be led elsewhere"),
}


def agents_shown(row: ConnectionSettings, request: HttpRequest) -> dict[str, Any]:
    """The first agents of these settings, those of one ``move`` where the URL names it."""
    rows: Any = with_move(agents_of(row)).select_related("agent", "version")
    wanted = request.GET.get("move", "")
    if wanted in MOVE_WORDS:
        rows = rows.filter(move=wanted)
    found = list(rows.order_by("status", "agent__name", "pk")[:_AGENTS])
    return {
        "connections": [
            {"row": each, "move": MOVE_WORDS.get(each.move, ""), "error": message_shown(each.error_message)}
            for each in found
        ],
        "connection_count": rows.count(),
        "most_connections": _AGENTS,
        "move_words": list(MOVE_WORDS.items()),
        "move": wanted if wanted in MOVE_WORDS else "",
    }


class ConnectionPages:
    """For `settings_pages.ConnectionSettingsAdmin`, which finds settings and asks."""

    changeable: Callable[..., ConnectionSettings]
    ask: Callable[..., TemplateResponse]
    tell_saved: Callable[..., HttpResponse]

    def version_urls(self, wrapped: Callable[..., Any]) -> list[Any]:
        """Below the page of settings."""
        return [
            path("<int:pk>/versions/<int:number>/release/", wrapped(self.release), name="connection_release"),
            path("<int:pk>/move/", wrapped(self.move), name="connection_move"),
        ]

    def release(self, request: HttpRequest, pk: int, number: int) -> HttpResponse:
        """A former version once more: how it goes out, and to how many; then it does."""
        row = self.changeable(request, pk)
        version = row.versions.filter(number=min(number, 2**31 - 1)).first()
        if version is None:
            raise Http404
        chosen = release_form(request, row)
        try:
            reach = reach_of(row, row.parsed_selector(), readable_content(version))
        except DomainError as error:
            return self.ask(request, row, {"title": row.name, "problem": in_readers_language(error)})
        problem = _problem(request, chosen, reach)
        if is_meant(request, chosen) and problem is None:
            by, at = cast("User", request.user), clock.now()
            try:
                rollout = publish_settings(version, by=by, at=at, plan=chosen_plan(chosen))
            except DomainError as error:
                problem = in_readers_language(error)
            else:
                return self.tell_saved(request, Saved(row, version, rollout))
        context = {
            "title": _("Release version %(number)s of %(name)s?") % {"number": version.number, "name": row.name},
            "verb": _("Release"),
            "text": _("Agents that match are told with their next message; what they have already is not told again."),
            **_release_context(row, chosen, reach, problem),
        }
        return self.ask(request, row, context)

    def move(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Another place for the agents of these settings: typed, looked at with whom it reaches, then begun."""
        row = self.changeable(request, pk)
        newest = newest_version(row)
        initial = fields_of(newest.shown) if OPAMP in newest.shown else {"opamp_keep_credentials": True}
        sent = request.method == "POST"
        form = MoveForm(request.POST if sent else None, initial=initial)
        context: dict[str, Any] = {
            "title": _("Move the agents of %(name)s") % {"name": row.name},
            "crumb": _("Move"),
            "verb": _("Look at whom it reaches"),
            "text": _(
                "They are told another endpoint, or other credentials. What lets them in now works until they come by "
                "what they are told; agents that fail stay where they are, and are listed."
            ),
            "form": form,
        }
        if sent and form.is_valid():
            try:
                return self._move(request, row, form, context)
            except DomainError as error:
                put_errors(form, error)
        return self.ask(request, row, context)

    def _move(
        self, request: HttpRequest, row: ConnectionSettings, form: MoveForm, context: dict[str, Any]
    ) -> HttpResponse:
        newest = newest_version(row)
        member = form.member(newest.shown)
        content = judged_content({**readable_content(newest), OPAMP: member}, newest)
        chosen = release_form(request, row)
        reach = reach_of(row, row.parsed_selector(), content)
        confirmed = "confirmed" in request.POST
        problem = _problem(request, chosen, reach) if confirmed else None
        if confirmed and problem is None and is_meant(request, chosen):
            saved = settings_edits.move_agents(
                row.pk,
                member,
                by=cast("User", request.user),
                at=clock.now(),
                note=form.cleaned_data["note"],
                plan=chosen_plan(chosen),
            )
            return self.tell_saved(request, saved)
        left_out = {"confirmed", "stage", *chosen.sent_names()}
        asked = {
            **context,
            **_release_context(row, chosen, reach, problem),
            "title": _("Move the agents of %(name)s?") % {"name": row.name},
            "form": None,
            "verb": _("Tell them"),
            "leads_to": content[OPAMP]["endpoint"],
            "warnings": [in_readers_language(message) for message in warnings_of(content, clock.now())],
            "carried": typed_count.carried(request.POST, without=left_out),
        }
        return self.ask(request, row, asked)


def _problem(request: HttpRequest, chosen: ReleaseForm, reach: Reach) -> str | None:
    return typed_count.problem_of(request.POST, reach.agents) if is_meant(request, chosen) else None


def _release_context(row: ConnectionSettings, chosen: ReleaseForm, reach: Reach, problem: str | None) -> dict[str, Any]:
    return {**version_release_context(RELEASE_SUBJECT, row, row.name, chosen, reach.members, problem), "reach": reach}
