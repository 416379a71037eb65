"""Verdicts on what the portal depends on. Nothing here needs a session, so it answers when the database is away."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from opamp_platform.operations import certificate

OK, DEGRADED, FAILED = "ok", "degraded", "failed"
_TIMEOUT_SECONDS = 2
_PROBE_BYTES = 4096
# Stores may ask money for each question, and a dead one makes a probe wait for two timeouts.
_BUCKET_SECONDS = 10.0
_bucket_lock = threading.Lock()

# One of the three words above, and the reason in plain English.
Verdict = tuple[str, str]
# When the bucket was asked last, and what came of it.
_bucket_verdict: list[tuple[float, Verdict]] = []


def live(_request: HttpRequest) -> JsonResponse:
    """The process answers; says nothing of what it depends on."""
    return JsonResponse({"status": OK})


def ready(_request: HttpRequest) -> JsonResponse:
    """200 when agents and people can be served, else 503; a verdict and a reason for each dependency."""
    checks: dict[str, Callable[[], Verdict]] = {"database": _database, "migrations": _migrations, "storage": _storage}
    if settings.REDIS_URL:
        checks["redis"] = _redis
    if settings.OPAMP_TLS is not None:
        checks["certificate"] = _certificate
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
    """A lost Redis degrades: wake-ups between processes come late, found by each process's own look."""
    try:
        client = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
        )
        with client:
            client.ping()
    except redis.RedisError as error:
        return DEGRADED, f"out of reach: {first_line(error)}"
    return OK, "reachable"


def _certificate() -> Verdict:
    """One that ends soon degrades: who verifies it will not come in any more."""
    good, said = certificate.certificate_verdict()
    return OK if good else DEGRADED, said


def _storage() -> Verdict:
    """Files under the data directory must be writable, or the bucket be there."""
    if settings.S3_BUCKET:
        return _bucket()
    try:
        # Rights say nothing of a full disk.
        with tempfile.TemporaryFile(dir=settings.DATA_DIR) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
    except OSError as error:
        return FAILED, f"the data directory cannot be written ({error.strerror}): see DATA_DIR"
    return OK, "files"


def _bucket() -> Verdict:
    """A lost store degrades: agents and people are served without it. Asked at most every ten seconds, whoever probes."""
    now = time.monotonic()
    with _bucket_lock:
        if _bucket_verdict and now - _bucket_verdict[0][0] < _BUCKET_SECONDS:
            return _bucket_verdict[0][1]
        verdict = _asked_bucket()
        _bucket_verdict[:] = [(time.monotonic(), verdict)]
        return verdict


def _asked_bucket() -> Verdict:
    # Here, since they weigh 20 MiB in each process, also where files lie in a folder.
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = boto3.client(
            "s3",
            endpoint_url=settings.S3_ENDPOINT_URL or None,
            aws_access_key_id=settings.S3_ACCESS_KEY,
            aws_secret_access_key=settings.S3_SECRET_KEY,
            config=Config(
                connect_timeout=_TIMEOUT_SECONDS, read_timeout=_TIMEOUT_SECONDS, retries={"total_max_attempts": 1}
            ),
        )
        with contextlib.closing(client):
            client.head_bucket(Bucket=settings.S3_BUCKET)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        reason = {"404": "there is no such bucket", "403": "its keys are not accepted"}.get(code, first_line(error))
        return DEGRADED, f"bucket {settings.S3_BUCKET}: {reason}"
    except (BotoCoreError, ValueError) as error:
        return DEGRADED, f"bucket {settings.S3_BUCKET} is out of reach: {first_line(error)}"
    return OK, "S3"


def first_line(error: Exception) -> str:
    """Enough to act on; drivers add hints over many lines."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
