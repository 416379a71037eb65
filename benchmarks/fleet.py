"""A scenario's end of the driver process: start it, send commands, read answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent


class DriverFailed(Exception):
    """A command was not done, usually not in time; the text is the driver's error with its figures so far."""


class Fleet:
    """One driver process with its agents; ``with Fleet(port, count) as fleet``. Commands are those of `benchmarks.driver`."""

    def __init__(
        self,
        port: int,
        count: int,
        *,
        transport: str = "websocket",
        first: int = 0,
        parses: bool = True,
        reports: bool | None = None,
    ) -> None:
        self._preparation = {
            "port": port, "count": count, "transport": transport, "first": first, "parses": parses, "reports": reports,
        }  # fmt: skip

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.driver"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.call("prepare", **self._preparation)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process.stdout.close()

    def call(self, command: str, **arguments: Any) -> Any:
        """One command done, and its figures. Raises `DriverFailed`."""
        self.begin(command, **arguments)
        return self.finish()

    def begin(self, command: str, **arguments: Any) -> None:
        """Send a command without waiting; `finish` must follow."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self._process.stdin.flush()

    def finish(self) -> Any:
        """The answer to the command begun."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise DriverFailed(f"the driver ended with status {self._process.wait(10)}")
        answer = json.loads(line)
        if "error" in answer:
            raise DriverFailed(answer["error"])
        return answer["result"]
