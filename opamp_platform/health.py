"""Verdicts on what the portal depends on. Nothing here needs a session, so it answers when the database is away."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

OK, DEGRADED, FAILED = "ok", "degraded", "failed"
_TIMEOUT_SECONDS = 2
_PROBE_BYTES = 4096

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
    verdicts: dict[str, dict[str, str]] = {}
    for name, check in checks.items():
        if name == "migrations" and verdicts["database"]["status"] == FAILED:
            # Asking again would only wait for the same timeout once more.
            status, detail = FAILED, "cannot be known while the database is out of reach"
        else:
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
        return FAILED, f"out of reach: {first_line(error)}"
    return OK, connection.vendor


def _migrations() -> Verdict:
    try:
        missing = missing_migrations()
    except DatabaseError as error:
        return FAILED, f"cannot be known: {first_line(error)}"
    if missing:
        return FAILED, f"{missing} are missing: run manage.py migrate"
    return OK, "all applied"


def missing_migrations() -> int:
    """How many migrations this code has and the database has not. Raises DatabaseError."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _redis() -> Verdict:
    """A lost Redis degrades: rings between processes come late, found by each process's own look."""
    try:
        client = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
        )
        with client:
            client.ping()
    except redis.RedisError as error:
        return DEGRADED, f"out of reach: {first_line(error)}"
    return OK, "reachable"


def _storage() -> Verdict:
    """Files under the data directory must be writable; an S3 store is asked when a file is moved, not by probes."""
    if settings.S3_BUCKET:
        return OK, "S3"
    try:
        # Rights say nothing of a full disk.
        with tempfile.TemporaryFile(dir=settings.DATA_DIR) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
    except OSError as error:
        return FAILED, f"the data directory cannot be written ({error.strerror}): see DATA_DIR"
    return OK, "files"


def first_line(error: Exception) -> str:
    """Enough to act on; drivers add hints over many lines."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
