"""A real server process for tests: its own data directory and database, started, stopped, killed and started again.

The database is SQLite under the data directory, or, with DATABASE_URL in the environment, a throw-away database on that
PostgreSQL server; REDIS_URL is passed on with another database number. Nothing here knows the application's code.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, LiteralString, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.migrated import (
    DATABASE_FILE,
    begun_database,
    begun_file,
    database_url,
    migrated_database,
    migrated_file,
    on_server,
)

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 25.0
ADMIN_USERNAME = "admin"
ADMIN_PASSWORD = "a-password-for-tests"
_ADMIN = (ADMIN_USERNAME, ADMIN_PASSWORD)
_REDIS_DATABASE = "7"
_POLL_SECONDS = 0.1
_LONGEST_POLL_SECONDS = 2.0
_BELOW_EPHEMERAL = range(15_000, 32_000)
_PORT_TRIES = 100
_NOT_PASSED_ON = (
    "OPAMP_",
    "S3_",
    "DJANGO_SETTINGS_MODULE",
    "PROMETHEUS_MULTIPROC_DIR",
    "PYTEST_",
    "COV_",
    "SECRET_KEY",
)

T = TypeVar("T")


class Answer(NamedTuple):
    """Status and decoded JSON of one REST call; ``None`` for an empty body."""

    status: int
    json: Any


class LiveServer:
    """One ``manage.py serve`` process; ``with LiveServer(tmp_path) as server``. ``options`` are further ones of `serve`.

    It begins with a database that has all migrations, and after a first start; or with none at all when ``migrated`` is false.
    """

    def __init__(
        self, data_dir: Path, *options: str, workers: int = 1, migrated: bool = True, **environment: str
    ) -> None:
        self.data_dir = data_dir
        self.options = options
        self.workers = workers
        self.port = free_port()
        self.log_path = data_dir / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._token = ""
        self._migrated = migrated
        self._database = _ThrowAwayDatabase(os.environ.get("DATABASE_URL", ""))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)},
            "DATA_DIR": str(data_dir),
            # The same for all, so that it is collected once and not by each.
            "STATIC_ROOT": str(ROOT / ".pytest_cache" / "static"),
            "DATABASE_URL": self._database.url,
            "REDIS_URL": _other_redis_database(os.environ.get("REDIS_URL", "")),
            "ADMIN_USERNAME": ADMIN_USERNAME,
            "ADMIN_PASSWORD": ADMIN_PASSWORD,
            "LOG_FORMAT": "json",
            # Agents of tests heartbeat as often as a test asks for, and not as often as the server would like.
            "OPAMP_OFFER_HEARTBEAT": "false",
            "OPAMP_PORT": "0",  # many servers run side by side in tests; the default port is one
            "WEB_CONCURRENCY": "1",
            "PYTHONUNBUFFERED": "1",
            **environment,
        }

    def __enter__(self) -> Self:
        self._database.create(self._template())
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _template(self) -> str:
        """What its throw-away database is a copy of; on SQLite the copy is made here. With the usual admin it has that too."""
        if not self._migrated:
            return ""
        usual = (self.environment["ADMIN_USERNAME"], self.environment["ADMIN_PASSWORD"]) == _ADMIN
        path = self.data_dir / DATABASE_FILE
        if self.environment["DATABASE_URL"] != self._database.url or self.environment["DATA_DIR"] != str(self.data_dir):
            # Of others, who have made it.
            return ""
        if self._database.url:
            server_url = os.environ["DATABASE_URL"]
            if not usual:
                return migrated_database(server_url)
            template, self._token = begun_database(server_url, *_ADMIN)
            return template
        if not path.exists():
            if usual:
                template, self._token = begun_file(*_ADMIN)
            shutil.copy(template if usual else migrated_file(), path)
        return ""

    # --- Process ---------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where pages and the REST API are, without trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_endpoint(self) -> str:
        """What an agent over WebSocket connects to."""
        return f"ws://127.0.0.1:{self.port}/v1/opamp"

    @property
    def http_endpoint(self) -> str:
        """What an agent over plain HTTP posts to."""
        return f"{self.url}/v1/opamp"

    def start(self) -> None:
        """Start the process and wait until it is ready. Raises AssertionError with the log when it is not in time."""
        command = [sys.executable, "manage.py", "serve", "--port", str(self.port), "--workers", str(self.workers)]
        command += self.options
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.eventually(self._is_ready, START_SECONDS, "the server is ready")

    def kill9(self) -> None:
        """The process is gone without a word."""
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the process to stop, and wait until it has. Raises TimeoutExpired when it does not obey."""
        self._signal(signal.SIGTERM)

    def restart(self, *, graceful: bool = True, **environment: str) -> None:
        """Stop or kill the process, and start it again on the same port; ``environment`` replaces variables."""
        if graceful:
            self.terminate()
        else:
            self.kill9()
        self.environment.update(environment)
        self.start()

    def close(self) -> None:
        """End the process whatever state it is in, and drop its database."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill9()
        self._database.drop()

    def log_tail(self, characters: int = 8_000) -> str:
        """The end of what the process wrote."""
        return (
            self.log_path.read_text(encoding="utf-8", errors="replace")[-characters:] if self.log_path.exists() else ""
        )

    def manage(self, *arguments: str) -> str:
        """Standard output of a management command with this server's settings."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=START_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, statement: LiteralString) -> list[tuple[Any, ...]]:
        """The rows of a SELECT on the server's database, read beside the server."""
        if self.environment["DATABASE_URL"]:
            with psycopg.connect(self.environment["DATABASE_URL"]) as connection:
                return connection.execute(statement).fetchall()
        path = self.data_dir / DATABASE_FILE
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as reader:
            return reader.execute(statement).fetchall()

    def change(self, statement: LiteralString) -> None:
        """Change rows of the server's database beside the server, as when time passes."""
        if self.environment["DATABASE_URL"]:
            with psycopg.connect(self.environment["DATABASE_URL"]) as connection:
                connection.execute(statement)
            return
        path = self.data_dir / DATABASE_FILE
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection, connection:
            connection.execute(statement)

    @contextlib.contextmanager
    def nothing_can_be_written(self, table: LiteralString) -> Iterator[None]:
        """Inside, another program holds a lock that writers of ``table`` wait for (on SQLite: all writers)."""
        if self.environment["DATABASE_URL"]:
            with psycopg.connect(self.environment["DATABASE_URL"]) as connection:
                connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table)))
                yield
        else:
            with contextlib.closing(sqlite3.connect(self.data_dir / DATABASE_FILE, timeout=10)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield
                connection.rollback()

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(STOP_SECONDS)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log_tail()}"
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    # --- REST ------------------------------------------------------------------------------------------------------

    @property
    def token(self) -> str:
        """An API token of the admin, made once; clocks of tests jump by years."""
        if not self._token:
            self._token = self.manage("create_token", "tests", "--expires", "never").strip()
        return self._token

    def context(self) -> ssl.SSLContext | None:
        """What a client verifies the server with, if it does TLS."""
        return None

    def api(self, method: str, path: str, body: object = None) -> Answer:
        """One call of the REST API; ``path`` begins with ``/api/v1/`` or is relative to it."""
        path = path if path.startswith("/") else f"/api/v1/{path}"
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.context()) as response:
                return decoded(response.status, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return decoded(error.code, error.read())

    def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        answer = self.api("GET", path)
        assert answer.status == 200, answer
        return answer.json

    def post(self, path: str, body: object = None) -> Any:
        """The JSON of a POST that must succeed."""
        answer = self.api("POST", path, body)
        assert answer.status in {200, 201, 202}, answer
        return answer.json

    def eventually(self, claim: Callable[[], T], seconds: float = 20.0, what: str = "") -> T:
        """The first true value of ``claim``; fails with the last one and the server's log when none comes in time."""
        deadline = time.monotonic() + seconds
        while True:
            begun = time.monotonic()
            value = claim()
            if value:
                return value
            if time.monotonic() > deadline:
                subject = what or getattr(claim, "__name__", "the claim")
                raise AssertionError(f"not within {seconds:g} s: {subject} (last: {value!r})\n{self.log_tail()}")
            # Claims that cost much are asked less often: they would take the cores from what they wait for.
            time.sleep(min(max(_POLL_SECONDS, 2 * (time.monotonic() - begun)), _LONGEST_POLL_SECONDS))


class _ThrowAwayDatabase:
    """A database of its own on the PostgreSQL server that ``server_url`` names; none for SQLite."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url if server_url.startswith("postgres") else ""
        self.url = ""
        if self._server_url:
            self._name = f"opamp_live_{secrets.token_hex(6)}"
            self.url = database_url(self._server_url, self._name)

    def create(self, template: str) -> None:
        if self._server_url:
            on_server(self._server_url, "CREATE DATABASE {} TEMPLATE {}", self._name, template or "template1")

    def drop(self) -> None:
        if self._server_url:
            on_server(self._server_url, "DROP DATABASE IF EXISTS {} WITH (FORCE)", self._name)


def free_port() -> int:
    """A port that nobody listens on now.

    Not one that the kernel gives to outgoing connections: tests beside this one could be given it before our server listens.
    """
    for _ in range(_PORT_TRIES):
        port = _BELOW_EPHEMERAL.start + secrets.randbelow(len(_BELOW_EPHEMERAL))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no free port was found in {_BELOW_EPHEMERAL}")


def _other_redis_database(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{_REDIS_DATABASE}")) if url else ""


def decoded(status: int, body: bytes) -> Answer:
    """An answer of the REST API."""
    return Answer(status, json.loads(body) if body else None)


def configuration(name: str, selector: Mapping[str, object], raw_config: str, **fields: object) -> dict[str, object]:
    """The body of a POST that creates a one-file configuration."""
    return {"name": name, "content_type": "yaml", "raw_config": raw_config, "selector": selector, **fields}
