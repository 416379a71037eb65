"""Edits outside the form: rolling back, switching on and off, deleting, offering once more. Each is confirmed on a page."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.base_admin import Missing, PortalAdmin
from accounts.models import User
from agents.admin import typed_count
from agents.models import Agent
from configurations.admin import confirmation_page
from configurations.admin.forms import new_files, whole_number
from configurations.admin.reach_seen import REACH_SEEN, confirmation_refusal
from configurations.models import Configuration
from configurations.panels import RETRY_RIGHTS
from configurations.previewing import Preview, preview, reach
from configurations.services import pinning, publishing, retrying
from configurations.services.collisions import FilesCollide
from configurations.services.drafts import Draft, InvalidConfiguration, draft_of
from configurations.services.edit_errors import StaleEdition, StillPinned, UnknownRevision
from configurations.services.forcing import may_force
from configurations.services.publishing import BasedOn
from foundation.clock import clock
from foundation.languages import in_readers_language


class ConfirmedEdit(Protocol):
    """Makes the edit that a page asked about."""

    def __call__(self, based_on: BasedOn, *, force: bool) -> None:
        """Raises `StaleEdition` when the page is outdated."""


def _judged(draft: Draft, row: Configuration, *, force: bool) -> tuple[Preview, InvalidConfiguration | None]:
    """What ``draft`` would do, and why it cannot be saved if so."""
    present = draft_of(row)
    try:
        return preview(draft, name=row.name, present=present, force=force), None
    except InvalidConfiguration as error:
        return reach(draft, name=row.name), error


class ConfirmedEdits(PortalAdmin):
    """The part of the configurations' admin that changes one without its form."""

    def confirm_page(self, request: HttpRequest, row: Configuration | None, context: dict[str, Any]) -> HttpResponse:
        """The shared page of everything that needs a confirmation."""
        page = reverse("admin:configurations_configuration_change", args=[row.pk]) if row else ""
        whole = {**self.admin_site.each_context(request), "opts": self.opts, "row": row, "page": page, **context}
        return TemplateResponse(request, "admin/configurations/configuration/confirm.html", whole)

    def roll_back(self, request: HttpRequest, pk: int, number: int) -> HttpResponse:
        """GET shows what would change, POST does it."""
        row = self._changeable(request, pk)
        try:
            draft = publishing.rolled_back(row, number)
        except UnknownRevision as error:
            raise Missing(in_readers_language(error)) from None

        def act(based_on: BasedOn, *, force: bool) -> None:
            by, at = cast("User", request.user), clock.now()
            publishing.roll_back(row.name, number, by=by, at=at, based_on=based_on, force=force)
            self.message_user(request, _("Rolled back to revision %(number)d.") % {"number": number}, messages.SUCCESS)

        title = _("Roll back %(name)s to revision %(number)d?") % {"name": row, "number": number}
        return self._confirmed(request, row, draft, act, title=title, verb=_("Roll back"))

    def switch(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Enable or disable: GET shows what would change, POST does it."""
        row = self._changeable(request, pk)
        draft = dataclasses.replace(draft_of(row), enabled=not row.enabled)

        def act(based_on: BasedOn, *, force: bool) -> None:
            by, at = cast("User", request.user), clock.now()
            # Whoever switches off wants it off.
            plan = publishing.BY_DEFAULT if draft.enabled else publishing.AT_ONCE
            publishing.update_configuration(row.name, draft, by=by, at=at, based_on=based_on, force=force, plan=plan)
            said = _("%(name)s is enabled.") if draft.enabled else _("%(name)s is disabled.")
            self.message_user(request, said % {"name": row}, messages.SUCCESS)

        title = (_("Enable %(name)s?") if draft.enabled else _("Disable %(name)s?")) % {"name": row}
        return self._confirmed(
            request, row, draft, act, title=title, verb=_("Enable") if draft.enabled else _("Disable")
        )

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The same page for deleting: who loses it, and what they get instead."""
        row = get_object_or_404(Configuration.objects.select_related("current"), pk=whole_number(object_id))
        if not self.has_delete_permission(request, row):
            raise PermissionDenied

        def act(based_on: BasedOn, *, force: bool) -> None:
            by, at = cast("User", request.user), clock.now()
            publishing.delete_configuration(row.name, by=by, at=at, based_on=based_on)
            said = _("%(name)s is deleted; for a while it can be restored from the deleted configurations.")
            self.message_user(request, said % {"name": row}, messages.SUCCESS)

        draft = dataclasses.replace(draft_of(row), enabled=False)
        title = _("Delete %(name)s with all its revisions?") % {"name": row}
        gone = reverse("admin:configurations_configuration_changelist")
        refusal = None
        if request.method != "POST":
            try:
                pinning.require_unpinned(row)
            except StillPinned as error:
                refusal = in_readers_language(error)
        return self._confirmed(
            request, row, draft, act, title=title, verb=_("Delete"), after=gone, danger=True, refusal=refusal
        )

    def _changeable(self, request: HttpRequest, pk: int) -> Configuration:
        row = get_object_or_404(Configuration.objects.select_related("current"), pk=pk)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        return row

    def _confirmed(
        self,
        request: HttpRequest,
        row: Configuration,
        draft: Draft,
        act: ConfirmedEdit,
        *,
        title: str,
        verb: Any,
        after: str = "",
        danger: bool = False,
        refusal: str | None = None,
    ) -> HttpResponse:
        """Show what ``draft`` would change, and a ``refusal`` that is known; act when that page was answered for its state."""
        may_be_forced = may_force(cast("User", request.user))
        force = may_be_forced and "force" in request.POST
        found, blocked = _judged(draft, row, force=force)
        current = row.current
        renewed = current is None or new_files(draft, current.hash)
        changing = found.changing(new_files=renewed)
        if request.method == "POST":
            refusal = typed_count.problem_of(request.POST, changing)
            refusal = refusal or confirmation_refusal(found, request.POST)
            if refusal is None and blocked is not None:
                refusal = gettext("This is blocked; see why below.")
            if refusal is None:
                try:
                    act(BasedOn(editions=(whole_number(request.POST.get("expected_edition", "")),)), force=force)
                except StaleEdition:
                    refusal = gettext("Somebody published another revision meanwhile: look again.")
                except (StillPinned, FilesCollide) as error:
                    refusal = in_readers_language(error)
                else:
                    page = reverse("admin:configurations_configuration_change", args=[row.pk])
                    return redirect(after or f"{page}#progress")
        context = confirmation_page.page_of(
            found, draft, row=row, new_files=renewed, show_agents=request.user.has_perm("agents.view_agent")
        )
        submit = ngettext("%(verb)s (%(count)d agent)", "%(verb)s (%(count)d agents)", changing)
        context |= {
            "title": title,
            "carried": [("expected_edition", str(row.edition))],
            "reach_seen": REACH_SEEN in request.POST,
            "refusal": refusal,
            "blocked": confirmation_page.said_of_errors(blocked) if blocked else [],
            "can_be_forced": force or (may_be_forced and blocked is not None and blocked.can_be_forced),
            "force": force,
            "danger": danger,
            "submit": submit % {"verb": verb, "count": changing},
        }
        return self.confirm_page(request, row, context)

    def retry(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        """POST offers the agent its configuration once more."""
        if not request.user.has_perms(RETRY_RIGHTS):
            raise PermissionDenied
        try:
            retrying.retry_offer(agent_id, by=cast("User", request.user), at=clock.now())
        except Agent.DoesNotExist:
            raise Http404 from None
        except retrying.NothingToRetry as error:
            self.message_user(request, in_readers_language(error), messages.ERROR)
        else:
            self.message_user(request, _("The configuration is offered once more."), messages.SUCCESS)
        return redirect(reverse("admin:agents_agent_change", args=[agent_id]))
