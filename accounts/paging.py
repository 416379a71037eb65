"""Pages of large tables in the admin: every row can be reached, and no page counts them all. No model is known here."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property

WINDOW = 10_000


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


class WindowPaging:
    """For a ModelAdmin over a large table."""

    def get_paginator(self, request: HttpRequest, queryset: Any, per_page: int, *_args: Any, **_kwargs: Any) -> Any:
        """With the window where the person reads."""
        page = request.GET.get("p", "1")
        return WindowPaginator(queryset, per_page, page=int(page) if page.isdecimal() and len(page) < 9 else 1)
