"""Instruments inside a measured server: a counter of SQL statements always, a profile of every thread when asked for.

``BENCH_PROFILE=folder`` profiles the event loop and the database threads with cProfile and writes one file for each when
the process ends; a profile costs time of its own, so read shares from it, not rates. ``BENCH_STATEMENTS=file`` writes how
often each statement ran and how long it took. ``BENCH_STALLS=file`` writes what every thread was doing whenever the event
loop had not turned for 60 ms. ``BENCH_MEMORY=folder`` appends to a file for each process, every half
minute, how much memory is resident, how much of it malloc has in use and keeps free, and what Python's allocator holds;
with ``BENCH_TRACE=yes`` also what Python allocated since the first time, by line and by type, which doubles CPU time and memory.
"""

from __future__ import annotations

import asyncio
import cProfile
import ctypes
import gc
import json
import os
import re
import sys
import tempfile
import threading
import time
import traceback
import tracemalloc
from collections import Counter as Tally
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from prometheus_client import Counter

STATEMENTS = Counter("bench_sql_statements", "SQL statements run.")


class Instruments(AppConfig):
    """Put in place when Django is ready."""

    name = "benchmarks"

    def ready(self) -> None:
        """Hook into new database connections, and into the threads if asked to."""
        connection_created.connect(_watch, dispatch_uid="benchmarks")
        if statements := os.environ.get("BENCH_STATEMENTS"):
            connection_created.connect(_watch_closely, dispatch_uid="benchmarks-statements")
            _at_the_end(lambda: _write_statements(Path(f"{statements}.{os.getpid()}")))
        if folder := os.environ.get("BENCH_MEMORY"):
            _follow_memory(Path(folder), trace=bool(os.environ.get("BENCH_TRACE")))
        if folder := os.environ.get("BENCH_PROFILE"):
            _profile(Path(folder))
        if stalls := os.environ.get("BENCH_STALLS"):
            _watch_stalls(Path(f"{stalls}.{os.getpid()}"))


def _at_the_end(write: Callable[[], None]) -> None:
    """When the runtime stops: uvicorn ends its process by the signal it got, so nothing runs at exit."""
    from opamp_transport import runtime

    stop = runtime.stop

    async def stop_and_write() -> None:
        await stop()
        write()

    runtime.stop = stop_and_write


def _watch(connection: Any, **_: object) -> None:
    if _count not in connection.execute_wrappers:
        connection.execute_wrappers.append(_count)


def _watch_closely(connection: Any, **_: object) -> None:
    if _time not in connection.execute_wrappers:
        connection.execute_wrappers.append(_time)


def _count(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    STATEMENTS.inc()
    return execute(sql, params, many, context)


_seen: dict[str, list[float]] = {}


def _time(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    """Keeps every text ever run, so only who asks for statements pays for it with memory."""
    begun = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        entry = _seen.setdefault(sql[:2_000], [0, 0.0])
        entry[0] += 1
        entry[1] += time.perf_counter() - begun


def _write_statements(target: Path) -> None:
    shapes: dict[str, list[float]] = {}
    for sql, (times, seconds) in _seen.items():
        shape = re.sub(r"\s+", " ", re.sub(r"\((?:%s(?:::\w+)?, ?)+", "(…", sql))[:220]
        entry = shapes.setdefault(shape, [0, 0.0])
        entry[0] += times
        entry[1] += seconds
    ordered = sorted(shapes.items(), key=lambda item: -item[1][1])
    target.write_text(json.dumps(ordered, indent=1))


_STALL_SECONDS = 0.06


def _watch_stalls(target: Path) -> None:
    from opamp_transport.runtime import Runtime

    start = Runtime.start

    def start_watched(runtime: Runtime) -> None:
        start(runtime)
        loop, turned = asyncio.get_running_loop(), [time.monotonic()]

        def turn() -> None:
            turned[0] = time.monotonic()
            loop.call_later(_STALL_SECONDS / 6, turn)

        turn()
        threading.Thread(target=_note_stalls, args=(target, turned), daemon=True).start()

    Runtime.start = start_watched  # type: ignore[method-assign]


def _note_stalls(target: Path, turned: list[float]) -> None:
    with target.open("w") as notes:
        while True:
            begun = time.monotonic()
            time.sleep(_STALL_SECONDS / 3)
            now = time.monotonic()
            # When this thread slept too long as well, somebody held the interpreter, or the machine did something else.
            if now - turned[0] < _STALL_SECONDS and now - begun < _STALL_SECONDS:
                continue
            notes.write(f"loop {1_000 * (now - turned[0]):.0f} ms, this thread {1_000 * (now - begun):.0f} ms\n")
            for thread in threading.enumerate():
                frame = sys._current_frames().get(thread.ident or 0)
                if thread is not threading.current_thread() and frame is not None:
                    steps = reversed(traceback.extract_stack(frame)[-5:])
                    where = " < ".join(f"{step.name} {Path(step.filename).name}:{step.lineno}" for step in steps)
                    notes.write(f"  {thread.name}: {where}\n")
            notes.flush()


def _profile(folder: Path) -> None:
    from opamp_transport import threads

    folder.mkdir(parents=True, exist_ok=True)
    main = cProfile.Profile()
    main.enable()
    kept: list[tuple[str, cProfile.Profile]] = [("loop", main)]
    here = threading.local()
    called = threads._call

    def profiled(*arguments: Any) -> Any:
        profile = getattr(here, "profile", None)
        if profile is None:
            profile = here.profile = cProfile.Profile()
            kept.append((threading.current_thread().name, profile))
        return profile.runcall(called, *arguments)

    threads._call = profiled  # type: ignore[assignment]

    def write() -> None:
        main.disable()
        for name, profile in kept:
            profile.dump_stats(str(folder / f"{os.getpid()}-{name}.prof"))

    _at_the_end(write)


_MEMORY_SECONDS = 30.0
_MOST_LINES = 25


def _follow_memory(folder: Path, *, trace: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if trace:
        tracemalloc.start(3)
    threading.Thread(target=_tell_memory, args=(folder / f"{os.getpid()}.memory",), name="memory", daemon=True).start()


class _Mallinfo(ctypes.Structure):
    """glibc's ``struct mallinfo2``."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def _tell_memory(target: Path) -> None:
    """Resident memory; what of it malloc has in use, keeps free and has mapped; what Python's own allocator holds."""
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Mallinfo
    first: tuple[tracemalloc.Snapshot, Tally[str]] | None = None
    while True:
        time.sleep(_MEMORY_SECONDS)
        found = mallinfo()
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        said = {"resident": resident, "used": found.uordblks, "free": found.fordblks, "mapped": found.hblkhd}
        lines = [f"{time.monotonic():.0f} s: " + ", ".join(f"{key} {size >> 10} KiB" for key, size in said.items())]
        lines.append(f"Python: {_small_objects()}, {len(gc.get_objects(2))} old objects")
        if tracemalloc.is_tracing():
            lines += _traced(first := first or _snapshot())
        with target.open("a") as out:
            out.write("\n".join(lines) + "\n")


_ALLOCATOR = {
    "arenas": r"# arenas allocated current += +([\d,]+)",
    "at most": r"# arenas highwater mark += +([\d,]+)",
    "bytes in use": r"# bytes in allocated blocks += +([\d,]+)",
    "free beside them": r"# bytes in available blocks += +([\d,]+)",
    "in empty pools": r"\d+ unused pools .*= +([\d,]+)",
}


def _small_objects() -> str:
    """What Python's allocator says of itself; it prints that to the standard error of the process and nowhere else."""
    with tempfile.TemporaryFile() as told:
        kept = os.dup(2)
        os.dup2(told.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        told.seek(0)
        text = told.read().decode()
    found = {name: re.search(pattern, text) for name, pattern in _ALLOCATOR.items()}
    return ", ".join(f"{name} {match[1].replace(',', '')}" for name, match in found.items() if match)


def _snapshot() -> tuple[tracemalloc.Snapshot, Tally[str]]:
    gc.collect()
    objects = Tally(type(known).__qualname__ for known in gc.get_objects())
    return tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, tracemalloc.__file__)]), objects


def _traced(first: tuple[tracemalloc.Snapshot, Tally[str]]) -> list[str]:
    snapshot, objects = _snapshot()
    lines = [f"traced {tracemalloc.get_traced_memory()[0] >> 10} KiB; more objects than at first:"]
    lines.append(str((objects - first[1]).most_common(15)))
    for line in snapshot.compare_to(first[0], "traceback")[:_MOST_LINES]:
        places = " < ".join(map(str, reversed(line.traceback)))
        lines.append(f"{line.size_diff / 1024:+9.1f} KiB {line.count_diff:+7d}  {places}")
    return lines
