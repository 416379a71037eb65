"""A real Collector and a real `opampsupervisor`: built once from the Go module proxy, then run and asked by tests.

``python -m tests.interop.collectors`` builds them, as ``make test`` does before the tests: it takes longer than a test may.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.interop.programs import BUILD, HERE, build, go_environment, missing_tool, one_at_a_time

VERSION = "v0.149.0"
_BUILDER = f"go.opentelemetry.io/collector/cmd/builder@{VERSION}"
_PACKAGE = "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/opampsupervisor"
# On two cores that do nothing else it takes two and a half minutes, half of it for downloads.
_BUILD_SECONDS = 1_200.0
_STOP_SECONDS = 15.0


# What the programs are made of, and where they are.
_MANIFEST, _MODULE = HERE / "collector" / "manifest.yaml", HERE / "supervisor" / "go.sum"
COLLECTOR, SUPERVISOR = BUILD / "collector" / "dist" / "otelcol", BUILD / "supervisor" / "opampsupervisor"


def obstacle() -> str:
    """Why the programs are not here, in a few words; empty when they are."""
    return missing_tool("go") or (
        "" if _is_built(COLLECTOR, _MANIFEST) and _is_built(SUPERVISOR, _MODULE) else "not built"
    )


def build_all() -> None:
    """Build what is not here, or was made of something else."""
    with one_at_a_time():
        if not _is_built(COLLECTOR, _MANIFEST):
            folder = COLLECTOR.parent.parent
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_MANIFEST, folder / "manifest.yaml")
            command = ["go", "run", _BUILDER, "--config", str(folder / "manifest.yaml")]
            build(command, folder, go_environment(), seconds=_BUILD_SECONDS)
            _note_built(COLLECTOR, _MANIFEST)
        if not _is_built(SUPERVISOR, _MODULE):
            SUPERVISOR.parent.mkdir(parents=True, exist_ok=True)
            command = ["go", "build", "-buildvcs=false", "-o", str(SUPERVISOR), _PACKAGE]
            build(command, _MODULE.parent, go_environment(), seconds=_BUILD_SECONDS)
            _note_built(SUPERVISOR, _MODULE)


def _is_built(program: Path, source: Path) -> bool:
    stamp = program.with_suffix(".source")
    return program.exists() and stamp.exists() and stamp.read_bytes() == source.read_bytes()


def _note_built(program: Path, source: Path) -> None:
    """Last: a build that was broken off begins anew."""
    shutil.copyfile(source, program.with_suffix(".source"))


def validation_error(*files: Path) -> str:
    """What ``otelcol validate`` says against these files, merged in this order; empty when it accepts them."""
    configs = [part for file in files for part in ("--config", str(file))]
    done = subprocess.run(
        [str(COLLECTOR), "validate", *configs], capture_output=True, text=True, timeout=60, check=False
    )
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip()


class Supervisor:
    """A running supervisor with its Collector; ``with Supervisor(folder, endpoint, env="prod") as running``.

    ``capabilities`` and ``agent`` are added to what its file says there. Its own state survives in ``folder``.
    """

    def __init__(
        self,
        folder: Path,
        endpoint: str,
        *,
        capabilities: dict[str, bool] | None = None,
        agent: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
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
            "server": {"endpoint": endpoint, **({"headers": headers} if headers else {})},
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


def main() -> None:
    """Builds, where there is Go."""
    if why := missing_tool("go"):
        sys.stdout.write(f"opampsupervisor and Collector are not built: {why}\n")
    elif obstacle():
        sys.stdout.write("building opampsupervisor and a Collector for the tests; minutes, once\n")
        sys.stdout.flush()
        build_all()


if __name__ == "__main__":
    main()
