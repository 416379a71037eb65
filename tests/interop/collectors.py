"""A real Collector and a real `opampsupervisor`, run and asked by tests; `tests.interop.go_programs` builds them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.interop import go_programs

_STOP_SECONDS = 15.0
COLLECTOR, SUPERVISOR = go_programs.COLLECTOR.path, go_programs.SUPERVISOR.path


def obstacle() -> str:
    """Why the programs are not here, in a few words; empty when they are."""
    return go_programs.obstacle(go_programs.COLLECTOR, go_programs.SUPERVISOR)


def validation_error(*files: Path) -> str:
    """What ``otelcol validate`` says against these files, merged in this order; empty when it accepts them."""
    configs = [part for file in files for part in ("--config", str(file))]
    done = subprocess.run(
        [str(COLLECTOR), "validate", *configs], capture_output=True, text=True, timeout=60, check=False
    )
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip()


def first_words(config: Path) -> str:
    """What the supervisor says against this file, with which it cannot start."""
    done = subprocess.run(
        [str(SUPERVISOR), "--config", str(config)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    return done.stderr + done.stdout


class Supervisor:
    """A running supervisor with its Collector; ``with Supervisor(folder, endpoint, env="prod") as running``.

    ``capabilities``, ``agent`` and ``server`` are added to what its file says there. Its own state survives in ``folder``.
    """

    def __init__(
        self,
        folder: Path,
        endpoint: str,
        *,
        capabilities: dict[str, bool] | None = None,
        agent: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
        **labels: str,
    ) -> None:
        self._log = folder / "supervisor.log"
        self._config = folder / "supervisor.yaml"
        accepted = {
            "accepts_remote_config": True,
            "reports_remote_config": True,
            "reports_effective_config": True,
            "reports_health": True,
            "accepts_restart_command": True,
            "reports_available_components": True,
            **(capabilities or {}),
        }
        document = {
            "server": {"endpoint": endpoint, **(server or {})},
            "capabilities": accepted,
            "agent": {
                "executable": str(COLLECTOR),
                "description": {"non_identifying_attributes": labels},
                "config_apply_timeout": "3s",
                **(agent or {}),
            },
            "storage": {"directory": str(folder / "storage")},
        }
        self._config.write_text(yaml.safe_dump(document), encoding="utf-8")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            sys.stderr.write(self._log.read_text(encoding="utf-8", errors="replace")[-8_000:])

    def start(self) -> None:
        """Start it in a session of its own: told to stop, it leaves its Collector behind."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(SUPERVISOR), "--config", str(self._config)],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def stop(self) -> None:
        """End it and its Collector."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
        deadline = time.monotonic() + _STOP_SECONDS
        while left := self._processes():
            assert time.monotonic() < deadline, f"processes do not end: {left}"
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def _processes(self) -> list[int]:
        """All of the supervisor's session that live; the Collector has a process group of its own there."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(ProcessLookupError, ValueError):
                if os.getsid(int(entry.name)) == self._process.pid and _lives(entry):
                    found.append(int(entry.name))
        return found


def _lives(entry: Path) -> bool:
    """False for one that has ended and waits for whoever has inherited it."""
    try:
        return entry.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
