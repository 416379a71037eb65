"""The audit trail in the admin: read-only, with exact times, by person, verb, kind of object and time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.base_admin import PortalAdmin
from accounts.history import verb_words
from accounts.models import AuditEntry
from accounts.trail import Bound, UnclearMoment, by_actor, by_verb, moment, since_or_until
from foundation.languages import in_readers_language
from foundation.paging import WindowPaging

_SHOWN_NAMES = 3
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+\d\d:\d\d)")
# What is typed: the kind of input, what it is called, and how to write it.
_TYPED: dict[str, tuple[str, Any, Any]] = {
    "since": ("datetime-local", gettext_lazy("Since"), ""),
    "until": ("datetime-local", gettext_lazy("Up to"), ""),
    "actor": ("text", gettext_lazy("Actor"), gettext_lazy("The whole name; system and anonymous too.")),
    "verb": ("text", gettext_lazy("Verb"), gettext_lazy("Such as agent.restart; agent. for all about agents.")),
}


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
    """Time, person and verb are typed: a long trail has more of them than a list of links could hold."""

    title = gettext_lazy("time, person, verb")
    template = "admin/accounts/auditentry/typed_filter.html"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        given = {name: params.pop(name, [""])[-1] for name in _TYPED}
        self.values = {name: str(value).replace("\0", "").strip()[:150] for name, value in given.items()}
        self.problems: dict[str, str] = {}

    def has_output(self) -> bool:
        """Always."""
        return True

    def expected_parameters(self) -> list[str | None]:
        """Those of the inputs."""
        return list(_TYPED)

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Those for which all holds; what is no moment finds nothing, and says so."""
        rows = by_verb(by_actor(queryset, self.values["actor"]), self.values["verb"])
        for bound in Bound:
            if text := self.values[bound.value]:
                try:
                    rows = since_or_until(rows, moment(text, bound), bound)
                except UnclearMoment as error:
                    self.problems[bound.value] = in_readers_language(error)
                    rows = rows.none()
        return rows

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """One form: its inputs, and what else holds, to be carried along."""
        others = {**changelist.get_filters_params(), "q": [changelist.query]}
        yield {
            "inputs": [
                {"name": name, "kind": kind, "label": label, "hint": hint, "value": self.values[name],
                 "problem": self.problems.get(name, "")}
                for name, (kind, label, hint) in _TYPED.items()
            ],
            "carried": [(name, value) for name, values in others.items() if name not in _TYPED for value in values if value],
            "without": changelist.get_query_string(remove=list(_TYPED)) if any(self.values.values()) else "",
        }  # fmt: skip


@admin.register(AuditEntry)
class AuditEntryAdmin(WindowPaging, PortalAdmin):
    """Read-only."""

    list_display = ("when", "actor_name", "done", "object", "said")
    list_per_page = 25
    list_filter = (TypedFilter, ObjectFilter)
    search_fields = ("actor_name", "object_name", "verb")
    search_help_text = gettext_lazy("Person, object, or what was done")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    fields = ("when", "actor_name", "done", "verb", "object", "kind", "object_id", "details")
    change_form_template = "admin/accounts/auditentry/change_form.html"
    list_display_links = ("when",)

    @admin.display(description=gettext_lazy("at"), ordering="at")
    def when(self, entry: AuditEntry) -> SafeString:
        """Exact and complete: to the second, with the zone."""
        local = timezone.localtime(entry.at)
        return format_html('<time datetime="{}">{}</time>', local.isoformat(), f"{local:%Y-%m-%d %H:%M:%S %Z}")

    @admin.display(description=gettext_lazy("what"), ordering="verb")
    def done(self, entry: AuditEntry) -> SafeString:
        """In words, with the verb that filters and programs know on hover."""
        return format_html('<span title="{}">{}</span>', entry.verb, verb_words(entry.verb))

    @admin.display(description=gettext_lazy("object type"))
    def kind(self, entry: AuditEntry) -> str:
        """As its pages are called."""
        for model in admin.site._registry:  # noqa: SLF001
            if model._meta.label_lower == entry.object_type:
                return str(model._meta.verbose_name)
        return entry.object_type or "–"

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
    def said(self, entry: AuditEntry) -> SafeString:
        """The beginning of what else is known."""
        known = {key: value for key, value in entry.data.items() if key not in {"objects", "count"} and value != ""}
        text = ", ".join(f"{key}: {_in_words(value)}" for key, value in known.items()) or "–"
        return format_html('<span class="two-lines">{}</span>', text if len(text) <= 160 else f"{text[:159]}…")

    @admin.display(description=gettext_lazy("details"))
    def details(self, entry: AuditEntry) -> SafeString:
        """All of it; objects of a bulk action as a list."""
        objects = entry.data.get("objects")
        rest = {key: value for key, value in entry.data.items() if key != "objects"}
        facts = format_html_join("", '<tr><th scope="row">{}</th><td>{}</td></tr>', _lines(rest))
        text = format_html('<table class="facts"><tbody>{}</tbody></table>', facts) if rest else "–"
        if not isinstance(objects, list):
            return format_html("{}", text)
        lines = "\n".join(" · ".join(str(value) for value in one.values()) for one in objects)
        left_out = int(rest.get("count", 0)) - len(objects)
        more = _("and %(count)d more") % {"count": left_out} if left_out > 0 else ""
        return format_html('{}<pre tabindex="0">{}</pre><p>{}</p>', text, lines, more)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """Under what was done, and to what."""
        entry = kwargs.get("obj")
        if entry is not None:
            done = verb_words(entry.verb)
            context |= {"title": f"{done}: {entry.object_name}" if entry.object_name else done, "subtitle": None}
        return super().render_change_form(request, context, *args, **kwargs)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Services write it."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Append-only."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Append-only."""
        return False


def _lines(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each name with its value; what has parts as JSON over several lines."""
    for key, value in data.items():
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, (dict, list)) for one in value)):
            yield key, format_html('<pre tabindex="0">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))
        else:
            yield key, _in_words(value)


def _in_words(value: Any) -> str:
    """A value as people write it, on one line."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, list) and not any(isinstance(one, (dict, list)) for one in value):
        return ", ".join(map(str, value)) or "–"
    if isinstance(value, str):
        return _time_in_words(value) or value
    return json.dumps(value, ensure_ascii=False)


def _time_in_words(text: str) -> str:
    """Of an instant as entries keep it, as pages write it; nothing for any other text."""
    if not _INSTANT.fullmatch(text):
        return ""
    try:
        at = parse_datetime(text)
    except ValueError:
        return ""
    return "" if at is None else date_format(timezone.localtime(at), "DATETIME_FORMAT")
