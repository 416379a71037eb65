"""Lists and pages of variables and secrets; what uses them is shown, and saved is through the service alone."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.base_admin import PortalAdmin, PortalChangeList
from accounts.models import User
from agents.admin import typed_count
from foundation.clock import clock
from foundation.errors import DomainError
from foundation.languages import in_readers_language
from foundation.secrecy import showing_secret
from rollouts.admin.descriptions import policy_words, stage_words
from variables.admin.forms import REPLACE, SEEN, SecretForm, ValueForm, VariableForm
from variables.models import Secret, Variable
from variables.services import value_edits
from variables.services.value_edits import Change
from variables.value_users import Rerendering


class ValueList(PortalChangeList):
    """The list, which asks once for what uses its rows."""

    def get_results(self, request: HttpRequest) -> None:
        """With the users of each."""
        super().get_results(request)
        group = cast("ValueAdmin", self.model_admin).group
        rows = list(self.result_list)
        users = value_edits.users_of([f"{group}.{row.name}" for row in rows])
        for row in rows:
            row.users = users[f"{group}.{row.name}"]
        self.result_list = rows


class ValueAdmin(PortalAdmin):
    """What both have in common."""

    group = ""
    actions = None
    change_form_template = "admin/variables/change_form.html"
    list_per_page = 100

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[PortalChangeList]:
        """With users."""
        return ValueList

    @admin.display(description=_("used by"))
    def used_by(self, row: Any) -> SafeString | str:
        """The configurations, by name."""
        if row is None or not row.name:
            return "–"
        known = getattr(row, "users", None)
        use = f"{self.group}.{row.name}"
        users = value_edits.users_of([use])[use] if known is None else known
        return format_html_join(", ", "<code>{}</code>", ((name,) for name in users)) or "–"

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """A form that knows who fills it in."""
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"actor": request.user})

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """With what saving would do, once that is known."""
        form = context["adminform"].form
        if isinstance(form, ValueForm) and form.asks and form.counted is not None:
            context |= {
                "seen_field": SEEN,
                "replace_field": REPLACE,
                "replaces": form.replaces,
                "obstructed": [in_readers_language(each.obstacle) for each in form.counted.obstructed if each.obstacle],
                "effects": [_effect_shown(effect) for effect in form.counted.effects],
                "names_agents": request.user.has_perm("agents.view_agent"),
                "count": form.counted.agents,
                "must_type": form.counted.agents > typed_count.TYPE_ABOVE,
            }
        return super().render_change_form(request, context, add, change, form_url, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Through the service, which releases what it changes."""
        saved = cast("ValueForm", form).save_through_service(dry_run=False)
        assert saved.row is not None  # noqa: S101  it was not only counted
        obj.pk = saved.row.pk
        obj.refresh_from_db()
        self._say(request, saved)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """One that is used stays."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except DomainError as error:
            self.message_user(request, in_readers_language(error), messages.ERROR)
            return redirect(reverse(f"admin:variables_{self.opts.model_name}_change", args=[object_id]))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Through the service. Raises `InUse`."""
        value_edits.delete(obj, by=cast("User", request.user), at=clock.now())

    def _say(self, request: HttpRequest, change: Change) -> None:
        for effect in change.rollouts:
            if effect.planned is not None and effect.planned.rollout is not None:
                page = reverse("admin:rollouts_rollout_change", args=[effect.planned.rollout.pk])
                text = _("The change goes out to %(name)s in stages:") % {"name": effect.name}
                link = format_html('{} <a href="{}">{}</a>', text, page, effect.planned.rollout)
                self.message_user(request, link, messages.INFO)
        if change.agents and not change.rollouts:
            said = ngettext("%(count)d agent gets other files.", "%(count)d agents get other files.", change.agents) % {
                "count": change.agents
            }
            self.message_user(request, said, messages.INFO)


def _effect_shown(effect: Rerendering) -> dict[str, Any]:
    """One configuration's effect, with its stages in words."""
    planned = effect.planned
    return {
        "effect": effect,
        "policy": policy_words(None if planned is None else planned.policy),
        "agents": effect.agents if planned is None else planned.agents,
        "stages": [
            {"planned": stage, "words": stage_words(stage.stage, is_rest=stage.everybody_else)}
            for stage in (() if planned is None else planned.stages)
        ],
    }


@admin.register(Variable)
class VariableAdmin(ValueAdmin):
    """Values for files, by selector."""

    group = "vars"
    form = VariableForm
    list_display = ["name", "value_shown", "selector_text", "priority", "used_by", "updated_at", "updated_by"]
    search_fields = ["name", "description"]
    readonly_fields = ["used_by"]
    fields = ["name", "value", "selector", "match_all", "priority", "description", "used_by"]

    @admin.display(description=_("value"), ordering="value")
    def value_shown(self, row: Variable) -> SafeString:
        """The beginning."""
        return format_html("<code>{}</code>", row.value if len(row.value) <= 80 else f"{row.value[:80]}…")

    @admin.display(description=_("selector"))
    def selector_text(self, row: Variable) -> SafeString:
        """As a label query."""
        selector = row.parsed_selector()
        return format_html("<code>{}</code>" if selector.requirements else "{}", in_readers_language(selector.words))


@admin.register(Secret)
class SecretAdmin(ValueAdmin):
    """Secrets, of which nobody sees the value."""

    group = "secrets"
    form = SecretForm
    list_display = ["name", "has_value", "description", "used_by", "updated_at", "updated_by"]
    list_select_related = ["updated_by"]
    search_fields = ["name", "description"]
    readonly_fields = ["used_by"]

    def get_fields(self, request: HttpRequest, obj: Secret | None = None) -> Any:
        """A viewer has no field for the value."""
        writes = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return ["name", *(["value"] if writes else []), "description", "used_by"]

    @admin.display(description=_("value"))
    def has_value(self, row: Secret) -> SafeString:
        """Signs alone."""
        return format_html('<span class="quiet" title="{}">••••••</span>', _("never shown"))

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """What was typed may stand in the answer: nothing on the way keeps it."""
        return showing_secret(super().changeform_view(request, *args, **kwargs))
