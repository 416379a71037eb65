"""The audit trail in the admin: read-only, with exact times, by person, verb, kind of object and time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.models import AuditEntry
from accounts.paging import WindowPaging
from accounts.trail import Bound, UnclearMoment, by_actor, by_verb, moment, since_or_until

_SHOWN_NAMES = 3


class ObjectFilter(admin.SimpleListFilter):
    """By kind of object; the kinds are those there can be, since asking a long trail for them is a scan."""

    title = gettext_lazy("object type")
    parameter_name = "object"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The models that people see in the portal."""
        return [(model._meta.label_lower, model._meta.verbose_name) for model in admin.site._registry]  # noqa: SLF001

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """The entries about one kind of object."""
        return queryset if self.value() is None else queryset.filter(object_type=self.value())


class TypedFilter(admin.ListFilter):
    """A filter whose value is typed: a long trail has more people and moments than a list of links could hold."""

    template = "admin/accounts/auditentry/typed_filter.html"
    parameter_name = ""
    kind = "text"
    hint: Any = ""

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        given = params.pop(self.parameter_name, [])
        self.value = str(given[-1]).replace("\0", "").strip()[:150] if given else ""
        self.problem = ""

    def has_output(self) -> bool:
        """Always."""
        return True

    def expected_parameters(self) -> list[str | None]:
        """The one of the input."""
        return [self.parameter_name]

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """The state of the form: what to carry along, and where all goes back to."""
        others = changelist.get_filters_params()
        carried = [
            (name, value)
            for name, values in {**others, "q": [changelist.query] if changelist.query else []}.items()
            if name != self.parameter_name
            for value in values
        ]
        yield {"filter": self, "carried": carried, "without": changelist.get_query_string(remove=[self.parameter_name])}


class ActorFilter(TypedFilter):
    """Who did it: the whole name."""

    title = gettext_lazy("actor")
    parameter_name = "actor"
    hint = gettext_lazy("The whole name; system and anonymous too.")

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Those of one person."""
        return by_actor(queryset, self.value)


class VerbFilter(TypedFilter):
    """What was done."""

    title = gettext_lazy("verb")
    parameter_name = "verb"
    hint = gettext_lazy("Such as agent.restart; agent. for all about agents.")

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Those with the verb, or whose verb begins so."""
        return by_verb(queryset, self.value)


class _MomentFilter(TypedFilter):
    kind = "datetime-local"
    bound: Bound

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Those on one side of the moment; what is no moment finds nothing, and says so."""
        if not self.value:
            return queryset
        try:
            return since_or_until(queryset, moment(self.value, self.bound), self.bound)
        except UnclearMoment as error:
            self.problem = str(error)
            return queryset.none()


class SinceFilter(_MomentFilter):
    """From a moment on."""

    title = gettext_lazy("from")
    parameter_name = "since"
    bound = Bound.SINCE


class UntilFilter(_MomentFilter):
    """Up to a moment."""

    title = gettext_lazy("up to")
    parameter_name = "until"
    bound = Bound.UNTIL


@admin.register(AuditEntry)
class AuditEntryAdmin(WindowPaging, admin.ModelAdmin[AuditEntry]):
    """Read-only."""

    list_display = ("when", "actor_name", "verb", "object", "said")
    list_filter = (SinceFilter, UntilFilter, ActorFilter, VerbFilter, ObjectFilter)
    search_fields = ("actor_name", "object_name", "verb")
    search_help_text = gettext_lazy("Person, object, or what was done")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    fields = ("when", "actor_name", "verb", "object", "object_type", "object_id", "details")
    list_display_links = ("when",)

    @admin.display(description=gettext_lazy("at"), ordering="at")
    def when(self, entry: AuditEntry) -> SafeString:
        """Exact and complete: to the second, with the zone."""
        local = timezone.localtime(entry.at)
        return format_html('<time datetime="{}">{}</time>', local.isoformat(), f"{local:%Y-%m-%d %H:%M:%S %Z}")

    @admin.display(description=gettext_lazy("object"), ordering="object_name")
    def object(self, entry: AuditEntry) -> str:
        """Its name; of a bulk action the first names."""
        objects = entry.data.get("objects")
        if not isinstance(objects, list):
            return entry.object_name or "–"
        count = int(entry.data.get("count", len(objects)))
        names = ", ".join(str(one.get("name", "")) for one in objects[:_SHOWN_NAMES])
        more = "…" if count > _SHOWN_NAMES else ""
        return ngettext("%(count)d: %(names)s", "%(count)d: %(names)s", count) % {
            "count": count,
            "names": f"{names}{more}",
        }

    @admin.display(description=gettext_lazy("details"))
    def said(self, entry: AuditEntry) -> str:
        """The beginning of what else is known."""
        known = {key: value for key, value in entry.data.items() if key not in {"objects", "count"}}
        text = ", ".join(f"{key}: {_short(value)}" for key, value in known.items())
        return text if len(text) <= 160 else f"{text[:159]}…"

    @admin.display(description=gettext_lazy("details"))
    def details(self, entry: AuditEntry) -> SafeString:
        """All of it; objects of a bulk action as a list."""
        objects = entry.data.get("objects")
        rest = {key: value for key, value in entry.data.items() if key != "objects"}
        text = json.dumps(rest, indent=2, ensure_ascii=False)
        if not isinstance(objects, list):
            return format_html('<pre tabindex="0">{}</pre>', text)
        lines = "\n".join(" · ".join(str(value) for value in one.values()) for one in objects)
        left_out = int(rest.get("count", 0)) - len(objects)
        more = _("and %(count)d more") % {"count": left_out} if left_out > 0 else ""
        return format_html('<pre tabindex="0">{}</pre><pre tabindex="0">{}</pre><p>{}</p>', text, lines, more)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Services write it."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Append-only."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Append-only."""
        return False


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
