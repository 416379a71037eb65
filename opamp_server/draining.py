"""What happens between the signal to stop and the server's own end: clients are sent away first, while it still listens.

Stands between the operating system's signals and the server's handlers of them, for the server itself would close its
port and all connections at once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

from opamp_server.programs import HAND_OVER

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Handler = Callable[[int, FrameType | None], Any]

# Closes the server's listeners, where several workers can take each other's place; set by the worker process.
stop_accepting: Callable[[], None] | None = None


class Draining:
    """Calls ``drain`` when the process is told to stop, ``hand_over`` when another one is ready to take its place.

    Only then comes the handler that was there before. An impatient second Ctrl-C does not wait for it. Installed on the
    running loop by `install`. Who hands over accepts nothing more from the first moment on.
    """

    def __init__(self, *, drain: Callable[[], Awaitable[None]], hand_over: Callable[[], Awaitable[None]]) -> None:
        self._drain = drain
        self._hand_over = hand_over
        self._task: asyncio.Task[None] | None = None
        self._hands_over = False

    def install(self) -> None:
        """Take over the signals that a server handles; does nothing where none does (tests, other threads)."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            former = signal.getsignal(number)
            if callable(former) and former is not signal.default_int_handler:
                loop.add_signal_handler(number, self._begin, number, former)
                if stop_accepting is not None and number == signal.SIGTERM:
                    loop.add_signal_handler(HAND_OVER, self._begin_to_hand_over, former)

    def _begin(self, number: int, former: Handler) -> None:
        if self._task is None:
            bounded = asyncio.wait_for(self._drain(), _PATIENCE_SECONDS)
            self._task = asyncio.get_running_loop().create_task(self._then_stop(bounded, number, former))
        elif self._hands_over:
            self._task.cancel()
        elif number == signal.SIGINT:
            former(number, None)

    def _begin_to_hand_over(self, former: Handler) -> None:
        if self._task is None and stop_accepting is not None:
            stop_accepting()
            self._hands_over = True
            self._task = asyncio.get_running_loop().create_task(
                self._then_stop(self._hand_over(), signal.SIGTERM, former)
            )

    async def _then_stop(self, first: Awaitable[None], number: int, former: Handler) -> None:
        try:
            await first
        except TimeoutError:
            logger.warning("not all clients could be sent away in time")
        finally:
            former(number, None)
