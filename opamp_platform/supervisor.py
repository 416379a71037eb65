"""The process above several workers: starts them, replaces those that end or hang, passes on the signal to stop.

`serve` turns into this program when the database is prepared, and so leaves behind what that took: 12 MiB stay of 100. For
the same reason there is nothing but a little of the standard library here: no Django, no event loop, no logging. It knows
nothing of what workers do; each one answers on a line of its own (see `opamp_platform.worker`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

# On the line: a question, and the answers of a worker that is about to serve and of one that does.
QUESTION, STARTING, SERVING = b"?", b"0", b"1"
# A worker ends with this status when it could not begin to serve; the next one could not either.
CANNOT_START = 3
SIGNALS = frozenset(
    {
        signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD,
        signal.SIGUSR1, signal.SIGUSR2,
    }
)  # fmt: skip
ROOT = Path(__file__).resolve().parent.parent
_LOOK_SECONDS = 0.5
# A worker that does not answer for so long is replaced. Starting on a busy machine takes a while.
_HANGING_SECONDS = 30.0
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


class Log(NamedTuple):
    """Lines as `opamp_platform.logs` writes them; its libraries would weigh as much as all the rest."""

    level: str
    style: str

    def line(self, level: str, event: str, **fields: object) -> None:
        """Write one to standard error; ``level`` in small letters."""
        if _LEVELS[level.upper()] < _LEVELS[self.level]:
            return
        logger, now = "opamp_platform.supervisor", datetime.now(UTC).isoformat().replace("+00:00", "Z")
        if self.style == "json":
            text = json.dumps({"event": event, "level": level, "logger": logger, **fields, "timestamp": now})
        else:
            told = "".join(f" {name}={value}" for name, value in fields.items())
            text = f"{now} [{level:<9}] {event} [{logger}]{told}"
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class Worker:
    """One worker process and the line to it."""

    def __init__(self, command: Sequence[str], sockets: Sequence[int]) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603  what `serve` gave
                [*command, str(theirs.fileno())], pass_fds=[*sockets, theirs.fileno()], stdin=subprocess.DEVNULL
            )
        self._line.setblocking(False)
        self.pid = self.process.pid
        self.serves = False
        self.begun_at = self._asked_at = time.monotonic()
        self._asked = False
        self._told_to_stop_at: float | None = None

    @property
    def has_ended(self) -> bool:
        """True when the process is gone; its line is closed then."""
        if self.process.poll() is None:
            return False
        self._line.close()
        return True

    def hangs(self, now: float, patience: float) -> bool:
        """Take the answer, ask again; true when it has been silent for ``patience`` seconds, or does not stop for so long."""
        if self._told_to_stop_at is not None:
            return now - self._told_to_stop_at > patience
        answers = b""
        # Nothing has come, or the line is broken: a worker that lives must answer all the same.
        with contextlib.suppress(OSError):
            answers = self._line.recv(64)
        if answers:
            self.serves = answers.endswith(SERVING)
            self._asked = False
        if not self._asked:
            self._asked, self._asked_at = True, now
            with contextlib.suppress(OSError):
                self._line.send(QUESTION)
        return now - self._asked_at > patience

    def stop(self) -> None:
        """Ask it to end in order."""
        self._told_to_stop_at = time.monotonic()
        self.process.send_signal(signal.SIGTERM)


class Supervisor:
    """Keeps ``workers`` processes running until it is told to stop. `SIGNALS` must be blocked; they are taken one by one."""

    def __init__(
        self,
        *,
        workers: int,
        command: Sequence[str],
        sockets: Sequence[int],
        log: Log,
        patience: float = _HANGING_SECONDS,
    ) -> None:
        self._wanted = workers
        self._command = command
        self._sockets = sockets
        self._log = log
        self._patience = patience
        self._workers: list[Worker] = []
        self._leaving: list[Worker] = []
        # While they are replaced one after another: whose turn is to come, and the one that comes for the first of them.
        self._old: deque[Worker] = deque()
        self._newcomer: Worker | None = None
        self._stopping = False
        self._status = 0

    def run(self) -> int:
        """Until SIGTERM or SIGINT, and all workers have ended. The exit status: 1 when workers cannot start."""
        self._log.line("info", "supervisor started", pid=os.getpid(), workers=self._wanted)
        self._workers = [self._start() for _ in range(self._wanted)]
        while True:
            taken = signal.sigtimedwait(SIGNALS, _LOOK_SECONDS)
            if taken is not None and taken.si_signo != signal.SIGCHLD:
                self._obey(signal.Signals(taken.si_signo))
            self._look(time.monotonic())
            if self._stopping and not self._leaving:
                self._log.line("info", "supervisor stopped", pid=os.getpid())
                return self._status

    def _obey(self, number: signal.Signals) -> None:
        if self._stopping:
            return
        self._log.line("info", "signal received", signal=number.name)
        if number in {signal.SIGTERM, signal.SIGINT}:
            self._stop()
        elif number == signal.SIGHUP and not self._old:
            self._old = deque(self._workers)
        elif number == signal.SIGTTIN:
            self._workers.append(self._start())
        elif number == signal.SIGTTOU and len(self._workers) > 1:
            self._retire(self._workers[-1])

    def _look(self, now: float) -> None:
        self._leaving = [worker for worker in self._leaving if not self._is_over(worker, now)]
        for worker in list(self._workers):
            if not self._is_over(worker, now):
                continue
            self._workers.remove(worker)
            status = worker.process.returncode
            if status == CANNOT_START:
                self._log.line("error", "a worker cannot start: its log says why", pid=worker.pid)
                self._status = 1
                self._stop()
                return
            self._log.line("warning", "a worker ended and is replaced", pid=worker.pid, status=status)
            self._workers.append(self._start())
        self._replace(now)

    def _is_over(self, worker: Worker, now: float) -> bool:
        if not worker.has_ended and worker.hangs(now, self._patience):
            self._log.line("error", "a worker hangs and is killed", pid=worker.pid)
            worker.process.kill()
            worker.process.wait()
        return worker.has_ended

    def _replace(self, now: float) -> None:
        """One step of replacing all: the next one comes, serves, and only then the former goes."""
        newcomer = self._newcomer
        if newcomer is None:
            while self._old and self._old[0] not in self._workers:
                self._old.popleft()  # it has ended by itself meanwhile
            if self._old and not self._leaving:
                self._newcomer = self._start()
        elif self._is_over(newcomer, now) or now - newcomer.begun_at > self._patience:
            self._log.line("error", "a new worker does not start: the former ones stay", pid=newcomer.pid)
            newcomer.process.kill()
            newcomer.process.wait()
            self._newcomer = None
            self._old.clear()
        elif newcomer.serves:
            self._newcomer = None
            self._workers.append(newcomer)
            former = self._old.popleft()
            if former in self._workers:
                self._retire(former)

    def _start(self) -> Worker:
        worker = Worker(self._command, self._sockets)
        self._log.line("info", "worker started", pid=worker.pid)
        return worker

    def _retire(self, worker: Worker) -> None:
        self._workers.remove(worker)
        self._leaving.append(worker)
        worker.stop()

    def _stop(self) -> None:
        self._stopping = True
        self._old.clear()
        if self._newcomer is not None:
            self._workers.append(self._newcomer)
            self._newcomer = None
        for worker in list(self._workers):
            self._retire(worker)


def become(
    *, workers: int, sockets: Sequence[socket.socket], command: Sequence[str], level: str, style: str
) -> NoReturn:
    """Replace this process by a supervisor of ``workers`` processes that run ``command`` and inherit ``sockets``.

    Its signals wait from now on, so that none is lost between the two programs.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for listener in sockets:
        listener.set_inheritable(True)
    given = {
        "workers": workers,
        "sockets": [listener.fileno() for listener in sockets],
        "command": command,
        "level": level,
        "style": style,
    }
    # Where this project is, whatever folder it was started from.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, program(__name__, json.dumps(given)))  # noqa: S606  a program of our own, without a shell


def program(module: str, *arguments: str) -> list[str]:
    """The command line of a module of ours, run by this interpreter as this process is."""
    options = [f"-W{option}" for option in sys.warnoptions]
    options += [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]  # noqa: SLF001
    return [sys.executable, "-P", *options, "-m", module, *arguments]


def main() -> None:
    """Runs after `become`."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for listener in given["sockets"]:
        os.set_inheritable(listener, False)
    log = Log(given["level"], given["style"])
    sys.exit(Supervisor(workers=given["workers"], command=given["command"], sockets=given["sockets"], log=log).run())


if __name__ == "__main__":
    main()
