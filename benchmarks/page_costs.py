"""Middleware of the measured server only: every page tells in its headers how long it took and what it asked the database.

``X-Bench-Seconds``, ``X-Bench-Queries``, and ``X-Bench-Scans``: the large tables that some statement of the page reads from
end to end, by the database's own plan (PostgreSQL).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse

LARGE_ROWS = 50_000


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

        begun = time.perf_counter()
        with connection.execute_wrapper(note):
            response = self._get_response(request)
        response["X-Bench-Seconds"] = f"{time.perf_counter() - begun:.4f}"
        response["X-Bench-Queries"] = str(len(statements))
        if "X-Bench-Explain" in request.headers and connection.vendor == "postgresql":
            response["X-Bench-Scans"] = ",".join(sorted(_scanned(statements)))
        return response


def _scanned(statements: list[tuple[str, Any]]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > %s", [LARGE_ROWS])
        large = {name for (name,) in cursor.fetchall()}
        found: set[str] = set()
        for sql, params in statements:
            if sql.lstrip("( ").startswith("SELECT"):
                cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
                (plan,) = cursor.fetchone()
                found |= large.intersection(_sequential(json.loads(plan) if isinstance(plan, str) else plan))
    return found


def _sequential(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for part in node:
            yield from _sequential(part)
    elif isinstance(node, dict):
        if node.get("Node Type") == "Seq Scan":
            yield str(node["Relation Name"])
        for part in node.values():
            if isinstance(part, list | dict):
                yield from _sequential(part)
