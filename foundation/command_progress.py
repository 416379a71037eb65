"""How far a command is that takes long: a bar on a terminal, a line now and then elsewhere, always on stderr.

Services say `advance_progress` where they go on to the next thing; where nobody shows it, that costs nothing. It must not
know any of them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TextIO

# Where there is no terminal, a line comes so often: what is done sooner says nothing.
LINE_SECONDS = 5.0

_noted: ContextVar[Callable[[int], None] | None] = ContextVar("progress", default=None)


def advance_progress(by: int = 1) -> None:
    """So many more are done, if anybody wants to know."""
    note = _noted.get()
    if note is not None:
        note(by)


@contextmanager
def progress_shown(what: str, *, total: int | None = None, stream: TextIO | None = None) -> Iterator[None]:
    """Show what `advance_progress` says inside, as ``what``; ``total`` is how many there are, if that is known."""
    out = stream or sys.stderr
    if out is None:
        # It is closed: nobody sees how far the work is, which goes on.
        yield
        return
    with _bar(what, total, out) if out.isatty() else _lines(what, total, out) as note:
        token = _noted.set(note)
        try:
            yield
        finally:
            _noted.reset(token)


@contextmanager
def _bar(what: str, total: int | None, out: TextIO) -> Iterator[Callable[[int], None]]:
    # Half a second of every other start.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=out), transient=True) as bar:
        task = bar.add_task(_plain(what), total=total)

        def note(by: int) -> None:
            bar.advance(task, by)

        yield note


@contextmanager
def _lines(what: str, total: int | None, out: TextIO) -> Iterator[Callable[[int], None]]:
    done, said_at = 0, time.monotonic()

    def note(by: int) -> None:
        nonlocal done, said_at
        done += by
        if time.monotonic() - said_at >= LINE_SECONDS:
            said_at = time.monotonic()
            # Whoever read along may have gone; the work goes on.
            with suppress(OSError):
                print(f"{what}: {done}" + (f" of {total}" if total is not None else ""), file=out, flush=True)

    yield note


def _plain(what: str) -> Any:
    """Names may have brackets, which mean something to the bar."""
    from rich.markup import escape

    return escape(what)


class CountedReader:
    """A file of which it is shown how much was read, in bytes."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def read(self, size: int = -1, /) -> bytes:
        """As the file's own."""
        data: bytes = self._source.read(size)
        advance_progress(len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)
