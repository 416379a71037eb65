"""Verdicts on what the portal depends on. Nothing here needs a session, so it answers when the database is away."""

from __future__ import annotations

import os
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

OK, DEGRADED, FAILED = "ok", "degraded", "failed"
_TIMEOUT_SECONDS = 2

# One of the three words above, and the reason in plain English.
Verdict = tuple[str, str]


def live(_request: HttpRequest) -> JsonResponse:
    """The process answers; says nothing of what it depends on."""
    return JsonResponse({"status": OK})


def ready(_request: HttpRequest) -> JsonResponse:
    """200 when agents and people can be served, else 503; a verdict and a reason for each dependency."""
    checks: dict[str, Callable[[], Verdict]] = {"database": _database, "migrations": _migrations, "storage": _storage}
    if settings.REDIS_URL:
        checks["redis"] = _redis
    verdicts = {}
    for name, check in checks.items():
        status, detail = check()
        verdicts[name] = {"status": status, "detail": detail}
    states = {verdict["status"] for verdict in verdicts.values()}
    overall = FAILED if FAILED in states else DEGRADED if DEGRADED in states else OK
    return JsonResponse({"status": overall, "checks": verdicts}, status=503 if overall == FAILED else 200)


def _database() -> Verdict:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return FAILED, f"out of reach: {_first_line(error)}"
    return OK, connection.vendor


def _migrations() -> Verdict:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return FAILED, "cannot be known while the database is out of reach"
    if missing:
        return FAILED, f"{len(missing)} are missing: run manage.py migrate"
    return OK, "all applied"


def _redis() -> Verdict:
    """A lost Redis degrades: rings between processes come late, found by each process's own look."""
    try:
        client = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
        )
        with client:
            client.ping()
    except redis.RedisError as error:
        return DEGRADED, f"out of reach: {_first_line(error)}"
    return OK, "reachable"


def _storage() -> Verdict:
    """Files under the data directory must be writable; an S3 store is asked when a file is moved, not by probes."""
    if settings.S3_BUCKET:
        return OK, "S3"
    if not os.access(settings.DATA_DIR, os.W_OK | os.X_OK):
        return FAILED, "the data directory cannot be written: see DATA_DIR"
    return OK, "files"


def _first_line(error: Exception) -> str:
    """Enough to act on; drivers add hints over many lines."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
