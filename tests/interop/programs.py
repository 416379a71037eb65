"""The third-party agents as programs: how each is built and started, and what a test says to it and hears from it."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
BUILD_SECONDS = 300.0
EVENT_SECONDS = 60.0
# Tools, how to ask for the version, the oldest that will do. Go fetches what go.mod names from 1.21 on.
_TOOLS = {
    "go": (("go",), ("go", "version"), (1, 21)),
    "node": (("node", "npm"), ("node", "--version"), (18, 19)),
}


@dataclass(frozen=True)
class Kind:
    """One client over one transport. ``title`` is its name for people.

    ``says_goodbye``: sends agent_disconnect when it stops. opamp-go 0.23 does so over WebSocket only, Elastic's never.
    """

    name: str
    title: str
    program: str
    scheme: str
    content_type: str
    good: str
    better: str
    says_goodbye: bool
    config_key: str = ""


_YAML = "receivers:\n  otlp: {{protocols: {{grpc: {{}}}}}}\nexporters:\n  {0}: {{}}\nservice:\n  pipelines:\n    traces: {{receivers: [otlp], exporters: [{0}]}}\n"  # noqa: E501
_YAMLS = {"content_type": "yaml", "good": _YAML.format("debug"), "better": _YAML.format("nop")}
_JSONS = {"content_type": "json", "good": '{"logging_level": "info"}', "better": '{"logging_level": "debug"}'}
KINDS = (
    Kind("go-websocket", "opamp-go over WebSocket", "go", "ws", says_goodbye=True, **_YAMLS),
    Kind("go-http", "opamp-go over HTTP", "go", "http", says_goodbye=False, **_YAMLS),
    Kind(
        "node-http",
        "Elastic's Node client over HTTP",
        "node",
        "http",
        says_goodbye=False,
        config_key="elastic",
        **_JSONS,
    ),
    Kind("python-http", "OpenTelemetry's Python client over HTTP", "python", "http", says_goodbye=True, **_JSONS),
)


class Program:
    """A running agent; ``with Program(command) as agent``.

    Its events are kept in the order they came, each with ``at``, the `time.monotonic` of its arrival.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self.events: list[dict[str, Any]] = []
        self._came = threading.Condition()
        self._errors: list[str] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self.command, cwd=HERE, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._readers = [
            threading.Thread(target=self._read_events, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(EVENT_SECONDS)
        for reader in self._readers:
            reader.join(EVENT_SECONDS)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    def tell(self, line: str) -> None:
        """One command; see the program's own text."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """Let it end by itself."""
        self.tell("stop")
        self.expect("stopped")
        self._process.wait(EVENT_SECONDS)

    def count(self, event: str) -> int:
        """How often it has seen this."""
        with self._came:
            return len(self._of(event))

    def expect(self, event: str, *, after: int = 0, seconds: float = EVENT_SECONDS, **fields: Any) -> dict[str, Any]:
        """The first such event with these fields, of those behind the first ``after`` of its kind; waits for it."""

        def found() -> list[dict[str, Any]]:
            return [item for item in self._of(event)[after:] if fields.items() <= item.items()]

        with self._came:
            if not self._came.wait_for(found, seconds):
                errors = "".join(self._errors)[-2_000:]
                raise AssertionError(f"no {event} {fields} in {seconds:g} s: {self.events}\n{errors}")
            return found()[0]

    def _of(self, event: str) -> list[dict[str, Any]]:
        return [item for item in self.events if item["event"] == event]

    def _read_events(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._came:
                self.events.append({**json.loads(line), "at": time.monotonic()})
                self._came.notify_all()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(self._process.stderr)


@functools.cache
def obstacle(kind: Kind) -> str:
    """Why this agent cannot be built on this machine, in a few words; empty when it can."""
    return "" if kind.program == "python" else missing_tool(kind.program)


def command(kind: Kind) -> list[str]:
    """How to start an agent of this kind, which has no `obstacle`; builds it once."""
    if kind.program == "python":
        return [sys.executable, str(HERE / "python" / "agent.py")]
    return list(_go() if kind.program == "go" else _node())


def missing_tool(program: str) -> str:
    """Which tool ``go`` or ``node`` agents lack here; empty when they lack none."""
    tools, version_command, oldest = _TOOLS[program]
    for tool in tools:
        if shutil.which(tool) is None:
            return f"no {tool}"
    shown = subprocess.run(version_command, capture_output=True, text=True, timeout=30, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", shown)
    if found is None or (int(found[1]), int(found[2])) < oldest:
        return f"{program} is older than {oldest[0]}.{oldest[1]}"
    return ""


@functools.cache
def _go() -> tuple[str, ...]:
    target = BUILD / "go-agent"
    with one_at_a_time():
        build(["go", "build", "-buildvcs=false", "-o", str(target), "."], HERE / "go", go_environment())
    return (str(target),)


@functools.cache
def _node() -> tuple[str, ...]:
    """The modules are installed beside a copy of the program, so that the work tree stays clean."""
    target = BUILD / "node"
    with one_at_a_time():
        target.mkdir(exist_ok=True)
        for name in ("agent.mjs", "package.json", "package-lock.json"):
            shutil.copyfile(HERE / "node" / name, target / name)
        wanted = hashlib.sha256((target / "package-lock.json").read_bytes()).hexdigest()
        stamp = target / "node_modules" / ".installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            build(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], target, dict(os.environ))
            stamp.write_text(wanted)
    return ("node", str(target / "agent.mjs"))


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Test processes that run side by side share what is built; the first one builds it."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def go_environment() -> dict[str, str]:
    """The environment without what would build for another machine."""
    return {name: value for name, value in os.environ.items() if name not in {"GOFLAGS", "GOOS", "GOARCH"}}


def build(
    build_command: list[str], folder: Path, environment: dict[str, str], *, seconds: float = BUILD_SECONDS
) -> None:
    """Run a command that builds something; fails with what it wrote."""
    done = subprocess.run(
        build_command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{' '.join(build_command)} failed:\n{done.stdout}{done.stderr}"
