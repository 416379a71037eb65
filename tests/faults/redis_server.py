"""A Redis of the tests' own, which they may kill as they like."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Self

import redis

from tests.live_server import free_port

_START_SECONDS = 10.0


def program() -> str | None:
    """The server's program, if it is installed."""
    return shutil.which("redis-server")


class RedisServer:
    """One Redis on a port of its own, without persistence; ``with RedisServer(folder) as broker``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill9()

    def start(self) -> None:
        """Start, and return when it answers."""
        command = [str(program()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                except redis.ConnectionError:
                    assert time.monotonic() < deadline, "Redis did not start"
                    time.sleep(0.05)
                else:
                    return

    def subscribers(self, channel: str) -> int:
        """How many connections listen to a channel."""
        with redis.Redis.from_url(self.url) as client:
            return int(client.pubsub_numsub(channel)[0][1])

    def kill9(self) -> None:
        """Gone without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
