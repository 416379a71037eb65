"""What happens between the signal to stop and the server's own end: agents are sent away first, while it still listens.

Stands between the operating system's signals and the server's handlers of them, for the server itself would close its
port and all connections at once. Knows nothing of agents.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Handler = Callable[[int, FrameType | None], Any]


class Draining:
    """Calls ``drain`` when the process is told to stop, and only then the handler that was there before.

    An impatient second Ctrl-C does not wait for it. Installed on the running loop by `install`.
    """

    def __init__(self, drain: Callable[[], Awaitable[None]]) -> None:
        self._drain = drain
        self._task: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Take over the signals that a server handles; does nothing where none does (tests, other threads)."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            former = signal.getsignal(number)
            if callable(former) and former is not signal.default_int_handler:
                loop.add_signal_handler(number, self._begin, number, former)

    def _begin(self, number: int, former: Handler) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._drain_first(number, former))
        elif number == signal.SIGINT:
            former(number, None)

    async def _drain_first(self, number: int, former: Handler) -> None:
        try:
            await asyncio.wait_for(self._drain(), _PATIENCE_SECONDS)
        except TimeoutError:
            logger.warning("not all agents could be sent away in time")
        finally:
            former(number, None)
