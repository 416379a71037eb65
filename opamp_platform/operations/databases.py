"""Django's database dictionary for `settings`. Pure: the URL comes in as text, nothing is connected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from opamp_platform.environment import StrangeValue


def database(url: str, data_dir: Path, threads: int) -> dict[str, Any]:
    """Django's database dictionary for ``url``; SQLite under ``data_dir`` when it is empty.

    SQLite has one writer, so transactions start IMMEDIATE and wait for the lock instead of failing half-way.
    PostgreSQL gets a pool in code: the same option in a URL would arrive as a string. ``threads`` bounds what the
    report queue can hold at once; two are for chores, the rest for pages and the API.
    """
    if not url:
        url = f"sqlite:///{data_dir / 'opamp.sqlite3'}"
    try:
        database: dict[str, Any] = dict(environ.Env.db_url_config(url))
    except (ValueError, ImproperlyConfigured) as error:
        raise StrangeValue(f"DATABASE_URL cannot be understood: {error}") from error
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32000;",
        }
        # A shared in-memory database would be one connection for all threads; tests then lock each other out.
        database["TEST"] = {"NAME": str(data_dir / "test.sqlite3")}
    elif database["ENGINE"] == "django.db.backends.postgresql":
        database["CONN_MAX_AGE"] = 0
        # A connection that died in the pool is replaced before it is used.
        database["CONN_HEALTH_CHECKS"] = True
        database["OPTIONS"] = {
            # A process that is paused in the middle of a transaction must not hold its locks for ever.
            "options": "-c idle_in_transaction_session_timeout=30s -c lock_timeout=30s",
            # A server that vanished without a word is noticed within 15 s.
            "tcp_user_timeout": 15_000,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 2,
            **database.get("OPTIONS", {}),
            "connect_timeout": 5,
            "pool": {
                "min_size": 1,
                "max_size": threads + 14,
                "timeout": 5,
                "max_lifetime": 1800,
                # After that a new series of attempts begins; the pauses of a long one would grow to minutes.
                "reconnect_timeout": 5,
            },
        }
    else:
        raise StrangeValue("DATABASE_URL must be postgres://… or sqlite:///….")
    return database
