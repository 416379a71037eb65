"""A server process: ``python -m opamp_server.worker FACTORY ARGUMENTS… SOCKETS LINE``.

``FACTORY`` is ``module:function``; called with the arguments (texts) it makes uvicorn's configuration. ``SOCKETS`` are the file
descriptors it listens on, with commas between. ``LINE`` is that of the socket on which a supervisor asks whether this process still
answers, or `ALONE` where there is none. When the line breaks the supervisor is gone, and the worker stops: it would hold
the port for ever.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import uvicorn

from opamp_server import draining, programs
from opamp_server.programs import SIGNALS
from opamp_server.supervisor import SERVING, STARTING

ALONE = "alone"

logger = logging.getLogger(__name__)


def command(factory: str, *arguments: str) -> list[str]:
    """The command line of a worker, for a supervisor, which adds sockets and line."""
    return programs.program(__name__, factory, *arguments)


def become(factory: str, *arguments: str, sockets: Sequence[socket.socket]) -> NoReturn:
    """Replace this process by the only server process, which listens on ``sockets`` (inheritable ones)."""
    programs.become(__name__, factory, *arguments, ",".join(str(one.fileno()) for one in sockets), ALONE)


def answer_supervisor(line: socket.socket, server: uvicorn.Server) -> None:
    """Answer the supervisor's questions until it is gone. Runs in a thread: what it shows is that others get their turn."""
    try:
        while line.recv(64):
            line.send(SERVING if server.started else STARTING)
    except OSError as error:
        logger.debug("the line to the supervisor broke", extra={"error": repr(error)})
    logger.error("the supervising process is gone: this worker stops")
    os.kill(os.getpid(), signal.SIGTERM)


def renew_certificate(config: uvicorn.Config) -> None:
    """Have new connections use what the files of TLS hold now; when they cannot be used, what they held stays in use."""
    from opamp_server.tls import LiveContext, TlsProblem

    live = config.ssl_context_factory
    if not isinstance(live, LiveContext):
        return
    try:
        live.reload()
    except TlsProblem as error:
        logger.error("the new certificate cannot be used: the former one stays", extra={"error": str(error)})  # noqa: TRY400
    else:
        logger.info("the certificate was read anew")


def main() -> None:
    """Serve until the signal to stop."""
    factory, *arguments, sockets, line = sys.argv[1:]
    if line == ALONE:
        # The server raises the signal again when it has stopped in order, for whoever started it: that is we.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _exit)
    # Whoever started this program, or became it, has left them blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    module, _, name = factory.partition(":")
    config = getattr(importlib.import_module(module), name)(*arguments)
    server = uvicorn.Server(config)
    if line == ALONE and config.is_ssl:
        # Several workers are replaced instead, by the supervisor.
        signal.signal(signal.SIGHUP, lambda *_: renew_certificate(config))

    def stop_accepting() -> None:
        for listener in server.servers:
            listener.close()

    if line != ALONE:
        draining.stop_accepting = stop_accepting
        asked_on = socket.socket(fileno=int(line))
        threading.Thread(target=answer_supervisor, args=(asked_on, server), daemon=True, name="line").start()
    server.run([socket.socket(fileno=int(number)) for number in sockets.split(",")])


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
