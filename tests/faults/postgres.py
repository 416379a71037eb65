"""A PostgreSQL cluster of the tests' own, which they may stop as they like."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psycopg

from tests.live_server import free_port

_START_SECONDS = "60"


def binaries() -> Path | None:
    """The folder of the newest installed server's programs; ``None`` when there is none, or no right to run it."""
    if os.getuid() != 0 or "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        return None
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name.split(".")[0])
    )
    return found[-1].parent if found else None


class PostgresCluster:
    """One cluster on a port of its own; ``with PostgresCluster() as cluster``."""

    def __init__(self) -> None:
        folder = binaries()
        assert folder is not None
        self._binaries = folder
        self._home = Path(tempfile.mkdtemp(prefix="opamp-postgres-"))
        self.environment = {"PATH": "/usr/bin:/bin"}
        self.port = free_port()

    def __enter__(self) -> Self:
        shutil.chown(self._home, "postgres", "postgres")
        self._run("initdb", "-D", "data", "-A", "trust", "-U", "opamp", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.is_running:
            self.stop_immediately()
        shutil.rmtree(self._home)

    @property
    def home(self) -> Path:
        """A folder that its programs can read."""
        return self._home

    @property
    def is_running(self) -> bool:
        """True between start and stop."""
        return (self._home / "data" / "postmaster.pid").exists()

    def start(self) -> None:
        """Start, with crash recovery when it was stopped immediately; returns when it accepts connections."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._home} "
            "-c fsync=off -c max_connections=150"
        )
        self._run("pg_ctl", "-D", "data", "-w", "-t", _START_SECONDS, "-l", "log", "-o", options, "start")

    def stop_immediately(self) -> None:
        """As if it had crashed: sessions are cut, nothing is written any more."""
        self._run("pg_ctl", "-D", "data", "-w", "-t", _START_SECONDS, "-m", "immediate", "stop")

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """A new database; gives its URL, and drops it in the end."""
        server = f"postgres://opamp@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]  a name of our own
        yield f"postgres://opamp@127.0.0.1:{self.port}/{name}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]

    def _run(self, program: str, *arguments: str) -> None:
        # Output goes to a file: a server that was started would keep a pipe open for ever.
        with (self._home / "output").open("w+b") as output:
            done = subprocess.run(
                [str(self._binaries / program), *arguments],
                cwd=self._home, user="postgres", group="postgres", extra_groups=[], env=self.environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
            )  # fmt: skip
            output.seek(0)
            assert done.returncode == 0, output.read().decode()
