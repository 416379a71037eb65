"""The process above several workers: starts them, replaces those that end or hang, passes on the signal to stop.

Each worker has a slot with listening sockets of its own on the same addresses (``SO_REUSEPORT``), among which the kernel
spreads connections evenly; on one shared socket the worker that woke up last would get most of them. The slots' sockets
stay open here, so that who connects while a worker is replaced waits for the next one instead of being refused.

The program that prepares a server becomes this one, and so leaves behind what that took: 12 MiB stay of 100. For the same
reason there is nothing but a little of the standard library here: no event loop, no logging. It knows nothing of what workers
do; each one answers on a line of its own (see `opamp_server.worker`).
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
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, NoReturn

from opamp_server import programs
from opamp_server.programs import HAND_OVER, SIGNALS

# On the line: a question, and the answers of a worker that is about to serve and of one that does.
QUESTION, STARTING, SERVING = b"?", b"0", b"1"
# A worker ends with this status when it could not begin to serve; the next one could not either.
CANNOT_START = 3
_LOOK_SECONDS = 0.5
# A worker that does not answer for so long is replaced. Starting on a busy machine takes a while.
_HANGING_SECONDS = 30.0
# What it takes to hand over 10,000 clients on a busy machine, several times.
_HAND_OVER_SECONDS = 300.0
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


class Log(NamedTuple):
    """Lines as structlog writes them; it would weigh as much as all the rest. ``style`` is ``"json"`` or ``"console"``."""

    level: str
    style: str

    def line(self, level: str, event: str, **fields: object) -> None:
        """Write one to standard error; ``level`` in small letters."""
        if _LEVELS[level.upper()] < _LEVELS[self.level]:
            return
        logger, now = "opamp_server.supervisor", datetime.now(UTC).isoformat().replace("+00:00", "Z")
        if self.style == "json":
            text = json.dumps({"event": event, "level": level, "logger": logger, **fields, "timestamp": now})
        else:
            told = "".join(f" {name}={value}" for name, value in fields.items())
            text = f"{now} [{level:<9}] {event} [{logger}]{told}"
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class Slot:
    """Where one worker at a time listens: a socket for each address, bound here, listening once a worker does."""

    def __init__(self, addresses: Sequence[tuple[str, int]]) -> None:
        self.sockets = [bound(host, port) for host, port in addresses]

    def close(self) -> None:
        """Give the slot up: who waits in its queue must connect again."""
        for listener in self.sockets:
            listener.close()


class Worker:
    """One worker process and the line to it."""

    def __init__(self, command: Sequence[str], slot: Slot) -> None:
        self.slot = slot
        self._line, theirs = socket.socketpair()
        sockets = [listener.fileno() for listener in slot.sockets]
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603  our caller's command
                [*command, ",".join(map(str, sockets)), str(theirs.fileno())],
                pass_fds=[*sockets, theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._line.setblocking(False)
        self.pid = self.process.pid
        self.serves = False
        self.begun_at = self._asked_at = time.monotonic()
        self._asked = False
        self._stops = False
        self._ends_by: float | None = None

    @property
    def has_ended(self) -> bool:
        """True when the process is gone; its line is closed then."""
        if self.process.poll() is None:
            return False
        self._line.close()
        return True

    def hangs(self, now: float, patience: float) -> bool:
        """Take the answer, ask again; true when it has been silent for ``patience`` seconds, or does not stop for so long.

        One that hands over is given more time, and must answer meanwhile.
        """
        if self._ends_by is not None and now > self._ends_by:
            return True
        if self._stops:
            return False
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

    def stop(self, within: float) -> None:
        """Ask it to end in order, in so many seconds."""
        self._stops = True
        self._ends_by = time.monotonic() + within
        self.process.send_signal(signal.SIGTERM)

    def hand_over(self) -> None:
        """Ask it to send its clients to the others and to end then, as fast as those can take them."""
        self._ends_by = time.monotonic() + _HAND_OVER_SECONDS
        self.process.send_signal(HAND_OVER)


class Supervisor:
    """Keeps ``workers`` processes running until it is told to stop. `SIGNALS` must be blocked; they are taken one by one.

    ``command`` is completed by the numbers of the worker's sockets, with commas between, and by that of its line.
    """

    def __init__(
        self,
        *,
        workers: int,
        command: Sequence[str],
        addresses: Sequence[tuple[str, int]],
        log: Log,
        patience: float = _HANGING_SECONDS,
    ) -> None:
        self._command = command
        self._addresses = addresses
        self._slots = [Slot(addresses) for _ in range(workers)]
        self._log = log
        self._patience = patience
        self._workers: list[Worker] = []
        self._leaving: list[Worker] = []
        # While all are replaced: those that come. All of them serve before the first of the former goes, or clients that are
        # sent away would land at one that is the next to go.
        self._newcomers: list[Worker] = []
        self._stopping = False
        self._status = 0

    def run(self) -> int:
        """Until SIGTERM or SIGINT, and all workers have ended. The exit status: 1 when workers cannot start."""
        self._log.line("info", "supervisor started", pid=os.getpid(), workers=len(self._slots))
        self._workers = [self._start(slot) for slot in self._slots]
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
        elif number == signal.SIGHUP and not self._newcomers and not self._leaving:
            self._newcomers = [self._start(worker.slot) for worker in self._workers]
        elif number == signal.SIGTTIN:
            self._workers.append(self._start(Slot(self._addresses)))
        elif number == signal.SIGTTOU and len(self._workers) > 1:
            self._hand_over(self._workers.pop())

    def _look(self, now: float) -> None:
        self._leaving = [worker for worker in self._leaving if not self._is_over(worker, now)]
        self._close_empty_slots()
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
            self._workers.append(self._start(worker.slot))
        self._replace(now)

    def _is_over(self, worker: Worker, now: float) -> bool:
        if not worker.has_ended and worker.hangs(now, self._patience):
            self._log.line("error", "a worker hangs and is killed", pid=worker.pid)
            worker.process.kill()
            worker.process.wait()
        return worker.has_ended

    def _replace(self, now: float) -> None:
        """One step of replacing all: when every newcomer serves, the former ones hand over."""
        failed = [
            worker
            for worker in self._newcomers
            if self._is_over(worker, now) or (not worker.serves and now - worker.begun_at > self._patience)
        ]
        if failed:
            self._log.line("error", "new workers do not start: the former ones stay", pids=[one.pid for one in failed])
            for worker in self._newcomers:
                worker.process.kill()
                worker.process.wait()
            self._newcomers = []
        elif self._newcomers and all(worker.serves for worker in self._newcomers):
            former, self._workers, self._newcomers = self._workers, self._newcomers, []
            for worker in former:
                self._hand_over(worker)

    def _start(self, slot: Slot) -> Worker:
        worker = Worker(self._command, slot)
        self._log.line("info", "worker started", pid=worker.pid)
        return worker

    def _close_empty_slots(self) -> None:
        """Nobody would ever accept what the kernel gives to a slot that no worker has."""
        taken = [worker.slot for worker in (*self._workers, *self._newcomers, *self._leaving)]
        for slot in self._slots:
            if slot not in taken:
                slot.close()
        self._slots = list(dict.fromkeys(taken))

    def _hand_over(self, worker: Worker) -> None:
        self._leaving.append(worker)
        worker.hand_over()

    def _stop(self) -> None:
        self._stopping = True
        self._leaving += self._workers + self._newcomers
        self._workers, self._newcomers = [], []
        for worker in self._leaving:
            worker.stop(self._patience)


def bound(host: str, port: int) -> socket.socket:
    """A socket on an address that several may share. Raises OSError."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def become(
    *, workers: int, addresses: Sequence[tuple[str, int]], command: Sequence[str], level: str, style: str
) -> NoReturn:
    """Replace this process by a supervisor of ``workers`` processes that run ``command`` and listen on ``addresses``."""
    given = {"workers": workers, "addresses": addresses, "command": command, "level": level, "style": style}
    programs.become(__name__, json.dumps(given))


def main() -> None:
    """Runs after `become`."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    log = Log(given.pop("level"), given.pop("style"))
    try:
        supervisor = Supervisor(**given, log=log)
    except OSError as error:
        log.line("error", "an address cannot be used", addresses=given["addresses"], error=str(error))
        sys.exit(1)
    sys.exit(supervisor.run())


if __name__ == "__main__":
    main()
