"""Middleware of the measured server only: every page tells in its headers how long it took and what it asked the database.

``X-Bench-Seconds``, ``X-Bench-CPU`` (those of its thread alone), ``X-Bench-Queries``, and ``X-Bench-Scans``: the tables of
which some statement of the page read so many rows as a large table has, as the database tells when it runs the statement again
(PostgreSQL). Entries of an index alone do not count.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse

LARGE_ROWS = 50_000
_READS_ROWS = frozenset({"Seq Scan", "Index Scan", "Bitmap Heap Scan"})
_READ_IN_VAIN = ("Rows Removed by Filter", "Rows Removed by Index Recheck")


class PageCosts:
    """Outermost, so that it measures all other middleware too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Serve the page, then explain its statements."""
        statements: list[tuple[str, Any]] = []

        def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            statements.append((sql, params))
            return execute(sql, params, many, context)

        begun, worked = time.perf_counter(), time.thread_time()
        with connection.execute_wrapper(note):
            response = self._get_response(request)
        response["X-Bench-Seconds"] = f"{time.perf_counter() - begun:.4f}"
        response["X-Bench-CPU"] = f"{time.thread_time() - worked:.4f}"
        response["X-Bench-Queries"] = str(len(statements))
        if "X-Bench-Explain" in request.headers and connection.vendor == "postgresql":
            response["X-Bench-Scans"] = ",".join(sorted(_scanned(statements)))
        return response


def _scanned(statements: list[tuple[str, Any]]) -> set[str]:
    found: set[str] = set()
    with connection.cursor() as cursor:
        for sql, params in statements:
            if sql.lstrip("( ").startswith("SELECT"):
                cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", params)
                (plan,) = cursor.fetchone()
                found |= {
                    table
                    for table, rows in _read(json.loads(plan) if isinstance(plan, str) else plan)
                    if rows >= LARGE_ROWS
                }
    return found


def _read(node: Any) -> Iterator[tuple[str, int]]:
    """Each scan of a table's rows, with how many it read."""
    if isinstance(node, list):
        for part in node:
            yield from _read(part)
    elif isinstance(node, dict):
        if node.get("Node Type") in _READS_ROWS:
            each = node["Actual Rows"] + sum(node.get(name, 0) for name in _READ_IN_VAIN)
            yield str(node["Relation Name"]), int(each * node["Actual Loops"])
        for part in node.values():
            if isinstance(part, list | dict):
                yield from _read(part)
