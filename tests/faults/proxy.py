"""A TCP proxy between agents and server that does what networks do: delay, cut, fall silent, dribble."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_CHUNK = 64 * 1024


class Proxy:
    """Listens on ``port`` and forwards to ``target``; its fields may be changed while it runs, from any thread.

    ``delay_seconds`` before each chunk · ``dribble``: one byte at a time · ``silent``: nothing is forwarded any more,
    nobody is told · `cut`: all connections are reset, in the middle of what was being sent.
    """

    def __init__(self, target: int, *, seed: int = 7) -> None:
        self.target = target
        self.port = 0
        self.delay_seconds = 0.0
        self.dribble = False
        self.silent = False
        self.connections = 0
        self._chance = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def endpoint(self, scheme: str) -> str:
        """Where agents connect to instead of the server."""
        return f"{scheme}://127.0.0.1:{self.port}/v1/opamp"

    def cut(self, share: float = 1.0) -> None:
        """Reset a share of all connections now. Of what is being sent half a chunk still arrives."""
        self._on_loop(lambda: self._cut(share))

    def _on_loop(self, call: Callable[[], None]) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (call(), done.set()))
        assert done.wait(10)

    def _cut(self, share: float) -> None:
        for writer in [writer for writer in self._writers if self._chance.random() < share]:
            writer.transport.abort()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        self._cut(1.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, far_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._forward(reader, far_writer), self._forward(far_reader, writer))
        finally:
            self._writers -= pair
            for end in pair:
                end.transport.abort()
            self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds * self._chance.uniform(0.5, 1.5))
                while self.silent:
                    await asyncio.sleep(0.05)
                for part in self._parts(data):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
        with contextlib.suppress(OSError):
            if writer.can_write_eof():
                writer.write_eof()

    def _parts(self, data: bytes) -> list[bytes]:
        """As a whole, as single bytes, or in two halves, between which a cut may come."""
        if self.dribble:
            return [data[place : place + 1] for place in range(len(data))]
        half = len(data) // 2
        return [data[:half], data[half:]] if half else [data]
