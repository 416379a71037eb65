"""The base of every list and form of the admin: a URL asks for what the page declares, and is a 400 that says so otherwise.

Django's own lists take any lookup of any field, which lets a reader run a regular expression over the fleet, or give the
database a number that no column can hold. Of models only the audit trail is known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, ChangeList
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.db import DataError
from django.db.models import BooleanField, DateTimeField, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from accounts.history import acts_on
from accounts.templatetags.instants import instant

# No person types more; a database builds one condition for each word and column.
MOST_CHARACTERS = 1_000
MOST_WORDS = 32
MOST_ACTS = 200
_PAGE = re.compile(r"[1-9][0-9]{0,8}")
_ORDER = re.compile(r"-?[0-9]{1,2}(?:\.-?[0-9]{1,2})*")
_LARGEST_KEY = 2**63 - 1
# Of the list that a row leads back to, which stands in the address of each row: a long Chinese search would be most of the page.
_LONGEST_BACK = 2_000


class StrangeUrl(BadRequest):
    """A URL that no page of ours makes; the text says why, in the reader's language."""


class Missing(Http404):
    """Nothing is there, of which the text says what, in the reader's language; texts of other 404s are shown to nobody."""


class PortalChangeList(ChangeList):
    """A list that knows its declared filters alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._back, self.preserved_filters = self.preserved_filters, ""

    def url_for_result(self, result: Any) -> str:
        """With the list to go back to, unless that is very long.

        Django adds it too, but resolves the address of each row before, a tenth of drawing it.
        """
        url = super().url_for_result(result)
        return f"{url}?{self._back}" if 0 < len(self._back) <= _LONGEST_BACK else url

    def get_filters(self, request: HttpRequest) -> Any:
        """Django's; raises `StrangeUrl` for what none of the list's filters took."""
        found = super().get_filters(request)
        # A date of the hierarchy becomes bounds, which nobody may ask for by themselves.
        made = {f"{self.date_hierarchy}__gte", f"{self.date_hierarchy}__lt"} - set(request.GET)
        if strange := sorted(set(found[2]) - made):
            raise StrangeUrl(_("This list has no filter “%(name)s”.") % {"name": strange[0][:100]})
        return found

    def get_results(self, request: HttpRequest) -> None:
        """Django's; raises `Missing` beyond the last page."""
        try:
            super().get_results(request)
            missing = self.page_num > 1 and not self.multi_page and not self.show_all
        except IncorrectLookupParameters:
            missing = True
        if missing:
            raise Missing(_("There is no such page."))


class PortalAdmin(admin.ModelAdmin[Any]):
    """What every registered admin stands on; `opamp_platform.portal.PortalSite` sees to it."""

    empty_value_display = "–"

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Django's, with yes and no in the reader's language, where its own icons say True and False, and exact times."""
        return [self.in_words(name) for name in super().get_list_display(request)]

    def in_words(self, name: Any) -> Any:
        """What shows the column ``name`` where it is only read: yes and no as words, times with the exact one on hover."""
        model: Any = self.model  # a class is hashable, whatever its type stub says
        for field in self.opts.concrete_fields:
            if field.name == name and isinstance(field, BooleanField):
                return _yes_or_no(model, name)
            if field.name == name and isinstance(field, DateTimeField):
                return _exact_time(model, name)
        return name

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Django's, also under the names that `get_fieldsets` has for them."""
        names = super().get_readonly_fields(request, obj)
        return [*names, *(shown for name in names if (shown := self.in_words(name)) is not name)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Django's, with yes and no as words, and exact times, where the form is only read."""
        fieldsets = super().get_fieldsets(request, obj)
        read_only = self.get_readonly_fields(request, obj)
        writes = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)

        def shown(name: Any) -> Any:
            return name if writes and name not in read_only else self.in_words(name)

        return [(title, {**options, "fields": [*map(shown, options["fields"])]}) for title, options in fieldsets]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Under a title that says what it shows."""
        return super().changelist_view(
            request, {"title": capfirst(self.opts.verbose_name_plural), **(extra_context or {})}
        )

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Of a new row, under a title in the portal's own words."""
        title = {} if object_id else {"title": _("Add %(name)s") % {"name": self.opts.verbose_name}}
        answer: HttpResponse = super().changeform_view(request, object_id, form_url, {**title, **(extra_context or {})})
        return answer

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Under the name of the row, where Django says what can be done to it."""
        if obj is not None and context.get("subtitle") == str(obj):
            context |= {"title": str(obj), "subtitle": None}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def render_delete_form(self, request: HttpRequest, context: Any) -> HttpResponse:
        """Under the question, with how many of what go along: rows that are mere links between two others are nobody's."""
        links = {field.remote_field.through._meta.verbose_name_plural for field in self._links()}
        own = (self.opts.verbose_name_plural, 1)
        along = [pair for pair in context.get("model_count", ()) if pair != own and pair[0] not in links]
        if not (context.get("perms_lacking") or context.get("protected")):
            context["title"] = _("Delete %(name)s?") % {"name": context["object"]}
        return super().render_delete_form(request, {**context, "goes_along": along})

    def _links(self) -> Iterator[Any]:
        """Fields that lead to many rows, of this model and of those that lead to it."""
        yield from self.opts.many_to_many
        yield from (each.field for each in self.opts.related_objects if each.many_to_many)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """With declared filters alone."""
        return PortalChangeList

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The list asked for. Raises `StrangeUrl`, and `Missing` for a page that is not there."""
        self._check_query(request.GET)
        try:
            return super().get_changelist_instance(request)
        except (IncorrectLookupParameters, OverflowError, DataError) as error:
            raise StrangeUrl(_("This list has no such filter, or the filter no such value.")) from error

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Whatever is asked gets as far as `PortalChangeList.get_filters`, which knows what is declared."""
        return True

    def _check_query(self, query: QueryDict) -> None:
        page, order = query.get(PAGE_VAR), query.get(ORDER_VAR)
        if page is not None and not _PAGE.fullmatch(page):
            raise StrangeUrl(_("A page is a whole number from 1."))
        if order:
            columns = [part.removeprefix("-") for part in order.split(".")] if _ORDER.fullmatch(order) else []
            if not columns or len(set(columns)) < len(columns):
                raise StrangeUrl(_("An order names columns of the list by their numbers, each once."))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Django's, for as many words as a person types. Raises `StrangeUrl`."""
        if len(search_term) > MOST_CHARACTERS or len(search_term.split()) > MOST_WORDS:
            said = _("A search has at most %(characters)d characters and %(words)d words.")
            raise StrangeUrl(said % {"characters": MOST_CHARACTERS, "words": MOST_WORDS})
        return super().get_search_results(request, queryset, search_term)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row. Raises `Missing` when there is none, which only who may look learns."""
        row = super().get_object(request, object_id, from_field)
        if row is None:
            if not self.has_view_or_change_permission(request):
                raise PermissionDenied
            raise Missing(_("There is no such row; it may have been deleted."))
        return row

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *where: Any) -> HttpResponse | None:
        """Django's; raises `StrangeUrl` for chosen rows that no row can be."""
        if not all(map(self._is_key, request.POST.getlist(ACTION_CHECKBOX_NAME))):
            raise StrangeUrl(_("The rows that were chosen cannot be read."))
        return super().response_action(request, queryset, *where)

    def _is_key(self, text: str) -> bool:
        key = self.opts.pk
        assert key is not None  # noqa: S101  every model has one
        try:
            value = key.to_python(text)
        except ValidationError:
            return False
        return not isinstance(value, int) or -_LARGEST_KEY <= value <= _LARGEST_KEY

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What people did to the row, from the audit trail: Django's own page knows its own forms alone, and no fields' names."""
        row = self.get_object(request, unquote(object_id))
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        acts = acts_on(row, most=MOST_ACTS + 1)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Edits of %(name)s") % {"name": row},
            "row": row,
            "acts": acts[:MOST_ACTS],
            "more": MOST_ACTS if len(acts) > MOST_ACTS else 0,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/acts.html", context)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Nothing from the URL: no link of ours fills a form in, and a value of another's need not fit its field."""
        return {}


@lru_cache
def _yes_or_no(model: Any, name: str) -> Callable[[Model], str]:
    """A column of the list: one and the same each time, since Django looks for it by identity."""
    field = model._meta.get_field(name)

    @admin.display(description=getattr(field, "verbose_name", name), ordering=name)
    def column(row: Model) -> str:
        value = getattr(row, name)
        if value is None:
            return format_html('<span class="quiet">? {}</span>', _("Unknown"))
        said = ("good", "✔", _("Yes")) if value else ("quiet", "✖", _("No"))
        return format_html('<span class="{}"><span aria-hidden="true">{}</span> {}</span>', *said)

    column.__name__ = name
    return column


@lru_cache
def _exact_time(model: Any, name: str) -> Callable[[Model], str]:
    """A column or a line of a form, one and the same each time."""

    @admin.display(description=model._meta.get_field(name).verbose_name, ordering=name)
    def column(row: Model) -> str:
        return instant(getattr(row, name))

    column.__name__ = name
    return column


def with_portal_admin(admin_class: type[admin.ModelAdmin[Any]] | None) -> type[admin.ModelAdmin[Any]]:
    """``admin_class`` on the portal's base, which other people's admins do not know of."""
    if admin_class is not None and issubclass(admin_class, PortalAdmin):
        return admin_class
    if admin_class is None:
        return PortalAdmin
    return type(admin_class.__name__, (PortalAdmin, admin_class), {"__module__": admin_class.__module__})
