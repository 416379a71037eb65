"""The supervisor of several workers, with small programs in their place: real processes, signals and lines."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opamp_platform.environment import StrangeValue
from opamp_platform.operations.logs import logging_config
from opamp_server.supervisor import _LEVELS, Log, Slot
from tests.live_server import ROOT

pytestmark = pytest.mark.any_database

# Leaves a file with its pid, answers on its line as the folder's file `answers` says, and ends when it is told to.
WORKER = """
import os, pathlib, signal, socket, sys, time
signal.pthread_sigmask(signal.SIG_SETMASK, [])
folder = pathlib.Path(sys.argv[1])
answers = (folder / "answers").read_text()
if answers == "fails":
    sys.exit(3)
if answers == "stays":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))
line = socket.socket(fileno=int(sys.argv[3]))
(folder / f"{os.getpid()}.pid").touch()
while line.recv(1):
    if answers != "silent":
        line.send(b"0" if answers == "starting" else b"1")
"""
# Runs the supervisor with the patience that the test has (seconds).
PROGRAM = """
import json, signal, sys
from opamp_server.supervisor import SIGNALS, Log, Supervisor
given = json.loads(sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
sys.exit(Supervisor(addresses=[("127.0.0.1", 0)], log=Log("INFO", "json"), **given).run())
"""


def eventually(claim: Callable[[], Any], what: str) -> None:
    """Waits for a true value; the limit is for a machine that is very busy."""
    deadline = time.monotonic() + 30
    while not claim():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Supervised:
    """A supervisor process of two workers in a folder of its own."""

    def __init__(self, folder: Path, *, answers: str = "serving", patience: float = 60.0) -> None:
        self.folder = folder
        (folder / "worker.py").write_text(WORKER)
        self.answer(answers)
        given = {
            "workers": 2,
            "command": [sys.executable, str(folder / "worker.py"), str(folder)],
            "patience": patience,
        }
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, json.dumps(given)], cwd=ROOT, stderr=self._log)

    def answer(self, answers: str) -> None:
        """What workers that start from now on do."""
        (self.folder / "answers").write_text(answers)

    @property
    def workers(self) -> set[int]:
        """Those that run and have come so far as to leave their file."""
        return {int(path.stem) for path in self.folder.glob("*.pid") if Path(f"/proc/{path.stem}/status").exists()}

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What the supervisor wrote."""
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]

    def said(self, event: str) -> bool:
        """True when such a line was written."""
        return any(line["event"] == event for line in self.lines)

    def close(self) -> None:
        """End everything, whatever state it is in."""
        self.process.kill()
        self.process.wait()
        self._log.close()
        for pid in self.workers:
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Callable[..., Supervised]]:
    """Starts supervisors, and ends them."""
    started: list[Supervised] = []

    def start(**options: Any) -> Supervised:
        started.append(Supervised(tmp_path, **options))
        return started[-1]

    yield start
    for each in started:
        each.close()


class TestWorkers:
    def test_one_that_dies_is_replaced(self, supervised: Callable[..., Supervised]) -> None:
        running = supervised()
        eventually(lambda: len(running.workers) == 2, "both start")
        victim, other = running.workers
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: victim not in running.workers and len(running.workers) == 2, "it is replaced")
        assert other in running.workers
        assert running.said("a worker ended and is replaced")

    def test_one_that_answers_no_more_is_killed_and_replaced(self, supervised: Callable[..., Supervised]) -> None:
        running = supervised(answers="silent", patience=0.5)
        eventually(lambda: len(running.workers) == 2, "both start")
        silent = running.workers
        running.answer("serving")
        eventually(lambda: running.workers.isdisjoint(silent) and len(running.workers) == 2, "both are replaced")
        assert running.said("a worker hangs and is killed")

    def test_when_they_cannot_start_it_ends_with_an_error(self, supervised: Callable[..., Supervised]) -> None:
        running = supervised(answers="fails")
        assert running.process.wait(30) == 1
        assert running.said("a worker cannot start: its log says why")


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_the_end_is_passed_on_and_waited_for(
        self, supervised: Callable[..., Supervised], number: signal.Signals
    ) -> None:
        running = supervised()
        eventually(lambda: len(running.workers) == 2, "both start")
        running.process.send_signal(number)
        assert running.process.wait(30) == 0
        assert not running.workers

    def test_a_worker_that_does_not_end_is_killed(self, supervised: Callable[..., Supervised]) -> None:
        running = supervised(answers="stays", patience=0.5)
        eventually(lambda: len(running.workers) == 2, "both start")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
        assert not running.workers

    def test_hangup_replaces_them_all(self, supervised: Callable[..., Supervised]) -> None:
        running = supervised()
        eventually(lambda: len(running.workers) == 2, "both start")
        former = running.workers
        running.process.send_signal(signal.SIGHUP)
        eventually(lambda: running.workers.isdisjoint(former) and len(running.workers) == 2, "both are replaced")

    def test_hangup_keeps_them_when_the_new_one_does_not_serve(self, supervised: Callable[..., Supervised]) -> None:
        running = supervised(patience=2.0)
        eventually(lambda: len(running.workers) == 2, "both start")
        former = running.workers
        running.answer("starting")
        running.process.send_signal(signal.SIGHUP)
        eventually(lambda: running.said("new workers do not start: the former ones stay"), "they are given up")
        eventually(lambda: running.workers == former, "the former ones alone are there")

    def test_one_more_and_one_less(self, supervised: Callable[..., Supervised]) -> None:
        running = supervised()
        eventually(lambda: len(running.workers) == 2, "both start")
        running.process.send_signal(signal.SIGTTIN)
        eventually(lambda: len(running.workers) == 3, "one more")
        running.process.send_signal(signal.SIGTTOU)
        eventually(lambda: len(running.workers) == 2, "one less")


class TestSlots:
    def test_connections_spread_evenly_and_wait_for_the_next_worker(self) -> None:
        """A slot's queue outlives its worker: who connects in between is not refused."""
        first = Slot([("127.0.0.1", 0)])
        port = first.sockets[0].getsockname()[1]
        slots = [first, Slot([("127.0.0.1", port)])]
        for slot in slots:
            slot.sockets[0].listen(1_000)
        with contextlib.ExitStack() as clients:
            for _ in range(400):
                clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            counts = [len(accepted(slot, clients)) for slot in slots]
        assert sum(counts) == 400
        assert max(counts) / min(counts) < 1.6, counts
        for slot in slots:
            slot.close()

    def test_an_address_in_use_ends_the_start(self) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            given = {"workers": 1, "addresses": [("127.0.0.1", other.getsockname()[1])], "command": [], "level": "INFO"}
            done = subprocess.run(
                [sys.executable, "-m", "opamp_server.supervisor", json.dumps({**given, "style": "json"})],
                cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
            )  # fmt: skip
        assert done.returncode == 1
        assert json.loads(done.stderr)["event"] == "an address cannot be used"


def accepted(slot: Slot, keep: contextlib.ExitStack) -> list[socket.socket]:
    """All that waits in the slot's queue."""
    found = []
    slot.sockets[0].settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        while True:
            found.append(keep.enter_context(slot.sockets[0].accept()[0]))
    return found


class TestWeight:
    def test_it_imports_nothing_heavy(self) -> None:
        program = (
            "import sys, opamp_server.supervisor; "
            "print(*{'django', 'asyncio', 'uvicorn', 'structlog', 'logging', 'ssl'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.split() == []


class TestLines:
    @pytest.mark.parametrize("style", ["json", "console"])
    def test_they_look_like_those_of_workers(self, style: str) -> None:
        ours = f"from opamp_server.supervisor import Log; Log('INFO', {style!r}).line('info', 'one', pid=7)"
        theirs = (
            "import logging.config; from opamp_platform.operations.logs import logging_config; "
            f"logging.config.dictConfig(logging_config(level='INFO', style={style!r})); "
            "logging.getLogger('opamp_server.supervisor').info('one', extra={'pid': 7})"
        )
        written = [
            subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stderr
            for program in (ours, theirs)
        ]
        assert shape(written[0], style) == shape(written[1], style)

    def test_levels_below_the_chosen_one_are_left_out(self, capsys: pytest.CaptureFixture[str]) -> None:
        Log("WARNING", "json").line("info", "one")
        Log("WARNING", "json").line("warning", "two")
        assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["two"]

    def test_the_known_levels_are_those_of_the_settings(self) -> None:
        assert [logging_config(level=level, style="json")["root"]["level"] for level in _LEVELS] == list(_LEVELS)
        with pytest.raises(StrangeValue):
            logging_config(level="TRACE", style="json")


def shape(line: str, style: str) -> Any:
    """A line without its time."""
    if style == "json":
        return {name: value for name, value in json.loads(line).items() if name != "timestamp"}
    time_stamp, _, rest = line.partition(" ")
    return len(time_stamp), rest.split()
