"""``manage.py simulate_agents`` as a process of a test: its lines, its signals, its end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import Self

from tests.live_server import ROOT, LiveServer

PATIENCE_SECONDS = 60.0
STOP_SECONDS = 20.0


class SimulatedFleet:
    """So many agents of one server; ``with SimulatedFleet(server, 5, "--seed", "1") as fleet``."""

    def __init__(self, server: LiveServer, count: int, *options: str, transport: str = "ws") -> None:
        self.server = server
        self.lines: list[str] = []
        self._came = threading.Condition()
        self._command = [
            sys.executable, "manage.py", "simulate_agents", "--count", str(count), "--transport", transport,
            "--endpoint", server.websocket_endpoint, "--heartbeat", "1", "--apply-seconds", "0.2",
            "--summary-seconds", "0.2", *options,
        ]  # fmt: skip

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command, cwd=ROOT, env=self.server.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def expect(self, pattern: str, seconds: float = PATIENCE_SECONDS) -> re.Match[str]:
        """The newest line that matches; waits for one."""

        def found() -> re.Match[str] | None:
            return next((match for line in reversed(self.lines) if (match := re.search(pattern, line))), None)

        with self._came:
            match = self._came.wait_for(found, seconds)
        assert match is not None, f"no line like {pattern!r} in {seconds:g} s:\n{self.text}"
        return match

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """Ask it to end; returns its last line. Fails when it does not end in time and in order."""
        self.process.send_signal(number)
        return self.end(STOP_SECONDS)

    def end(self, seconds: float) -> str:
        """Wait for its end; returns its last line."""
        assert self.process.wait(seconds) == 0, self.text
        self._reader.join(STOP_SECONDS)
        return self.lines[-1]

    @property
    def text(self) -> str:
        """The end of what it wrote."""
        return "\n".join(self.lines[-40:])

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._came:
                self.lines.append(line.rstrip("\n"))
                self._came.notify_all()
