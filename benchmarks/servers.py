"""The servers that are measured: the portal, a bare ASGI echo, a minimal server on opamp-go; and what they cost.

CPU time and memory are those of the server's process with all its children (Linux), never of the database.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from opamp_server.worker import ALONE
from tests.live_server import LiveServer, free_port

ROOT = Path(__file__).resolve().parent.parent
GO_SOURCE = ROOT / "benchmarks" / "go"
_START_SECONDS = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

CONFIGURATION = """\
receivers:
  otlp: {protocols: {grpc: {}, http: {}}}
processors:
  memory_limiter: {check_interval: 1s, limit_percentage: 75}
  batch: {send_batch_size: 8192}
exporters:
  otlphttp: {endpoint: "https://telemetry.example.com"}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlphttp]}
    metrics: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlphttp]}
"""


def process_tree(pid: int) -> list[int]:
    """``pid`` and all its descendants that live."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree so far."""
    total = 0
    for member in process_tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def rss_bytes(pid: int) -> int:
    """Resident memory of a process tree; pages shared between its processes count in each."""
    total = 0
    for member in process_tree(pid):
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{member}/statm").read_text().split()[1]) * _PAGE
    return total


class Vitals(NamedTuple):
    """What one process holds now."""

    rss_bytes: int
    open_files: int
    threads: int


def vitals(pid: int) -> Vitals:
    """Read from ``/proc``. Raises OSError when the process is gone."""
    process = Path(f"/proc/{pid}")
    pages = int((process / "statm").read_text().split()[1])
    return Vitals(pages * _PAGE, len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())))


def role(pid: int) -> str:
    """What one process of the portal is for: "server" (one for all), "supervisor", "worker"."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    # In the command line of a supervisor its workers' is a part of an argument.
    parts = command.split(b"\0")
    for name in ("supervisor", "worker"):
        if f"opamp_server.{name}".encode() in parts and ALONE.encode() not in parts:
            return name
    return "server"


_UNLIMITED = {
    # All agents of a driver share one address.
    "OPAMP_HANDSHAKES_PER_SECOND": "0",
    "OPAMP_REQUESTS_PER_SECOND": "0",
    "OPAMP_NEW_AGENTS_PER_HOUR": "0",
    # What more than that costs is to be seen.
    "OPAMP_REPORTS_PER_SECOND": "0",
}


class Portal(LiveServer):
    """The portal with the settings of `benchmarks.settings`, which count SQL statements; ``limited`` as by default, or not."""

    def __init__(self, data_dir: Path, *, workers: int, limited: bool = False, **environment: str) -> None:
        super().__init__(
            data_dir,
            workers=workers,
            **{
                "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
                **({} if limited else _UNLIMITED),
                **environment,
            },
        )

    @property
    def pid(self) -> int:
        """Of the parent process."""
        assert self.process is not None
        return self.process.pid

    def kill_workers(self) -> None:
        """Parent and workers are gone without a word."""
        tree = process_tree(self.pid)
        for member in tree:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        assert self.process is not None
        self.process.wait(10)

    def offer_to_all(self, name: str = "bench") -> None:
        """A configuration for every benchmark agent."""
        body = {"name": name, "content_type": "yaml", "raw_config": CONFIGURATION, "selector": {"bench": "yes"}}
        self.post("configurations", body)

    def statements(self) -> int:
        """SQL statements so far, of all workers."""
        return sum(self._metric("bench_sql_statements_total"))

    def connections(self) -> int:
        """WebSockets that the server has open."""
        return sum(self._metric("opamp_connections"))

    def _metric(self, name: str) -> list[int]:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as response:
            lines = response.read().decode().splitlines()
        return [int(float(line.rpartition(" ")[2])) for line in lines if line.startswith((f"{name} ", f"{name}{{"))]


def default_workers() -> int:
    """Two where PostgreSQL and Redis are named, as on the machine the figures are stated for; else one."""
    return 2 if os.environ.get("DATABASE_URL", "").startswith("postgres") and os.environ.get("REDIS_URL") else 1


@contextlib.contextmanager
def portal(workers: int | None = None, *, limited: bool = False, **environment: str) -> Iterator[Portal]:
    """A portal that is ready, with an empty database of its own."""
    workers = workers or default_workers()
    with (
        tempfile.TemporaryDirectory() as folder,
        Portal(Path(folder), workers=workers, limited=limited, **environment) as server,
    ):
        yield server


class Plain:
    """Another server on a free port, ended by its pid."""

    def __init__(self, command: Sequence[str]) -> None:
        self.port = free_port()
        self._command = [part.format(port=self.port) for part in command]

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=1).read()
            except urllib.error.HTTPError:
                return self  # it answers; that it has no such page does not matter
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.1)
            else:
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)


def echo() -> Plain:
    """The least an ASGI application can do, on the portal's server with the portal's options."""
    return Plain(
        [
            sys.executable, "-m", "uvicorn", "benchmarks.echo:application", "--port", "{port}", "--loop", "uvloop",
            "--http", "httptools", "--ws", "websockets-sansio", "--no-access-log", "--log-level", "warning",
            "--ws-per-message-deflate", "false", "--backlog", "8192",
        ]
    )  # fmt: skip


def opamp_go() -> Plain | None:
    """A server on opamp-go's library that answers every message with the uid; ``None`` where Go is missing."""
    if shutil.which("go") is None:
        return None
    target = Path(tempfile.gettempdir()) / f"opamp-bench-go-{os.getuid()}"
    environment = {name: value for name, value in os.environ.items() if name not in {"GOFLAGS", "GOOS", "GOARCH"}}
    subprocess.run(
        ["go", "build", "-buildvcs=false", "-o", str(target), "."],
        cwd=GO_SOURCE, env=environment, check=True, timeout=300,
    )  # fmt: skip
    return Plain([str(target), "-port", "{port}"])


class Costs:
    """What a server spent between entering and leaving: ``with Costs(server) as costs`` … ``costs.figures``."""

    def __init__(self, server: Portal | Plain) -> None:
        self._server = server
        self.figures: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._statements = self._server.statements() if isinstance(self._server, Portal) else 0
        self._memory = rss_bytes(self._server.pid)
        self._cpu = cpu_seconds(self._server.pid)
        self._begun = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.monotonic() - self._begun
        self.figures = {
            "server CPU s": round(cpu_seconds(self._server.pid) - self._cpu, 2),
            "of seconds": round(seconds, 2),
            "RSS MiB": round(rss_bytes(self._server.pid) / 2**20, 1),
            "RSS grown MiB": round((rss_bytes(self._server.pid) - self._memory) / 2**20, 1),
        }
        if isinstance(self._server, Portal) and error is None:
            self.figures["SQL statements"] = self._server.statements() - self._statements
