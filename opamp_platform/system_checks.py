"""Configuration mistakes as numbered system checks with hints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register


@register()
def several_workers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Several workers share agents through PostgreSQL and Redis."""
    if settings.WEB_CONCURRENCY < 2:
        return []
    found: list[CheckMessage] = []
    if not settings.REDIS_URL:
        found.append(
            Error(
                "Several workers with an in-memory channel layer: they cannot wake each other.",
                hint="Set REDIS_URL, or WEB_CONCURRENCY=1.",
                id="opamp.E001",
            )
        )
    if settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
        found.append(
            Error(
                "Several workers on SQLite, which has one writer.",
                hint="Set DATABASE_URL to PostgreSQL, or WEB_CONCURRENCY=1.",
                id="opamp.E002",
            )
        )
    return found


@register()
def agent_credentials_have_what_they_need(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Agents get their credentials in return for the secret, in the offer that also carries the heartbeat interval."""
    if not settings.OPAMP_AGENT_CREDENTIALS:
        return []
    found: list[CheckMessage] = []
    if not settings.OPAMP_SECRET_KEY:
        found.append(
            Error(
                "OPAMP_AGENT_CREDENTIALS without OPAMP_SECRET_KEY: whoever needs no secret to come in needs no credential.",
                hint="Set OPAMP_SECRET_KEY, or OPAMP_AGENT_CREDENTIALS=false.",
                id="opamp.E004",
            )
        )
    if settings.OPAMP_OFFER_HEARTBEAT is None:
        found.append(
            checks.Warning(
                "OPAMP_AGENT_CREDENTIALS while nobody has decided about OPAMP_OFFER_HEARTBEAT: agents over TLS get none.",
                hint="Set OPAMP_OFFER_HEARTBEAT=true, after reading in docs/operations.md what an offer costs over TLS.",
                id="opamp.W008",
            )
        )
    elif not settings.OPAMP_OFFER_HEARTBEAT:
        found.append(
            Error(
                "OPAMP_AGENT_CREDENTIALS without OPAMP_OFFER_HEARTBEAT: no offer would bring agents their credentials.",
                hint="Set OPAMP_OFFER_HEARTBEAT=true, or OPAMP_AGENT_CREDENTIALS=false.",
                id="opamp.E005",
            )
        )
    return found


@register()
def pool_holds_the_threads(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Database threads without a connection would wait for each other."""
    pool = settings.DATABASES["default"].get("OPTIONS", {}).get("pool")
    if isinstance(pool, dict) and pool.get("max_size", 4) < settings.DATABASE_THREADS:
        return [
            checks.Warning(
                "The connection pool is smaller than the number of database threads.",
                hint="Raise the pool's max_size.",
                id="opamp.W003",
            )
        ]
    return []


@register(checks.Tags.security, deploy=True)
def entry_points_are_closed(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What may stay open on loopback alone; ``check --deploy`` asks."""
    found: list[CheckMessage] = []
    if not settings.OPAMP_SECRET_KEY:
        found.append(
            checks.Warning(
                "Agents are not asked for a secret: whoever reaches the port can be one and receives configurations.",
                hint="Set OPAMP_SECRET_KEY.",
                id="opamp.W006",
            )
        )
    if settings.OPAMP_OWN_TELEMETRY and not settings.OPAMP_SECRET_KEY:
        found.append(
            checks.Warning(
                "OPAMP_OWN_TELEMETRY without OPAMP_SECRET_KEY: whoever reaches the port writes the metrics of any agent.",
                hint="Set OPAMP_SECRET_KEY, or OPAMP_OWN_TELEMETRY=false.",
                id="opamp.W020",
            )
        )
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            checks.Warning(
                "The portal is served under any host name.",
                hint="Name yours in ALLOWED_HOSTS. /health and /metrics answer under every name.",
                id="opamp.W007",
            )
        )
    return found
