"""Which server processes live, and which one of them does the chores that one is enough for.

A process beats; one whose beat stands still is taken for dead by removing its row, so that it learns of it with its next
beat and can take its agents back. Clocks of machines differ and jump, so beats are watched, not compared with a clock.
"""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.db.models import Q

from agents.models import Agent, Leadership, ServerProcess

PATIENCE_SECONDS = 20.0
# Longer without a look than this, and others may have been unable to beat as well: the watch begins anew.
_LONGEST_GAP_SECONDS = 12.0
# Agents whose holder has no row at all: it may be about to write its first one.
_UNKNOWN_SECONDS = 10.0
_HOLDERS_SECONDS = 60.0
# So long after a jump of the clock its deadlines are of use to nobody.
_RENEWAL_SECONDS = 60.0
TERM = timedelta(seconds=12)


@dataclass(frozen=True, slots=True)
class Beat:
    """A process's row as one look found it. ``gone``: known to have ended, for its process id is free on this machine."""

    process_id: str
    beat_at: datetime
    gone: bool


def beat(process_id: str, *, started_at: datetime, at: datetime) -> bool:
    """Say that this server process lives; false when it had no row: it is new, or others took it for dead."""
    if ServerProcess.objects.filter(id=process_id).update(beat_at=at):
        return True
    ServerProcess.objects.create(
        id=process_id,
        hostname=socket.gethostname()[:255],
        machine=_machine(),
        pid=os.getpid(),
        started_at=started_at,
        beat_at=at,
    )
    return False


def retire(process_id: str) -> None:
    """Remove a process that ended in order, and let another one lead; whatever it held was released before."""
    Leadership.objects.filter(holder=process_id).delete()
    ServerProcess.objects.filter(id=process_id).delete()


def lead(process_id: str, *, at: datetime) -> bool:
    """Take or keep the lead until ``at`` + `TERM`; true when this process has it.

    Compare-and-set on one row, on SQLite too. A term that ends later than anybody could have set it is a clock that
    jumped: it counts as ended. Two leaders for a moment do no harm, for every chore is a compare-and-set itself.
    """
    until = at + TERM
    free = Q(holder=process_id) | Q(expires_at__lt=at) | Q(expires_at__gt=at + 2 * TERM)
    if Leadership.objects.filter(free).update(holder=process_id, expires_at=until):
        return True
    Leadership.objects.bulk_create([Leadership(holder=process_id, expires_at=until)], ignore_conflicts=True)
    return Leadership.objects.filter(holder=process_id).exists()


def beats() -> list[Beat]:
    """All processes as their rows tell."""
    return [Beat(row.id, row.beat_at, _is_gone(row)) for row in ServerProcess.objects.all()]


def unknown_holders() -> set[str]:
    """Processes without a row that connected agents are still held by."""
    holders = Agent.objects.filter(connected=True).exclude(lease_process="").order_by()
    rows = ServerProcess.objects.values("id")
    return set(holders.exclude(lease_process__in=rows).values_list("lease_process", flat=True).distinct())


class ProcessWatch:
    """Remembers since when each beat stands still, in seconds of this process's own monotonic clock."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[datetime, float]] = {}
        self._unknown: dict[str, float] = {}
        self._holders_at = float("-inf")
        self._looked_at = float("-inf")
        self._began_at = float("-inf")
        self._jumped_at = float("-inf")
        self._renewed = True

    def look(self, found: Sequence[Beat], now: float) -> list[Beat]:
        """The processes to be taken for dead after this look at ``now``."""
        if now - self._looked_at > _LONGEST_GAP_SECONDS:
            self._since.clear()
            self._unknown.clear()
            self._began_at = now
        self._looked_at = now
        seen = {}
        for item in found:
            former = self._since.get(item.process_id)
            seen[item.process_id] = former if former and former[0] == item.beat_at else (item.beat_at, now)
        self._since = seen
        return [item for item in found if item.gone or now - seen[item.process_id][1] >= PATIENCE_SECONDS]

    def holders_due(self, now: float) -> bool:
        """Whether to look for `unknown_holders`, which reads the whole fleet: now and then, and while there are some."""
        due = bool(self._unknown) or now - self._holders_at >= _HOLDERS_SECONDS
        if due:
            self._holders_at = now
        return due

    def lost_holders(self, unknown: set[str], now: float) -> list[str]:
        """Those of the ``unknown`` holders that stayed unknown for long enough."""
        self._unknown = {key: self._unknown.get(key, now) for key in unknown}
        return [key for key, since in self._unknown.items() if now - since >= _UNKNOWN_SECONDS]

    def note_jump(self, now: float) -> None:
        """The clock that deadlines are set by jumped: other processes will learn of it with their next beats."""
        self._jumped_at = self._began_at = now
        self._renewed = False

    def jumped_within(self, seconds: float, now: float) -> bool:
        """True for so long after a jump."""
        return now - self._jumped_at < seconds

    def renewal_due(self, now: float) -> bool:
        """True once after a jump, when every process goes by the new time; not for who begins to lead long after it."""
        due = self.is_steady(now) and self.jumped_within(_RENEWAL_SECONDS, now) and not self._renewed
        self._renewed = self._renewed or due
        return due

    def is_steady(self, now: float) -> bool:
        """True once the database could be watched long enough for every process to have written what it remembers."""
        return now - self._began_at >= _LONGEST_GAP_SECONDS


@functools.cache
def _machine() -> str:
    """Names the boot of this system and its space of process ids; empty where that cannot be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115  a link of the kernel's, to no path
    except OSError:
        return ""


def _is_gone(row: ServerProcess) -> bool:
    """True only when the row's process is known to have ended: its machine is this one, and no process has its id."""
    if not row.machine or row.machine != _machine():
        return False
    try:
        os.kill(row.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
