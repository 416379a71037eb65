"""Pages of large tables: every row can be reached, and no page counts or sorts them all. No model is known here."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

WINDOW = 10_000


def keys_first(rows: QuerySet[Any], start: int, stop: int, *, backwards: bool = False) -> QuerySet[Any]:
    """The rows from ``start`` to ``stop``, counted from the end if ``backwards``: their keys are read at once, then they alone.

    What has to be sorted or skipped on the way to them is keys, not whole rows with all that is joined to them. A queryset
    that has ``keys_in_order`` knows where its keys are found in its order.
    """
    keys = rows.keys_in_order() if hasattr(rows, "keys_in_order") else rows.values_list("pk", flat=True)
    return rows.filter(pk__in=list((keys.reverse() if backwards else keys)[start:stop]))


class WindowPaginator(Paginator[Any]):
    """Counts up to 10,000 rows beyond the page shown; ``window`` is where counting ends."""

    def __init__(self, rows: Any, per_page: int, *, page: int) -> None:
        super().__init__(rows, per_page)
        self.window = max(page - 1, 0) * per_page + WINDOW

    @cached_property
    def count(self) -> int:
        """The number of rows, or the end of the window."""
        rows: Any = self.object_list
        found: int = rows.order_by().select_related(None)[: self.window].count()
        return found

    def page(self, number: int | str) -> Page[Any]:
        """The page, found by its keys; in the second half of rows that are all counted, from their end."""
        place = self.validate_number(number)
        rows: Any = self.object_list
        start, stop = (place - 1) * self.per_page, min(place * self.per_page, self.count)
        if self.count < self.window and start > self.count - stop:
            return Page(keys_first(rows, self.count - stop, self.count - start, backwards=True), place, self)
        return Page(keys_first(rows, start, stop), place, self)


class WindowPaging:
    """For a ModelAdmin over a large table."""

    def get_paginator(self, request: HttpRequest, queryset: Any, per_page: int, *_args: Any, **_kwargs: Any) -> Any:
        """With the window where the person reads."""
        page = request.GET.get("p", "1")
        return WindowPaginator(queryset, per_page, page=int(page) if page.isdecimal() and len(page) < 9 else 1)
