"""One of several server processes: ``python -m opamp_platform.worker HOST PORT SOCKETS LINE``, run by the supervisor.

``SOCKETS`` are the file descriptors it listens on, with commas between; ``LINE`` is that of the socket on which the
supervisor asks whether this process still answers. When the line breaks the supervisor is gone, and the worker stops: it
would hold the port for ever.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading

import uvicorn

from opamp_platform.supervisor import SERVING, SIGNALS, STARTING

logger = logging.getLogger(__name__)


def answer(line: socket.socket, server: uvicorn.Server) -> None:
    """Answer the supervisor's questions until it is gone. Runs in a thread: what it shows is that others get their turn."""
    try:
        while line.recv(64):
            line.send(SERVING if server.started else STARTING)
    except OSError as error:
        logger.debug("the line to the supervisor broke", extra={"error": repr(error)})
    logger.error("the supervising process is gone: this worker stops")
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Serve until the signal to stop."""
    # The supervisor waits for its signals one by one, and has left them blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opamp_platform.settings")
    host, port, sockets, line = sys.argv[1:]
    from django.conf import settings

    from opamp_platform import draining
    from opamp_platform.server import configured, keep_heap_small

    settings.SERVED_HOST = host
    keep_heap_small()
    server = uvicorn.Server(configured(host=host, port=int(port)))

    def stop_accepting() -> None:
        for listener in server.servers:
            listener.close()

    draining.stop_accepting = stop_accepting
    threading.Thread(target=answer, args=(socket.socket(fileno=int(line)), server), daemon=True, name="line").start()
    server.run([socket.socket(fileno=int(number)) for number in sockets.split(",")])


if __name__ == "__main__":
    main()
