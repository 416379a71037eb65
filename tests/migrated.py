"""Databases with all migrations and nothing else, made once in each test process: servers of tests begin with copies of them."""

from __future__ import annotations

import atexit
import functools
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
DATABASE_FILE = "opamp.sqlite3"


@functools.cache
def migrated_file() -> Path:
    """The file of a SQLite database."""
    folder = tempfile.TemporaryDirectory(prefix="opamp-migrated-")
    atexit.register(folder.cleanup)
    _migrate(folder.name, "")
    return Path(folder.name) / DATABASE_FILE


@functools.cache
def migrated_database(server_url: str) -> str:
    """The name of a database on the PostgreSQL server that ``server_url`` names; nobody is connected to it."""
    name = f"opamp_migrated_{secrets.token_hex(6)}"
    on_server(server_url, "CREATE DATABASE {}", name)
    atexit.register(on_server, server_url, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
    with tempfile.TemporaryDirectory(prefix="opamp-migrated-") as folder:
        _migrate(folder, database_url(server_url, name))
    return name


def database_url(server_url: str, name: str) -> str:
    """The URL of database ``name`` on the server of another one."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def on_server(server_url: str, statement: LiteralString, *names: str) -> None:
    """Run a statement about databases, whose names stand for its ``{}``."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _migrate(folder: str, url: str) -> None:
    environment = {**os.environ, "DATA_DIR": folder, "DATABASE_URL": url, "REDIS_URL": ""}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT, env=environment, check=True, timeout=120,
    )  # fmt: skip
