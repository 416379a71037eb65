"""Databases with all migrations and nothing else: servers of tests begin with copies of them, and so do the tests' own on SQLite.

On SQLite it is made once for a state of the sources, by the first process that needs it; on PostgreSQL once in each process.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, LiteralString, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.db import connection
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
DATABASE_FILE = "opamp.sqlite3"
_KEPT = ROOT / ".pytest_cache"
_KEPT_SECONDS = 24 * 3600
_FIRST_START = ("-m", "tests.first_start")
_NO_SOURCES = {".venv", ".pytest_cache", "tests", "benchmarks", "docs"}


class Begun(NamedTuple):
    """A database after a first start, by its file or its name on a server, and the text of the admin's token in it."""

    database: str
    token: str


@functools.cache
def migrated_file() -> Path:
    """The file of a SQLite database without any rows of a portal."""
    return _kept("migrated", lambda folder: _manage(folder, "", "manage.py", "migrate", "--verbosity", "0"))


@functools.cache
def begun_file(*admin: str) -> Begun:
    """The file of a SQLite database after a first start with this name and password."""

    def begin(folder: str) -> str:
        shutil.copy(migrated_file(), Path(folder) / DATABASE_FILE)
        return _manage(folder, "", *_FIRST_START, *admin)

    path = _kept("begun", begin)
    return Begun(str(path), path.with_suffix(".token").read_text(encoding="utf-8").strip())


def _kept(kind: str, make: Callable[[str], str]) -> Path:
    """The file of a kind; ``make`` makes it in a folder if there is none for these sources. What that prints is kept beside it."""
    path = _KEPT / f"{kind}-{_digest_of_sources()}.sqlite3"
    _KEPT.mkdir(exist_ok=True)
    with (_KEPT / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            for old in _KEPT.glob(f"{kind}-*.*"):
                if old.stat().st_mtime < time.time() - _KEPT_SECONDS:
                    old.unlink()
            with tempfile.TemporaryDirectory(prefix=f"{kind}-", dir=_KEPT) as folder:
                path.with_suffix(".token").write_text(make(folder), encoding="utf-8")
                (Path(folder) / DATABASE_FILE).rename(path)
    return path


@functools.cache
def _digest_of_sources() -> str:
    """Of all that these databases can depend on: migrations, models, the packages with theirs, and this file's helpers."""
    digest = hashlib.sha256((ROOT / "requirements" / "base.lock").read_bytes())
    for helper in ("first_start.py", "live_server.py"):
        digest.update(Path(__file__).with_name(helper).read_bytes())
    for path in sorted(ROOT.glob("*/**/*.py")):
        name = path.relative_to(ROOT)
        if name.parts[0] not in _NO_SOURCES:
            digest.update(f"{name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def install() -> None:
    """From now on the tests' own SQLite database is a copy when it is made; what is migrated then is what is missing: nothing."""
    creation: Any = connection.creation
    create = creation._create_test_db

    def create_copy(*arguments: Any, **options: Any) -> str:
        name: str = create(*arguments, **options)
        if not creation.is_in_memory_db(name) and not Path(name).exists():
            shutil.copy(migrated_file(), name)
        return name

    if connection.vendor == "sqlite":
        creation._create_test_db = create_copy


@functools.cache
def migrated_database(server_url: str) -> str:
    """The name of a database on the PostgreSQL server that ``server_url`` names; nobody is connected to it."""
    name, _nothing = _new_database(server_url, "manage.py", "migrate", "--verbosity", "0")
    return name


@functools.cache
def begun_database(server_url: str, *admin: str) -> Begun:
    """The like after a first start with this name and password."""
    return Begun(*_new_database(server_url, *_FIRST_START, *admin))


def _new_database(server_url: str, *command: str) -> tuple[str, str]:
    """The name of a new database, in which the command was run, and what that printed."""
    name = f"opamp_migrated_{secrets.token_hex(6)}"
    on_server(server_url, "CREATE DATABASE {}", name)
    atexit.register(on_server, server_url, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
    with tempfile.TemporaryDirectory(prefix="opamp-migrated-") as folder:
        return name, _manage(folder, database_url(server_url, name), *command).strip()


def database_url(server_url: str, name: str) -> str:
    """The URL of database ``name`` on the server of another one."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def on_server(server_url: str, statement: LiteralString, *names: str) -> None:
    """Run a statement about databases, whose names stand for its ``{}``."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _manage(folder: str, url: str, *command: str) -> str:
    """What a Python program prints that has its data in the folder, and its database at the URL if there is one."""
    environment = {**os.environ, "DATA_DIR": folder, "DATABASE_URL": url, "REDIS_URL": ""}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout
