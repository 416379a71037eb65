"""A clock that one server process goes by and a test moves, by libfaketime. Its monotonic clock stays as it is."""

from __future__ import annotations

import time
import urllib.request
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from tests.live_server import LiveServer

_NOTICED_SECONDS = 1


def library() -> Path | None:
    """libfaketime for programs with threads, where it is installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


class MovableClock:
    """``environment`` is for the process; `move` takes effect within a second."""

    def __init__(self, folder: Path) -> None:
        found = library()
        assert found is not None
        self._file = folder / "faketime"
        self.ahead = timedelta()
        self.move(self.ahead)
        self.environment = {
            "LD_PRELOAD": str(found),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # To read the file at each look would cost more than all that the server does.
            "FAKETIME_CACHE_DURATION": str(_NOTICED_SECONDS),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def move(self, ahead: timedelta) -> None:
        """From now on the clock is ``ahead`` of the true time, or behind it."""
        self.ahead = ahead
        waiting = self._file.with_suffix(".new")
        waiting.write_text(f"{ahead.total_seconds():+.0f}\n", encoding="ascii")
        waiting.replace(self._file)

    def assert_moved(self, server: LiveServer) -> None:
        """The server's own clock is where it was moved to; its answers tell their date."""
        server.eventually(self._is_seen_by(server), 10, f"the server's clock is {self.ahead} ahead")

    def _is_seen_by(self, server: LiveServer) -> object:
        def seen() -> bool:
            with urllib.request.urlopen(f"{server.url}/health/live", timeout=10) as answer:
                dated = parsedate_to_datetime(answer.headers["Date"])
            return abs(dated - datetime.now(UTC) - self.ahead) < timedelta(seconds=10)

        return seen


class Stopwatch:
    """Real seconds since it was made."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """How many have passed."""
        return time.monotonic() - self._begun

    def wait_for(self, seconds: float) -> None:
        """Return when so many have passed in all."""
        time.sleep(max(seconds - self.seconds, 0.0))
