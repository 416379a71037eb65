"""Pages about saved views: making, editing and deleting one's own, and choosing the one that opens first."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.models import User
from agents.admin import columns_page, view_bar
from agents.admin.column_choices import ColumnsInput, choices_of
from agents.agent_columns import known_columns
from agents.models import DefaultView, SavedView
from agents.services import saved_views as views
from agents.services.saved_views import ViewContent, column_names
from foundation.errors import DomainError
from foundation.languages import in_readers_language


class ViewForm(forms.Form):
    """What a view shows."""

    name = forms.CharField(label=_("Name"), max_length=100)
    query = forms.CharField(
        label=_("Query"),
        required=False,
        max_length=2_000,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "class": "labels"}),
        help_text=_("Which agents, as in the search box; all of them without one."),
    )
    columns = forms.CharField(label=_("Columns"), required=False, widget=ColumnsInput)
    group = forms.CharField(
        label=_("Group by label"),
        required=False,
        max_length=255,
        widget=forms.TextInput(attrs={"list": "label-keys", "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("The key of a label, such as env."),
    )
    order = forms.CharField(label=_("Order"), required=False, max_length=300, widget=forms.Select)
    shared = forms.BooleanField(
        label=_("Shared"), required=False, help_text=_("Everybody who may see agents sees it too.")
    )
    first = forms.BooleanField(
        label=_("Opens first"), required=False, help_text=_("The list of agents opens with it, for you alone.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.choices = choices_of(column_names(str(self["columns"].value() or "")))
        self.fields["order"].widget = forms.Select(choices=_orders(str(self["order"].value() or "")))

    def content(self) -> ViewContent:
        """Once valid."""
        values = self.cleaned_data
        return ViewContent(
            values["name"].strip(),
            values["shared"],
            values["query"].strip(),
            column_names(values["columns"]),
            values["group"].strip(),
            values["order"].strip(),
        )


def _orders(present: str) -> list[tuple[str, Any]]:
    """By which columns a list is ordered, both ways; ``present`` is among them whatever it is."""
    found: list[tuple[str, Any]] = [("", _("as the list is"))]
    for column in known_columns():
        if column.field:
            found += [
                (column.name, format_lazy("{} ↑", column.title)),
                (f"-{column.name}", format_lazy("{} ↓", column.title)),
            ]
    return found if present in dict(found) else [*found, (present, present)]


_FIELDS = {"group_by": "group", "ordering": "order"}


class ViewPages:
    """For everybody who may see agents; a view is changed by its owner alone."""

    def __init__(self, site: Any) -> None:
        self._site = site

    def urls(self) -> list[Any]:
        """Below the list."""
        wrapped = self._site.admin_view
        return [
            path("columns/", wrapped(require_safe(self.columns)), name="agent_columns"),
            path("views/", wrapped(self.overview), name="agent_views"),
            path("views/add/", wrapped(self.add), name="agent_view_add"),
            path("views/<int:pk>/", wrapped(self.edit), name="agent_view_edit"),
            path("views/<int:pk>/delete/", wrapped(self.delete), name="agent_view_delete"),
        ]

    def overview(self, request: HttpRequest) -> HttpResponse:
        """All that one sees; POST says which opens first, or that none does."""
        by = _viewer(request)
        if request.method == "POST":
            asked = request.POST.get("first", "")
            key = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 19 else None
            try:
                views.open_first(key, by=by)
            except SavedView.DoesNotExist as error:
                raise Http404 from error
            return redirect("admin:agent_views")
        rows = SavedView.objects.visible_to(by).select_related("owner")[:500]
        context = {
            "title": _("Views of the list of agents"),
            "rows": [
                {"view": view, "url": view_bar.view_address(view), "own": view.owner_id == by.pk} for view in rows
            ],
            "first": DefaultView.objects.filter(user=by).values_list("view", flat=True).first(),
        }
        return self._page(request, "views", context)

    def columns(self, request: HttpRequest) -> HttpResponse:
        """Which columns the list shows, and by which label it is grouped; leads back to the list."""
        _viewer(request)
        found = columns_page.address_or_context(request)
        return redirect(found) if isinstance(found, str) else self._page(request, "columns_page", found)

    def add(self, request: HttpRequest) -> HttpResponse:
        """Filled in with what the list shows."""
        by = _viewer(request)
        form = ViewForm(request.POST) if request.method == "POST" else ViewForm(initial=_asked(request))
        if request.method == "POST" and form.is_valid():
            try:
                view = views.create_view(form.content(), by=by)
            except DomainError as error:
                _refuse(form, error)
            else:
                return self._saved(request, view, form, by)
        return self._page(request, "view_form", {"title": _("Save as a view"), "form": form})

    def edit(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Of one's own; from the list with what that shows now."""
        by = _viewer(request)
        view = _view(pk, by)
        if view.owner_id != by.pk:
            raise PermissionDenied
        first = DefaultView.objects.filter(user=by, view=view).exists()
        stored = {
            "name": view.name, "query": view.query, "columns": ", ".join(map(str, view.columns)), "group": view.group_by,
            "order": view.ordering, "shared": view.shared, "first": first,
        }  # fmt: skip
        form = ViewForm(request.POST) if request.method == "POST" else ViewForm(initial=stored | _asked(request))
        if request.method == "POST" and form.is_valid():
            try:
                view = views.edit_view(view.pk, form.content(), by=by, editions=_editions(request))
            except DomainError as error:
                _refuse(form, error)
            else:
                return self._saved(request, view, form, by)
        context = {
            "title": _("Edit the view %(name)s") % {"name": view},
            "form": form,
            "view": view,
        }
        return self._page(request, "view_form", context)

    def delete(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET asks, POST deletes."""
        by = _viewer(request)
        view = _view(pk, by)
        if view.owner_id != by.pk:
            raise PermissionDenied
        if request.method == "POST":
            views.delete_view(view.pk, by=by)
            messages.success(request, _("The view %(name)s is deleted.") % {"name": view})
            return redirect("admin:agent_views")
        return self._page(
            request, "view_delete", {"title": _("Delete the view %(name)s?") % {"name": view}, "view": view}
        )

    def _saved(self, request: HttpRequest, view: SavedView, form: ViewForm, by: User) -> HttpResponse:
        is_first = DefaultView.objects.filter(user=by, view=view).exists()
        if form.cleaned_data["first"] != is_first:
            views.open_first(None if is_first else view.pk, by=by)
        messages.success(request, _("Saved."))
        return redirect(view_bar.view_address(view))

    def _page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        whole = {**self._site.each_context(request), "list_url": reverse(view_bar.LIST) + "?q=", **context}
        return TemplateResponse(request, f"admin/agents/agent/{name}.html", whole)


def _viewer(request: HttpRequest) -> User:
    if not request.user.has_perm("agents.view_agent"):
        raise PermissionDenied
    return cast("User", request.user)


def _view(pk: int, by: User) -> SavedView:
    view = SavedView.objects.visible_to(by).filter(pk=min(pk, 2**63 - 1)).first()
    if view is None:
        raise Http404
    return view


def _editions(request: HttpRequest) -> frozenset[int] | None:
    text = request.POST.get("edition", "")
    return frozenset({int(text)}) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _asked(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET[name] for name in ("query", "columns", "group", "order") if name in request.GET}


def _refuse(form: ViewForm, error: DomainError) -> None:
    if not isinstance(error, views.InvalidView):
        form.add_error(None, in_readers_language(error))
        return
    for name, said in error.errors.items():
        for message in said:
            form.add_error(_FIELDS.get(name, name), in_readers_language(message))
