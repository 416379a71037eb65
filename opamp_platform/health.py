"""Verdicts on what the portal depends on. Nothing here needs a session, so it answers when the database is away."""

from __future__ import annotations

from collections.abc import Callable

import redis
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

OK, DEGRADED, FAILED = "ok", "degraded", "failed"
_TIMEOUT_SECONDS = 2


def live(_request: HttpRequest) -> JsonResponse:
    """The process answers; says nothing of what it depends on."""
    return JsonResponse({"status": OK})


def ready(_request: HttpRequest) -> JsonResponse:
    """200 when agents and people can be served, else 503; a verdict and a reason for each dependency."""
    checks: dict[str, Callable[[], tuple[str, str]]] = {"database": _database, "storage": _storage}
    if settings.REDIS_URL:
        checks["redis"] = _redis
    verdicts = {}
    for name, check in checks.items():
        status, detail = check()
        verdicts[name] = {"status": status, "detail": detail}
    states = {verdict["status"] for verdict in verdicts.values()}
    overall = FAILED if FAILED in states else DEGRADED if DEGRADED in states else OK
    return JsonResponse({"status": overall, "checks": verdicts}, status=503 if overall == FAILED else 200)


def _database() -> tuple[str, str]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return FAILED, f"out of reach: {str(error).splitlines()[0][:200]}"
    if missing:
        return FAILED, f"{len(missing)} migrations are missing: run manage.py migrate"
    return OK, connection.vendor


def _redis() -> tuple[str, str]:
    """A lost Redis degrades: rings between processes come late, found by each process's own look."""
    try:
        client = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
        )
        with client:
            client.ping()
    except redis.RedisError as error:
        return DEGRADED, f"out of reach: {str(error)[:200]}"
    return OK, "reachable"


def _storage() -> tuple[str, str]:
    if settings.S3_BUCKET:
        return OK, f"S3 bucket {settings.S3_BUCKET}"
    location = getattr(default_storage, "location", "")
    return OK, f"files under {location}"
