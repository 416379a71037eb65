"""Programs of this project that a process starts, or becomes: the supervisor and the workers. Imports next to nothing."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

SIGNALS = frozenset(
    {
        signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD,
        signal.SIGUSR1, signal.SIGUSR2,
    }
)  # fmt: skip
"""What waits while one program becomes another, and what the supervisor takes one by one."""

# Tells a worker that another one serves in its place: it stops accepting, sends its clients there and ends.
HAND_OVER = signal.SIGUSR1
_ROOT = Path(__file__).resolve().parent.parent


def become(module: str, *arguments: str) -> NoReturn:
    """Replace this process by another program; what it holds goes, files that are inheritable stay open.

    `SIGNALS` wait from now on, so that none is lost between the two; the program must take or unblock them.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    # Where this project is, whatever folder it was started from.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, program(module, *arguments))  # noqa: S606  a program of our own, without a shell


def program(module: str, *arguments: str) -> list[str]:
    """The command line of a module of ours, run by this interpreter as this process is."""
    options = [f"-W{option}" for option in sys.warnoptions]
    options += [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]  # noqa: SLF001
    return [sys.executable, "-P", *options, "-m", module, *arguments]
