"""Work that many connections bring at the same moment, done one piece in each turn of the event loop.

Between two pieces everybody else is served, so a storm of peers delays the others by one piece and not by their number.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self


class Turns:
    """A row of callables; one for each kind of work, so that kinds do not wait for each other."""

    _rows: dict[str, Self] = {}

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._scheduled = False

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop, kind: str) -> Self:
        """The row of this loop; one that belonged to a former loop is forgotten."""
        row = cls._rows.get(kind)
        if row is None or row.loop is not loop:
            row = cls._rows[kind] = cls(loop)
        return row

    def join(self, piece: Callable[[], None]) -> None:
        """Have ``piece`` called when its turn comes, at the earliest in the next turn of the loop."""
        self._waiting.append(piece)
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        # Before the piece, which may fail or join again.
        piece = self._waiting.popleft()
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            self.loop.call_soon(self._turn)
        piece()
