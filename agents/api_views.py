"""``/api/v1/agent-views``: saved views of the list of agents; one's own are edited, shared ones are seen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import signed_in
from agents.agent_columns import MOST_COLUMNS
from agents.models import Agent, DefaultView, SavedView
from agents.services import saved_views as views
from agents.services.saved_views import ViewChanged, ViewContent, view_content
from foundation.api_input import Flag, StrictSerializer, Text, Whole
from foundation.errors import Category, DomainError
from foundation.messages import Message

_CONTENT = ("name", "shared", "query", "columns", "group_by", "ordering")


_IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description='The ETags that the edit may be based on, such as `"3"`, or `*`; 412 when none is the present one.',
)
_TAG = re.compile(r'\s*(?:W/)?"([0-9]{1,9})"\s*')


class NoSuchView(DomainError):
    """There is none of that number, or the caller may not see it."""

    category = Category.NOT_FOUND

    def __init__(self) -> None:
        super().__init__(Message("no-such-view", "There is no such view."))


class SavedViewSerializer(StrictSerializer):
    """A view as programs read and write it."""

    id = serializers.IntegerField(read_only=True)
    owner = serializers.CharField(source="owner.username", read_only=True)
    name = Text(max_length=100)
    shared = Flag(
        required=False, help_text="Everybody who may see agents sees it; sharing needs the right to change agents."
    )
    query = Text(max_length=2_000, required=False, allow_blank=True, help_text="As `q` of the list of agents.")
    columns = serializers.ListField(
        child=Text(max_length=300),
        required=False,
        max_length=MOST_COLUMNS,
        help_text="As `columns` of an export, in this order.",
    )
    group_by = Text(max_length=255, required=False, allow_blank=True, help_text="The key of a label.")
    ordering = Text(
        max_length=300, required=False, allow_blank=True, help_text="One of the columns; `-` in front reverses."
    )
    opens_first = Flag(required=False, help_text="The list in the portal opens with it, for the caller alone.")
    edition = Whole(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="Counts the edits, as the ETag does. Sent back, an edit in between is a 409.",
    )

    def to_representation(self, instance: SavedView) -> dict[str, Any]:
        """With whether it opens first for the caller."""
        return {
            "id": instance.pk,
            "owner": instance.owner.get_username(),
            **{name: getattr(instance, name) for name in _CONTENT},
            "opens_first": instance.pk == self.context.get("first"),
            "edition": instance.edition,
        }


class SavedViewViewSet(viewsets.GenericViewSet[Any]):
    """Views of the list of agents. Who may see agents has views; who they belong to changes them."""

    queryset = Agent.objects.all()
    serializer_class = SavedViewSerializer
    lookup_value_regex = "[0-9]{1,18}"
    filter_backends = []
    right: str | None = "view"

    def get_queryset(self) -> QuerySet[Any]:
        """One's own and those that are shared."""
        return SavedView.objects.visible_to(self.request.user).select_related("owner")

    def get_object(self) -> SavedView:
        """The one in the URL. Raises `NoSuchView`."""
        row: SavedView | None = self.get_queryset().filter(pk=int(self.kwargs["pk"])).first()
        if row is None:
            raise NoSuchView
        return row

    @extend_schema(operation_id="agent_views_list", responses=SavedViewSerializer(many=True))
    def list(self, request: Request) -> Response:
        """By name."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(SavedViewSerializer(page, many=True, context=self._context()).data)

    @extend_schema(operation_id="agent_views_retrieve")
    def retrieve(self, request: Request, pk: str) -> Response:
        """One of them; its ETag changes with every edit."""
        return self._said(self.get_object())

    @extend_schema(operation_id="agent_views_create", responses={201: SavedViewSerializer})
    def create(self, request: Request) -> Response:
        """A view of the caller's."""
        values = self._values(partial=False)
        view = views.create_view(_content(values, ViewContent("")), by=signed_in(request))
        return self._opened(view, values, status=201)

    @extend_schema(operation_id="agent_views_update", parameters=[_IF_MATCH])
    def update(self, request: Request, pk: str) -> Response:
        """Replace one's own; fields left out get their defaults."""
        return self._edit(self._values(partial=False), ViewContent(""))

    @extend_schema(operation_id="agent_views_partial_update", parameters=[_IF_MATCH])
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is named; `opens_first` of any view that one sees."""
        values = self._values(partial=True)
        if values.keys() == {"opens_first"}:
            view = self.get_object()
            views.require_edition(view, _editions_of(request))
            return self._opened(view, values)
        return self._edit(values, view_content(self.get_object()))

    @extend_schema(operation_id="agent_views_destroy", parameters=[_IF_MATCH], responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Forget one's own; agents stay as they are."""
        views.delete_view(self.get_object().pk, by=signed_in(request), editions=_editions_of(request))
        return Response(status=204)

    def _values(self, *, partial: bool) -> dict[str, Any]:
        asked = SavedViewSerializer(data=self.request.data, partial=partial)
        asked.is_valid(raise_exception=True)
        return dict(asked.validated_data)

    def _edit(self, values: dict[str, Any], base: ViewContent) -> Response:
        content, by = _content(values, base), signed_in(self.request)
        view = self.get_object()
        views.require_owner(view, by)
        # What can never be is said before what the edit was based on.
        views.check_content(content, by)
        editions = _editions_of(self.request)
        if (edition := values.get("edition")) is not None:
            # In the body too, for programs that do not set headers.
            editions = frozenset({edition}) if editions is None else editions & {edition}
        view = views.edit_view(view.pk, content, by=by, editions=editions)
        return self._opened(view, values)

    def _opened(self, view: SavedView, values: Mapping[str, Any], *, status: int = 200) -> Response:
        by = signed_in(self.request)
        if "opens_first" in values:
            is_first = DefaultView.objects.filter(user=by, view=view).exists()
            if values["opens_first"] != is_first:
                views.open_first(None if is_first else view.pk, by=by)
        return self._said(view, status=status)

    def _said(self, view: SavedView, *, status: int = 200) -> Response:
        shown = SavedViewSerializer(view, context=self._context()).data
        return Response(shown, status=status, headers={"ETag": f'"{view.edition}"'})

    def _context(self) -> dict[str, Any]:
        first = DefaultView.objects.filter(user=signed_in(self.request)).values_list("view", flat=True).first()
        return {**self.get_serializer_context(), "first": first}


def _editions_of(request: Request) -> frozenset[int] | None:
    """Those that the edit may be based on; ``None`` for any. Raises `ViewChanged` for what is no ETag of ours."""
    header = request.headers.get("If-Match", "").strip()
    if header in ("", "*"):
        return None
    found = [_TAG.fullmatch(part) for part in header.split(",")]
    if not all(found):
        raise ViewChanged(Message("view-etag", 'If-Match is no ETag of this view; it looks like "3".'))
    return frozenset(int(each[1]) for each in found if each)


def _content(values: Mapping[str, Any], base: ViewContent) -> ViewContent:
    named = {name: values[name] for name in _CONTENT if name in values}
    if "columns" in named:
        named["columns"] = tuple(dict.fromkeys(named["columns"]))
    return ViewContent(**{**{name: getattr(base, name) for name in _CONTENT}, **named})
