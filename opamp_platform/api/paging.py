"""Pages of REST lists: by number, without ever counting a large table."""

from __future__ import annotations

import json
from typing import Any

from django.db import connections
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from foundation.paging import keys_first

# Up to here a list is counted exactly, beyond it estimated.
EXACT = 10_000
PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
# No list is that long, and databases take offsets only so far.
_MAX_OFFSET = 2**31
_DEEP = 1_000


class Pages(BasePagination):
    """``page`` from 1 and ``page_size``, at most 500. What is no such number is refused, not bent.

    One row more than the page is read, so ``next`` is right whatever the count says, and every page can be reached.
    """

    display_page_controls = False

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The rows of the page asked for. Raises `ValidationError` and, beyond the last page, `NotFound`."""
        self.request = request
        self.page = _number(request, "page", 1, None)
        self.page_size = _number(request, "page_size", PAGE_SIZE, MAX_PAGE_SIZE)
        start = (self.page - 1) * self.page_size
        if start >= _MAX_OFFSET:
            raise NotFound(_("There is no such page."))
        rows = _rows(queryset, start, start + self.page_size + 1)
        if not rows and start:
            raise NotFound(_("There is no such page."))
        self.has_next = len(rows) > self.page_size
        rows = rows[: self.page_size]
        if self.has_next:
            self.count, self.count_is_estimate = count_of(queryset)
        else:
            # The last page: what came before it is known exactly.
            self.count, self.count_is_estimate = start + len(rows), False
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        """The envelope of every list."""
        return Response(
            {
                "count": self.count,
                "count_is_estimate": self.count_is_estimate,
                "next": self._link(self.page + 1) if self.has_next else None,
                "previous": self._link(self.page - 1) if self.page > 1 else None,
                "results": data,
            }
        )

    def _link(self, page: int) -> str:
        url = self.request.build_absolute_uri()
        return remove_query_param(url, "page") if page == 1 else replace_query_param(url, "page", page)

    # --- What the schema says of it -----------------------------------------------------------------------------------

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The envelope."""
        link = {"type": "string", "nullable": True, "format": "uri"}
        return {
            "type": "object",
            "required": ["count", "count_is_estimate", "next", "previous", "results"],
            "properties": {
                "count": {
                    "type": "integer",
                    "description": f"Exact up to {EXACT:,}; beyond that see `count_is_estimate`.",
                },
                "count_is_estimate": {"type": "boolean"},
                "next": link,
                "previous": link,
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """The two query parameters."""
        return [
            {
                "name": "page",
                "in": "query",
                "description": "From 1. 404 beyond the last page.",
                "schema": {"type": "integer", "minimum": 1, "default": 1},
            },
            {
                "name": "page_size",
                "in": "query",
                "description": "Rows a page.",
                "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
            },
        ]


def _rows(queryset: QuerySet[Any], start: int, stop: int) -> list[Any]:
    """The rows from ``start`` to ``stop``."""
    by_keys = start >= _DEEP or queryset.query.select_related
    return list(keys_first(queryset, start, stop) if by_keys else queryset[start:stop])


def count_of(queryset: QuerySet[Any]) -> tuple[int, bool]:
    """How many rows, and whether that is an estimate.

    PostgreSQL counts 10,000 rows at most and then asks its planner. SQLite has no estimate; its counts run over an
    index in the same process.
    """
    connection = connections[queryset.db]
    # Without the joins that only bring columns: the planner is good at one table.
    rows = queryset.order_by().values("pk")
    if connection.vendor != "postgresql":
        return rows.count(), False
    counted = rows[: EXACT + 1].count()
    if counted <= EXACT:
        return counted, False
    plan = json.loads(rows.explain(format="json"))
    return max(int(plan[0]["Plan"]["Plan Rows"]), EXACT + 1), True


def _number(request: Request, name: str, default: int, most: int | None) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    digits = text.strip()
    number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 18 else 0
    if number < 1 or (most is not None and number > most):
        said = _("A whole number from 1 to %(most)d.") % {"most": most} if most else _("A whole number from 1.")
        raise ValidationError({name: [said]})
    return number
