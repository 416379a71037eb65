"""The page that freezes the fleet or a part of it, with the list of what is held and was; and pausing one agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.base_admin import PortalAdmin
from accounts.models import User
from accounts.templatetags.instants import instant
from agents.models import Agent
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from rollouts.admin.holding_forms import HoldingForm, SelectorFreezeForm
from rollouts.audiences import EVERYONE
from rollouts.freezes_shown import audience_words
from rollouts.models import Freeze
from rollouts.services import freezing

_FLEET, _SELECTOR = "fleet", "selector"
_LARGEST_ID = 2**63 - 1


class StateFilter(admin.SimpleListFilter):
    """In force, or over."""

    title = _("state")
    parameter_name = "active"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Both."""
        return [("true", _("in force")), ("false", _("over"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Freeze]) -> QuerySet[Freeze]:
        """The chosen ones; a strange value chooses nothing."""
        value = self.value()
        if value is None:
            return queryset
        if value not in ("true", "false"):
            return queryset.none()
        return queryset.filter(ended_at__isnull=value == "true")


@admin.register(Freeze)
class FreezeAdmin(PortalAdmin):
    """Freezes and pauses."""

    list_display = ["held", "reason", "who", "since", "until", "ended"]
    list_display_links = None
    list_filter: ClassVar[list[Any]] = [StateFilter]
    list_per_page = 50
    list_select_related = ("agent",)
    actions = None
    ordering = ("-pk",)
    show_full_result_count = False
    change_list_template = "admin/rollouts/freeze/change_list.html"
    fields = ["held", "reason", "who", "since", "until", "ended"]
    readonly_fields = ("held", "reason", "who", "since", "until", "ended")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Not by a form of rows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Freeze | None = None) -> bool:
        """Rows are what happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Freeze | None = None) -> bool:
        """They stay."""
        return False

    def get_urls(self) -> list[Any]:
        """Starting and ending, and the pause of one agent."""
        wrapped = self.admin_site.admin_view
        return [
            path("start/", wrapped(require_POST(self.start)), name="freeze_start"),
            path("<int:pk>/end/", wrapped(require_POST(self.end)), name="freeze_end"),
            path("pause/<int:agent_id>/", wrapped(self.pause), name="agent_pause"),
            path("resume/<int:agent_id>/", wrapped(self.resume), name="agent_resume"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None, forms: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With the switch; ``forms`` are those that were sent and have mistakes."""
        active = list(Freeze.objects.active().of_several().order_by("pk")) if self._sees(request) else []
        context = {
            "active": [(row, audience_words(row.parsed_audience())) for row in active],
            "fleet_is_frozen": any(row.parsed_audience() == EVERYONE for row in active),
            "may_start": request.user.has_perm("rollouts.add_freeze"),
            "may_end": request.user.has_perm("rollouts.change_freeze"),
            "fleet_form": HoldingForm(prefix=_FLEET),
            "selector_form": SelectorFreezeForm(prefix=_SELECTOR),
            **(forms or {}),
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def start(self, request: HttpRequest) -> HttpResponse:
        """Freeze the fleet, or the agents of a selector."""
        if not request.user.has_perm("rollouts.add_freeze"):
            raise PermissionDenied
        whole = request.POST.get("whom") == _FLEET
        form = HoldingForm(request.POST, prefix=_FLEET) if whole else SelectorFreezeForm(request.POST, prefix=_SELECTOR)
        if not form.is_valid():
            return self.changelist_view(request, forms={"fleet_form" if whole else "selector_form": form})
        values = form.cleaned_data
        audience = EVERYONE if whole else values["query"]

        def act(by: User) -> None:
            freezing.start_freeze(audience, reason=values["reason"], by=by, at=clock.now(), expires_at=form.expires_at)

        self._tell(request, act, _("Frozen: nothing is offered to these agents until it ends."))
        return self._to_the_list()

    def end(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Go on."""
        if not request.user.has_perm("rollouts.change_freeze"):
            raise PermissionDenied
        row = get_object_or_404(Freeze, pk=min(pk, _LARGEST_ID), agent=None)
        self._tell(request, lambda by: freezing.end_freeze(row.pk, by=by, at=clock.now()), _("The freeze is ended."))
        return self._to_the_list()

    def pause(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        """GET asks why and how long, POST pauses."""
        agent = self._agent(request, agent_id)
        form = HoldingForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            values = form.cleaned_data

            def act(by: User) -> None:
                freezing.pause_agent(agent, reason=values["reason"], by=by, at=clock.now(), expires_at=form.expires_at)

            self._tell(request, act, _("%(agent)s is paused.") % {"agent": agent})
            return self._to_the_agent(agent)
        text = _("Nothing is offered to the agent until the pause ends; it keeps what it runs. It can be restarted.")
        return self._ask(
            request, agent, form, _("Pause %(agent)s?") % {"agent": agent.name_and_host()}, text, _("Pause")
        )

    def resume(self, request: HttpRequest, agent_id: int) -> HttpResponse:
        """GET asks, POST goes on."""
        agent = self._agent(request, agent_id)
        if request.method == "POST":
            self._tell(
                request,
                lambda by: freezing.resume_agent(agent, by=by, at=clock.now()),
                _("The pause of %(agent)s is ended.") % {"agent": agent},
            )
            return self._to_the_agent(agent)
        text = _("What waits for the agent is offered at once.")
        title = _("End the pause of %(agent)s?") % {"agent": agent.name_and_host()}
        return self._ask(request, agent, None, title, text, _("End the pause"))

    # --- Shared ------------------------------------------------------------------------------------------------

    def _sees(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def _agent(self, request: HttpRequest, agent_id: int) -> Agent:
        if not request.user.has_perm("agents.change_agent"):
            raise PermissionDenied
        return get_object_or_404(Agent, pk=min(agent_id, _LARGEST_ID))

    def _tell(self, request: HttpRequest, act: Callable[[User], Any], done: Any) -> None:
        """Do it, and say what was done or why not."""
        try:
            act(cast("User", request.user))
        except DomainError as error:
            self.message_user(request, in_readers_language(error), messages.ERROR)
        else:
            self.message_user(request, done, messages.SUCCESS)

    def _ask(
        self, request: HttpRequest, agent: Agent, form: HoldingForm | None, title: Any, text: Any, verb: Any
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": agent._meta,
            "title": title,
            "agent": agent,
            "form": form,
            "text": text,
            "verb": verb,
            "page": reverse("admin:agents_agent_change", args=[agent.pk]),
        }
        return TemplateResponse(request, "admin/agents/agent/ask.html", context)

    def _to_the_list(self) -> HttpResponse:
        return redirect(reverse("admin:rollouts_freeze_changelist"))

    def _to_the_agent(self, agent: Agent) -> HttpResponse:
        return redirect(reverse("admin:agents_agent_change", args=[agent.pk]))

    # --- Columns -----------------------------------------------------------------------------------------------

    @admin.display(description=_("held"))
    def held(self, row: Freeze) -> SafeString | str:
        """The agents; a paused one as a link."""
        if row.agent is None:
            return audience_words(row.parsed_audience())
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:agents_agent_change", args=[row.agent.pk]), row.agent.headline[0]
        )

    @admin.display(description=_("started by"))
    def who(self, row: Freeze) -> str:
        """The person, or the portal."""
        return row.started_by_name

    @admin.display(description=_("since"))
    def since(self, row: Freeze) -> str:
        """The beginning."""
        return instant(row.started_at)

    @admin.display(description=_("until"))
    def until(self, row: Freeze) -> str:
        """The end that was set."""
        return instant(row.expires_at)

    @admin.display(description=_("ended"))
    def ended(self, row: Freeze) -> SafeString | str:
        """When and by whom; or that it is in force."""
        if row.ended_at is None:
            return format_html('<span class="pill pill-mark">{}</span>', _("in force"))
        return format_html("{} ({})", instant(row.ended_at), row.ended_by_name)
